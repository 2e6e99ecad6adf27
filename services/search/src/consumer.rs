//! Consumes product and inventory events and stores them in the index. Depends on the use cases, not on SQL. Each effect is
//! idempotent by the version of the product or stock row, so that no event needs a row in the inbox.

use agora_events::{
    Envelope, Topic,
    catalog::{InventoryEvent, ProductDeleted, ProductEvent, StockChanged},
    topics,
};
use agora_outbox::Failure;
use agora_vocab::Variant;
use time::OffsetDateTime;

use crate::{
    domain::{Deleted, Product, ProductChange, StockChange},
    ports::StoreError,
    service::{Error, SearchService},
};

/// Name of the consumer group.
pub const CONSUMER: &str = "search";
/// Topics that the group reads.
pub const TOPICS: &[Topic] = &[topics::PRODUCT, topics::INVENTORY];

/// Handles a batch of events. Idempotent: after a failure, the same events may be handled again.
pub async fn handle(service: SearchService, envelopes: Vec<Envelope>) -> Result<(), Failure> {
    let malformed = |error: serde_json::Error| Failure::Poison(error.into());
    let (mut products, mut stock) = (Vec::new(), Vec::new());
    for envelope in &envelopes {
        if let Some(event) = envelope.event::<ProductEvent>().map_err(malformed)? {
            products.push(product_change(event, envelope.time));
        } else if let Some(InventoryEvent::StockChanged(changed)) =
            envelope.event::<InventoryEvent>().map_err(malformed)?
        {
            stock.push(stock_change(changed));
        }
    }
    service.store(&products, &stock).await.map_err(failure)
}

/// The time of an event is that of its transaction in the catalog, which is also the product's time of change.
fn product_change(event: ProductEvent, at: OffsetDateTime) -> ProductChange {
    match event {
        ProductEvent::Created(product) | ProductEvent::Updated(product) => ProductChange::Stored(Box::new(Product {
            id: product.product_id,
            version: product.version,
            name: product.name,
            description: product.description,
            sku: product.sku,
            price: product.price,
            category: product.category,
            brand: product.brand,
            supplier: product.supplier,
            image_url: product.image_url,
            seller: product.seller_id,
            created_at: at,
            updated_at: at,
            stock: 0,
        })),
        ProductEvent::Deleted(ProductDeleted { product_id, version }) => {
            ProductChange::Deleted(Deleted { id: product_id, version, at })
        }
    }
}

fn stock_change(changed: StockChanged) -> StockChange {
    let StockChanged { product_id, variant, warehouse_id, on_hand, reserved, version } = changed;
    StockChange {
        product: product_id,
        variant: Variant::stored(variant),
        warehouse: warehouse_id,
        units: on_hand.saturating_sub(reserved),
        version,
    }
}

/// An unavailable database is retried; every other error is permanent and dead-letters the event.
fn failure(error: Error) -> Failure {
    match error {
        Error::Store(StoreError::Unavailable(_) | StoreError::Running) => Failure::Again(error.into()),
        error => Failure::Poison(error.into()),
    }
}
