//! Sagas and their leases.

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::OrderId;
use async_trait::async_trait;
use sqlx::postgres::types::PgInterval;

use super::{PgOrders, TRIES_MAX, parcels, read::find, row::SagaRow, take_lease};
use crate::{
    domain::{LEASE, RunnerId, SagaEvent, SagaLease},
    ports::{ApplyError, Orders as _, SagaSnapshot, Sagas, StoreError},
};

/// Orders that one look of the worker postpones, at most: more than are created in the second between two looks.
const POSTPONED_MAX: i64 = 1_000;

#[async_trait]
impl Sagas for PgOrders {
    async fn advance(
        &self,
        known: SagaSnapshot,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: RunnerId,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        let order = known.state.order.id;
        if events.iter().any(SagaEvent::is_of_parcels) {
            return self.apply_in_transaction(order, events, dedup_key, Some(runner)).await;
        }
        let done = {
            let mut connection = self.db.acquire().await.map_err(StoreError::from)?;
            self.change(&mut connection, known, events, dedup_key, Some(runner)).await
        };
        match done {
            Ok(Some(snapshot)) => Ok(Outcome::Applied(snapshot)),
            // `known` may be outdated, so a rejection is not final: read again.
            Ok(None) | Err(ApplyError::Refused(_)) => self.apply(order, events, dedup_key, Some(runner)).await,
            Err(error) => Err(error),
        }
    }

    async fn acquire_lease(&self, order: OrderId, runner: RunnerId) -> Result<Option<SagaSnapshot>, StoreError> {
        let mut connection = self.db.acquire().await?;
        for _ in 0..TRIES_MAX {
            let Some(found) = find(&mut connection, order).await? else { return Ok(None) };
            let snapshot = take_lease(&mut connection, found, runner).await?;
            if snapshot.is_some() {
                return Ok(snapshot);
            }
        }
        Err(StoreError::Running)
    }

    async fn lease_due(&self, runner: RunnerId, limit: u32) -> Result<Vec<SagaSnapshot>, StoreError> {
        let mut connection = self.db.acquire().await?;
        let postpone = sqlx::query(include_str!("../../sql/postpone_due.sql"));
        postpone.bind(POSTPONED_MAX).execute(&mut *connection).await?;
        let duration = PgInterval::try_from(LEASE).map_err(StoreError::Broken)?;
        let rows: Vec<SagaRow> = sqlx::query_as(include_str!("../../sql/lease_due.sql"))
            .bind(runner.0)
            .bind(i64::from(limit))
            .bind(duration)
            .fetch_all(&mut *connection)
            .await?;
        let due: Result<Vec<_>, StoreError> =
            rows.into_iter().map(|row| Ok(leased(row.into_snapshot()?, runner))).collect();
        let mut due = due?;
        parcels::attach(&mut connection, due.iter_mut().map(|snapshot| &mut snapshot.state.order).collect()).await?;
        Ok(due)
    }

    async fn release_lease(&self, order: OrderId, runner: RunnerId) -> Result<(), StoreError> {
        sqlx::query(include_str!("../../sql/release_lease.sql"))
            .bind(order.uuid())
            .bind(runner.0)
            .execute(&mut *self.db.acquire().await?)
            .await?;
        Ok(())
    }

    async fn stuck(&self) -> Result<u64, StoreError> {
        const STUCK: &str = "select count(*) from orders where due_at is not null and phase = 'stuck'";
        let mut connection = self.db.acquire().await?;
        let count: i64 = sqlx::query_scalar(STUCK).fetch_one(&mut *connection).await?;
        Ok(count.unsigned_abs())
    }
}

/// The snapshot after `lease_due.sql`, which returns the row as it was before.
fn leased(before: SagaSnapshot, runner: RunnerId) -> SagaSnapshot {
    let lease = SagaLease { owner: Some(runner.0), until: Some(before.now + LEASE) };
    SagaSnapshot { lease, leased: true, revision: before.revision + 1, ..before }
}
