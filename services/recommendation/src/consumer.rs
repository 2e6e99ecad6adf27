//! Consumes order, product and inventory events: what users bought, and what can be recommended. Depends on the use cases, not
//! on SQL. Each effect is idempotent by the newest event of its order, product or stock row, so that no event needs a row in the
//! inbox.

use agora_events::{
    Envelope, Topic,
    catalog::{InventoryEvent, Product, ProductDeleted, ProductEvent, StockChanged},
    order::{OrderEvent, OrderLine},
    topics,
};
use agora_outbox::Failure;

use crate::{
    domain::{ProductCopy, ProductState, Purchase, PurchaseLine, Revision, StockKey, StockLevel, newest},
    ports::{EventBatch, StoreError},
    service::RecommendationService,
};

/// Name of the consumer group.
pub const CONSUMER: &str = "recommendation";
/// Topics that the group reads.
pub const TOPICS: &[Topic] = &[topics::ORDER, topics::PRODUCT, topics::INVENTORY];

/// Handles a batch of events. Idempotent: after a failure, the same events may be handled again.
pub async fn handle(service: RecommendationService, envelopes: Vec<Envelope>) -> Result<(), Failure> {
    let (mut purchases, mut products, mut stock) = (Vec::new(), Vec::new(), Vec::new());
    for envelope in &envelopes {
        let malformed = |error: serde_json::Error| Failure::Poison(error.into());
        if let Some(event) = envelope.event::<OrderEvent>().map_err(malformed)? {
            purchases.extend(purchase(envelope, &event));
        } else if let Some(event) = envelope.event::<ProductEvent>().map_err(malformed)? {
            products.push(copy(envelope, event));
        } else if let Some(InventoryEvent::StockChanged(level)) = envelope.event().map_err(malformed)? {
            stock.push(stock_level(envelope, level));
        }
    }
    let batch = EventBatch { purchases: newest(purchases), products: newest(products), stock: newest(stock) };
    if batch == EventBatch::default() {
        return Ok(());
    }
    service.apply(&batch).await.map_err(failure)
}

/// `None`: the order is not placed yet, so that nobody bought anything.
fn purchase(envelope: &Envelope, event: &OrderEvent) -> Option<Purchase> {
    let counted = match event {
        OrderEvent::Created(_) => return None,
        OrderEvent::Placed(_)
        | OrderEvent::Paid(_)
        | OrderEvent::Processing(_)
        | OrderEvent::Shipped(_)
        | OrderEvent::Completed(_) => true,
        OrderEvent::Cancelled(_) | OrderEvent::Rejected(_) | OrderEvent::Expired(_) | OrderEvent::Refunded(_) => false,
    };
    let order = event.order();
    let line = |line: &OrderLine| PurchaseLine {
        product: line.product_id,
        quantity: i64::from(line.quantity),
        category: line.category.clone(),
    };
    Some(Purchase {
        order: order.order_id,
        user: order.user_id,
        revision: revision(envelope, envelope.seq),
        counted,
        changed_at: envelope.time,
        lines: Purchase::merge_lines(order.items.iter().map(line)),
    })
}

fn copy(envelope: &Envelope, event: ProductEvent) -> ProductCopy {
    let (product, version, state) = match event {
        ProductEvent::Created(product) | ProductEvent::Updated(product) => {
            let Product { product_id, version, name, category, image_url, price, .. } = product;
            (product_id, version, ProductState::Sold { name, category, image_url, price })
        }
        ProductEvent::Deleted(ProductDeleted { product_id, version }) => (product_id, version, ProductState::Deleted),
    };
    ProductCopy { product, revision: revision(envelope, version), state }
}

fn stock_level(envelope: &Envelope, level: StockChanged) -> StockLevel {
    let StockChanged { product_id, variant, warehouse_id, on_hand, reserved, version } = level;
    StockLevel {
        key: StockKey { product: product_id, variant, warehouse: warehouse_id },
        revision: revision(envelope, version),
        available: on_hand.saturating_sub(reserved),
    }
}

fn revision(envelope: &Envelope, number: i64) -> Revision {
    Revision { epoch: i64::from(envelope.epoch), number }
}

/// An unavailable database is retried; every other error is permanent and dead-letters the event.
fn failure(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable(_) | StoreError::Running => Failure::Again(error.into()),
        error => Failure::Poison(error.into()),
    }
}
