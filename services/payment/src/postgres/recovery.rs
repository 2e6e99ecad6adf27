//! Requests, leases and callbacks: what a process continues after another one stopped.

use agora_outbox::{IdempotencyLease, StoredResponse};
use agora_vocab::{CommandId, PaymentId};
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    LEASE, PgPayments,
    row::{CallbackRow, RefundAttemptRow},
};
use crate::{
    domain::RefundAttempt,
    ports::{PendingOrderCallback, Recovery, StoreError},
};

#[async_trait]
impl Recovery for PgPayments {
    async fn complete_request(
        &self,
        recovery_id: Uuid,
        response: &StoredResponse,
        acknowledged: Option<CommandId>,
    ) -> Result<(), StoreError> {
        const COMPLETE: &str = "with acknowledged as (delete from pending_order_callback where result_id = $1) \
            select idempotency_complete($2, $3)";
        sqlx::query(COMPLETE)
            .bind(acknowledged.map(CommandId::uuid))
            .bind(recovery_id)
            .bind(response.to_json()?)
            .execute(&mut *self.db.acquire().await?)
            .await?;
        Ok(())
    }

    async fn release_request(&self, recovery_id: Uuid) -> Result<(), StoreError> {
        Ok(IdempotencyLease::release(&mut *self.db.acquire().await?, recovery_id).await?)
    }

    async fn lease_payments(&self, limit: u16) -> Result<Vec<PaymentId>, StoreError> {
        const LEASE_DUE: &str = include_str!("../../sql/lease_payments.sql");
        let lease = sqlx::query_scalar(LEASE_DUE).bind(i64::from(limit)).bind(LEASE);
        let ids: Vec<Uuid> = lease.fetch_all(&mut *self.db.acquire().await?).await?;
        Ok(ids.into_iter().map(PaymentId::new).collect())
    }

    async fn lease_refunds(&self, limit: u16) -> Result<Vec<RefundAttempt>, StoreError> {
        const LEASE_DUE: &str = include_str!("../../sql/lease_refunds.sql");
        let lease = sqlx::query_as(LEASE_DUE).bind(i64::from(limit)).bind(LEASE);
        let rows: Vec<RefundAttemptRow> = lease.fetch_all(&mut *self.db.acquire().await?).await?;
        rows.into_iter().map(RefundAttempt::try_from).collect()
    }

    async fn lease_callbacks(&self, limit: u16) -> Result<Vec<PendingOrderCallback>, StoreError> {
        const LEASE_DUE: &str = include_str!("../../sql/lease_callbacks.sql");
        let lease = sqlx::query_as(LEASE_DUE).bind(i64::from(limit)).bind(LEASE);
        let rows: Vec<CallbackRow> = lease.fetch_all(&mut *self.db.acquire().await?).await?;
        Ok(rows.into_iter().map(PendingOrderCallback::from).collect())
    }

    async fn complete_callback(&self, result: CommandId) -> Result<(), StoreError> {
        const COMPLETE: &str = "delete from pending_order_callback where result_id = $1";
        sqlx::query(COMPLETE).bind(result.uuid()).execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }
}
