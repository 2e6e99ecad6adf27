//! Consumes product, order and user events: stores product copies, completes or cancels checkouts, empties the carts of
//! erased users. Depends on the use cases, not on SQL. Each effect is idempotent by the version of the copy, the state of
//! the checkout or the number of the erasure, so that no event needs a row in the inbox.

use std::collections::BTreeMap;

use agora_events::{
    Envelope, Topic,
    catalog::{Product, ProductDeleted, ProductEvent, VariantPrice},
    order::OrderEvent,
    topics,
    user::UserEvent,
};
use agora_outbox::{DedupKey, Failure};
use agora_vocab::{Epoch, OrderId, UserId, Variant};

use crate::{
    domain::{AccountEvent, ProductCopy},
    ports::StoreError,
    service::{CartService, Error},
};

/// Name of the consumer group.
pub const CONSUMER: &str = "cart";
/// Topics that the group reads.
pub const TOPICS: &[Topic] = &[topics::PRODUCT, topics::ORDER, topics::USER];

/// The effect of an event.
enum Effect {
    StoreCopy(ProductCopy),
    Complete(OrderId),
    Cancel(OrderId, DedupKey),
    Account(AccountEvent),
}

/// Handles a batch of events. Idempotent: after a failure, the same events may be handled again.
pub async fn handle(service: CartService, envelopes: Vec<Envelope>) -> Result<(), Failure> {
    let effects = envelopes.iter().map(effect).collect::<Result<Vec<_>, _>>()?;
    let (mut copies, mut placed, mut accounts) = (Vec::new(), Vec::new(), Vec::new());
    for effect in effects.into_iter().flatten() {
        match effect {
            Effect::StoreCopy(copy) => copies.push(copy),
            Effect::Account(account) => accounts.push(account),
            Effect::Complete(order) => placed.push(order),
            Effect::Cancel(order, dedup_key) => {
                // The events of an order take effect in their order: the checkout of a placed order is completed before.
                service.complete_checkouts(&std::mem::take(&mut placed)).await.map_err(failure)?;
                service.cancel_checkout(order, &dedup_key).await.map_err(failure)?;
            }
        }
    }
    service.complete_checkouts(&placed).await.map_err(failure)?;
    service.store_copies(&copies).await.map_err(failure)?;
    // Last: what the other events put into a cart goes, too.
    service.erase_carts(&accounts).await.map_err(failure)
}

fn effect(envelope: &Envelope) -> Result<Option<Effect>, Failure> {
    let malformed = |error: serde_json::Error| Failure::Poison(error.into());
    if let Some(event) = envelope.event::<ProductEvent>().map_err(malformed)? {
        return Ok(Some(Effect::StoreCopy(copy(event, Epoch(envelope.epoch)))));
    }
    if let Some(event) = envelope.event::<UserEvent>().map_err(malformed)? {
        return Ok(account(envelope, &event).map(Effect::Account));
    }
    Ok(match envelope.event::<OrderEvent>().map_err(malformed)? {
        Some(OrderEvent::Placed(order)) if order.cart_id.is_some() => Some(Effect::Complete(order.order_id)),
        // Cancelled also ends an order that was never placed.
        Some(OrderEvent::Rejected(order) | OrderEvent::Cancelled(order)) if order.cart_id.is_some() => {
            Some(Effect::Cancel(order.order_id, DedupKey::Event { consumer: CONSUMER, id: envelope.id }))
        }
        _ => None,
    })
}

/// An erasure, or an account that may be back: within one recovery epoch, no event follows the erasure.
fn account(envelope: &Envelope, event: &UserEvent) -> Option<AccountEvent> {
    let (epoch, seq) = (Epoch(envelope.epoch), envelope.seq);
    let of = |user: UserId, erased| Some(AccountEvent { user, erased, epoch, seq });
    match event {
        UserEvent::Erased(erasure) => of(erasure.user_id, true),
        UserEvent::Registered(account) | UserEvent::Updated(account) if envelope.epoch > 0 => {
            of(account.user_id, false)
        }
        _ => None,
    }
}

fn copy(event: ProductEvent, epoch: Epoch) -> ProductCopy {
    match event {
        ProductEvent::Created(product) | ProductEvent::Updated(product) => {
            let Product { product_id, version, name, price, image_url, variant_prices, .. } = product;
            let own = |VariantPrice { variant, price }| (Variant::stored(variant), price);
            ProductCopy {
                product: product_id,
                epoch,
                version,
                name,
                image_url,
                price: Some(price),
                variant_prices: variant_prices.into_iter().map(own).collect(),
                deleted: false,
            }
        }
        ProductEvent::Deleted(ProductDeleted { product_id, version }) => ProductCopy {
            product: product_id,
            epoch,
            version,
            name: String::new(),
            image_url: None,
            price: None,
            variant_prices: BTreeMap::new(),
            deleted: true,
        },
    }
}

/// An unavailable database is retried; every other error is permanent and dead-letters the event.
fn failure(error: Error) -> Failure {
    match error {
        Error::Store(StoreError::Unavailable(_) | StoreError::Running) => Failure::Again(error.into()),
        error => Failure::Poison(error.into()),
    }
}
