//! Consumes product and order events: stores product copies, completes or cancels checkouts. Depends on the use cases, not
//! on SQL. Each handler is idempotent by the version of the copy or the state of the checkout.

use agora_events::{
    Envelope, Topic,
    catalog::{Product, ProductDeleted, ProductEvent},
    order::OrderEvent,
    topics,
};
use agora_outbox::{DedupKey, Failure};

use crate::{
    domain::ProductCopy,
    ports::StoreError,
    usecases::{CartService, Error},
};

/// Name of the consumer group.
pub const CONSUMER: &str = "cart";
/// Topics that the group reads.
pub const TOPICS: &[Topic] = &[topics::PRODUCT, topics::ORDER];

/// Handles one event. Idempotent.
pub async fn handle(service: CartService, envelope: Envelope) -> Result<(), Failure> {
    let dedup_key = DedupKey::Event { consumer: CONSUMER, id: envelope.id };
    let malformed = |error: serde_json::Error| Failure::Poison(error.into());
    if let Some(event) = envelope.event::<ProductEvent>().map_err(malformed)? {
        return service.store_copy(&copy(event), &dedup_key).await.map_err(failure);
    }
    match envelope.event::<OrderEvent>().map_err(malformed)? {
        Some(OrderEvent::Placed(order)) if order.cart_id.is_some() => {
            service.complete_checkout(order.order_id, &dedup_key).await.map_err(failure)
        }
        // Cancelled also ends an order that was never placed; the checkout of a placed order is already completed.
        Some(OrderEvent::Rejected(order) | OrderEvent::Cancelled(order)) if order.cart_id.is_some() => {
            service.cancel_checkout(order.order_id, &dedup_key).await.map(drop).map_err(failure)
        }
        _ => Ok(()),
    }
}

fn copy(event: ProductEvent) -> ProductCopy {
    match event {
        ProductEvent::Created(product) | ProductEvent::Updated(product) => {
            let Product { product_id, version, name, price, image_url, .. } = product;
            ProductCopy { product: product_id, version, name, image_url, price: Some(price), deleted: false }
        }
        ProductEvent::Deleted(ProductDeleted { product_id, version }) => ProductCopy {
            product: product_id,
            version,
            name: String::new(),
            image_url: None,
            price: None,
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
