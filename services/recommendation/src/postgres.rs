//! The store in PostgreSQL. Independent of HTTP, Kafka and Redis.
//!
//! No deadlock is possible: every transaction locks in this order, and several rows of a table in the order of their ids:
//! idempotency key, purchases, products, stock levels, pairs, recommendations, the recomputation. What waits for the rows of others skips locked
//! ones.

mod candidates;
mod feedback;
mod projection;
mod recomputations;
mod results;
mod rows;

use std::{sync::Arc, time::Duration};

use agora_postgres::Db;
use agora_vocab::{Epoch, Ids};
use sqlx::postgres::types::PgInterval;

use crate::ports::StoreError;

/// Purchases, products, votes and results in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgRecommendations {
    db: Db,
    ids: Arc<dyn Ids>,
    epoch: Epoch,
}

impl PgRecommendations {
    /// Creates the store; `ids` generates event ids, and every event carries `epoch`.
    pub fn new(db: Db, ids: Arc<dyn Ids>, epoch: Epoch) -> Self {
        Self { db, ids, epoch }
    }
}

fn interval(duration: Duration) -> Result<PgInterval, StoreError> {
    PgInterval::try_from(duration).map_err(StoreError::Broken)
}
