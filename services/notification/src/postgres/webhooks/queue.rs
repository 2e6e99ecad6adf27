//! The queue of deliveries: leases, ends of attempts, and the deletion of what is old.

use std::time::Duration;

use async_trait::async_trait;

use super::rows::{DueRow, EndedRow};
use crate::{
    domain::webhook::FAILING_MAX,
    ports::{AttemptEnd, DueDelivery, Ended, StoreError, WebhookQueue},
    postgres::{PgNotifications, rows::broken},
};

/// How long events and deliveries are kept, in days.
const DAYS_KEPT: i32 = 30;
/// Events that one statement deletes at most, each with its deliveries, and rows of other tables.
const EVENTS_DELETED_MAX: i64 = 200;
const DELETED_MAX: i64 = 1_000;
/// Deliveries are counted up to so many.
const COUNTED_MAX: i64 = 100_000;
const SECONDS_OF_AN_HOUR: u64 = 3_600;

#[async_trait]
impl WebhookQueue for PgNotifications {
    async fn lease_deliveries(
        &self,
        limit: u16,
        per_endpoint: u16,
        duration: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        const LEASE: &str = include_str!("../../../sql/lease_webhook_deliveries.sql");
        let lease = sqlx::query_as(LEASE).bind(i64::from(limit)).bind(i64::from(per_endpoint));
        let lease = lease.bind(duration.as_secs_f64());
        let rows: Vec<DueRow> = lease.fetch_all(&mut *self.db.acquire().await?).await?;
        Ok(rows.into_iter().map(DueDelivery::from).collect())
    }

    async fn end_attempt(&self, due: &DueDelivery, end: &AttemptEnd) -> Result<Ended, StoreError> {
        const END: &str = include_str!("../../../sql/end_webhook_attempt.sql");
        let AttemptEnd { state, wait, status_code, answer, error, gone } = end;
        let failing_hours = i32::try_from(FAILING_MAX.as_secs() / SECONDS_OF_AN_HOUR).map_err(broken)?;
        let row: EndedRow = sqlx::query_as(END)
            .bind(due.endpoint)
            .bind(due.event)
            .bind(due.attempt)
            .bind(state.as_str())
            .bind(wait.as_secs_f64())
            .bind(status_code.map(i32::from))
            .bind(answer)
            .bind(error)
            .bind(gone)
            .bind(failing_hours)
            .fetch_one(&mut *self.db.acquire().await?)
            .await?;
        row.try_into()
    }

    async fn waiting_deliveries(&self) -> Result<u64, StoreError> {
        const COUNT: &str =
            "select count(*) from (select from webhook_delivery where state = 'waiting' limit $1) as waiting";
        let count = sqlx::query_scalar(COUNT).bind(COUNTED_MAX);
        let count: i64 = count.fetch_one(&mut *self.db.acquire().await?).await?;
        u64::try_from(count).map_err(broken)
    }

    async fn sweep_webhooks(&self) -> Result<u64, StoreError> {
        const OLD: &str = include_str!("../../../sql/delete_old_webhook_events.sql");
        const DELIVERIES: &str = include_str!("../../../sql/delete_webhook_deliveries_of_deleted.sql");
        const ENDPOINTS: &str = include_str!("../../../sql/delete_deleted_webhooks.sql");
        const SECRETS: &str = "delete from webhook_secret where expires_at < now()";
        let mut connection = self.db.acquire().await?;
        let old = sqlx::query(OLD).bind(DAYS_KEPT).bind(EVENTS_DELETED_MAX);
        let mut deleted = old.execute(&mut *connection).await?.rows_affected();
        for sql in [DELIVERIES, ENDPOINTS] {
            deleted += sqlx::query(sql).bind(DELETED_MAX).execute(&mut *connection).await?.rows_affected();
        }
        deleted += sqlx::query(SECRETS).execute(&mut *connection).await?.rows_affected();
        Ok(deleted)
    }
}
