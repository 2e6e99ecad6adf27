//! The store of reports. Every method is one transaction.

use std::time::Duration;

use agora_outbox::StoreError;
use async_trait::async_trait;

use crate::domain::{CustomerEvent, ReportedOrder, TopProducts};

/// Reads and refreshes reports.
#[async_trait]
pub trait Reports: Send + Sync {
    /// Stores users as events describe them; idempotent, in any order of events.
    async fn save_customers(&self, events: &[CustomerEvent]) -> Result<(), StoreError>;

    /// At most `limit` products.
    async fn top_products(&self, limit: u16) -> Result<TopProducts, StoreError>;

    /// At most `limit` orders, newest first.
    async fn latest_orders(&self, limit: u16) -> Result<Vec<ReportedOrder>, StoreError>;

    /// Refreshes the reports unless they are younger than `age` or another process refreshes them; returns whether it did.
    async fn refresh(&self, age: Duration) -> Result<bool, StoreError>;
}
