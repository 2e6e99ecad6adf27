//! The store in PostgreSQL: each method is one transaction that also writes its events and its stored result. Independent
//! of HTTP and Kafka.
//!
//! To prevent deadlocks, every transaction locks rows in the same order: the idempotency key, the product or the hold, the
//! terms of a product, stock rows by (product, variant, warehouse), a new hold. A batch of an import locks its products by id,
//! and is repeated if it meets another one. A term's new name is given to products that
//! are not locked, and to the others later. The row of a hold stores the ids of the messages that changed it;
//! changes of products and adjustments claim their idempotency key.

mod holds;
mod imports;
mod list;
mod localized;
mod named;
mod own_prices;
mod product_rows;
mod products;
mod promotions;
mod rows;
mod stock;
mod terms;
mod variants;
mod warehouses;

use std::sync::Arc;

use agora_outbox::{DedupKey, NewEvent, emit};
use agora_postgres::{Db, Tx};
use agora_vocab::{Epoch, Ids, ProductId};

use crate::{
    domain::StockLevel,
    ports::{ProductCache, StoreError},
};

/// Products, stock and holds in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgCatalog {
    db: Db,
    /// Connections for reads that anybody can request.
    reads: Db,
    ids: Arc<dyn Ids>,
    epoch: Epoch,
    cache: Option<Arc<dyn ProductCache>>,
}

impl PgCatalog {
    /// Creates the store; `ids` generates event ids, and every event carries `epoch`. `reads` serves the pages and products that
    /// anybody can request, so that they do not take the connections of orders.
    pub fn new(db: Db, reads: Db, ids: Arc<dyn Ids>, epoch: Epoch) -> Self {
        Self { db, reads, ids, epoch, cache: None }
    }

    /// Drops every product from `cache` after a change of what clients read of it.
    #[must_use]
    pub fn with_cache(self, cache: Arc<dyn ProductCache>) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// Drops products that a transaction has changed: after its commit, or if the commit failed and may have been applied.
    async fn drop_cached(&self, products: &[ProductId]) {
        if let Some(cache) = &self.cache {
            cache.drop_products(products).await;
        }
    }

    /// Appends the event of a changed stock row; its version is the sequence number.
    async fn append_stock_changed(
        &self,
        tx: &mut Tx,
        level: &StockLevel,
        dedup_key: &DedupKey,
    ) -> Result<(), StoreError> {
        let new_event = NewEvent {
            event: &level.changed(),
            aggregate: level.id,
            seq: level.version,
            correlation: None,
            causation: dedup_key.causation(),
        };
        Ok(emit(tx, &*self.ids, self.epoch, new_event).await?)
    }
}
