//! The idempotency leases of the requests that create orders.

use std::time::Duration;

use agora_outbox::{Acquisition, DedupKey, DedupRecord, IdempotencyLease};
use agora_vocab::{OrderId, UserId};
use async_trait::async_trait;
use sqlx::postgres::types::PgInterval;
use time::OffsetDateTime;

use super::PgOrders;
use crate::{
    domain,
    ports::{IdempotencyLeases, Issued, RequestLease, StoreError},
};

/// Duration of an idempotency lease; after that a retry may continue the request.
const IDEMPOTENCY_LEASE: Duration = Duration::from_secs(10);
/// Age after which the worker handles an incomplete idempotency lease.
const EXPIRED_AFTER: Duration = Duration::from_mins(1);

#[async_trait]
impl IdempotencyLeases for PgOrders {
    async fn acquire_idempotency_lease(
        &self,
        dedup_key: &DedupKey,
        fresh: OrderId,
        user: UserId,
    ) -> Result<RequestLease, StoreError> {
        // The common case, a new key, needs one statement.
        let acquired = self.acquire_new(dedup_key, fresh, user).await?;
        if let Some(lease) = acquired {
            return Ok(lease);
        }
        let mut tx = self.db.begin().await?;
        let acquisition = IdempotencyLease::acquire(&mut tx, dedup_key, fresh.uuid(), IDEMPOTENCY_LEASE).await?;
        let (at, sequence_value) = sqlx::query_as("select now(), nextval('order_number')").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        let (order, resumed) = match acquisition {
            Acquisition::Started { recovery_id } => (OrderId::new(recovery_id), false),
            Acquisition::Resumed { recovery_id } => (OrderId::new(recovery_id), true),
            Acquisition::InProgress { .. } => return Ok(RequestLease::InProgress),
            Acquisition::Completed(response) => return Ok(RequestLease::Completed(response)),
        };
        Ok(RequestLease::Held { order, resumed, issued: self.issued(at, sequence_value) })
    }

    async fn cancel_idempotency_lease(&self, order: OrderId) -> Result<bool, StoreError> {
        const EXISTS: &str = "select exists (select from orders where id = $1)";
        const LOCK: &str = "select from idempotency where recovery_id = $1 for update";
        let mut tx = self.db.begin().await?;
        sqlx::query(LOCK).bind(order.uuid()).execute(&mut *tx).await?;
        if sqlx::query_scalar(EXISTS).bind(order.uuid()).fetch_one(&mut *tx).await? {
            return Ok(false);
        }
        IdempotencyLease::cancel(&mut tx, order.uuid()).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn expired_idempotency_leases(&self, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        const EXTEND: &str =
            "update idempotency set lease_until = now() + make_interval(secs => $2) where recovery_id = any ($1)";
        let mut tx = self.db.begin().await?;
        let stale = IdempotencyLease::expired(&mut tx, EXPIRED_AFTER, limit).await?;
        if !stale.is_empty() {
            sqlx::query(EXTEND).bind(&stale).bind(IDEMPOTENCY_LEASE.as_secs_f64()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(stale.into_iter().map(OrderId::new).collect())
    }
}

impl PgOrders {
    /// Acquires the lease of a new key of a user who is not blocked; `None` if the key is stored already.
    async fn acquire_new(
        &self,
        dedup_key: &DedupKey,
        fresh: OrderId,
        user: UserId,
    ) -> Result<Option<RequestLease>, StoreError> {
        let duration = PgInterval::try_from(IDEMPOTENCY_LEASE).map_err(StoreError::Broken)?;
        let (blocked, acquired, at, sequence_value): (bool, bool, _, Option<i64>) =
            sqlx::query_as(include_str!("../../sql/acquire_lease.sql"))
                .bind(DedupRecord::lease(dedup_key))
                .bind(fresh.uuid())
                .bind(duration)
                .bind(user.uuid())
                .fetch_one(&mut *self.db.acquire().await?)
                .await?;
        if blocked {
            return Ok(Some(RequestLease::Blocked));
        }
        let held = |value| RequestLease::Held { order: fresh, resumed: false, issued: self.issued(at, value) };
        Ok(sequence_value.filter(|_| acquired).map(held))
    }

    fn issued(&self, at: OffsetDateTime, sequence_value: i64) -> Issued {
        Issued { number: domain::number(self.epoch, sequence_value), at }
    }
}
