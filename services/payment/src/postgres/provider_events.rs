//! Messages of the provider: stored once, processed until the payment was compared with the provider.

use std::time::Duration;

use async_trait::async_trait;

use super::{LEASE, PgPayments};
use crate::ports::{ProviderEvent, ProviderEvents, StoreError, StoredEvent};

#[async_trait]
impl ProviderEvents for PgPayments {
    async fn insert_event(&self, provider: &str, event: &ProviderEvent) -> Result<bool, StoreError> {
        const INSERT: &str = include_str!("../../sql/insert_provider_event.sql");
        let insert = sqlx::query(INSERT)
            .bind(provider)
            .bind(&event.id)
            .bind(&event.kind)
            .bind(event.reference.as_deref())
            .bind(LEASE);
        Ok(insert.fetch_optional(&mut *self.db.acquire().await?).await?.is_some())
    }

    async fn lease_events(&self, limit: u16) -> Result<Vec<StoredEvent>, StoreError> {
        const LEASE_DUE: &str = include_str!("../../sql/lease_provider_events.sql");
        let lease = sqlx::query_as(LEASE_DUE).bind(i64::from(limit)).bind(LEASE);
        let rows: Vec<(String, String, Option<String>)> = lease.fetch_all(&mut *self.db.acquire().await?).await?;
        Ok(rows.into_iter().map(|(provider, id, reference)| StoredEvent { provider, id, reference }).collect())
    }

    async fn complete_event(&self, event: &StoredEvent) -> Result<(), StoreError> {
        const COMPLETE: &str = "update provider_event set processed_at = now(), due_at = null \
            where provider = $1 and event_id = $2 and processed_at is null";
        let complete = sqlx::query(COMPLETE).bind(&event.provider).bind(&event.id);
        complete.execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    async fn delete_events(&self, age: Duration, limit: u16) -> Result<u64, StoreError> {
        const DELETE: &str = include_str!("../../sql/delete_provider_events.sql");
        let delete = sqlx::query(DELETE).bind(age).bind(i64::from(limit));
        Ok(delete.execute(&mut *self.db.acquire().await?).await?.rows_affected())
    }
}
