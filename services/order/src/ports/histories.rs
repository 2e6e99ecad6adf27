//! Reads of orders with their histories, for verification.

use agora_outbox::StoreError;
use agora_vocab::OrderId;
use async_trait::async_trait;

use crate::domain::StoredOrder;

/// All orders and all histories, in pages.
#[async_trait]
pub trait Histories: Send + Sync {
    /// At most `limit` orders after `after`, by id, each with its history as of the same moment. A row or a history that cannot
    /// be read is part of the result and not an error.
    async fn page(&self, after: Option<OrderId>, limit: u16) -> Result<Vec<StoredOrder>, StoreError>;
}
