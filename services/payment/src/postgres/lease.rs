//! Statements of the worker: each leases rows whose lease has expired and skips rows that another worker has locked.

use agora_vocab::PaymentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    LEASE,
    row::{ATTEMPT, AttemptRow, CallbackRow},
};
use crate::{
    domain::Attempt,
    ports::{PendingOrderCallback, StoreError},
};

/// Leases pending payments.
pub(super) async fn payments(connection: &mut PgConnection, limit: u16) -> Result<Vec<PaymentId>, StoreError> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "update payment set leased_until = now() + $2 where id in (
            select id from payment where status = 'pending' and leased_until < now()
            order by leased_until limit $1 for update skip locked)
         returning id",
    )
    .bind(i64::from(limit))
    .bind(LEASE)
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(PaymentId::new).collect())
}

/// Leases open refund attempts.
pub(super) async fn refunds(connection: &mut PgConnection, limit: u16) -> Result<Vec<Attempt>, StoreError> {
    let rows: Vec<AttemptRow> = sqlx::query_as(concat!(
        "with leased as (
            update payment_attempt set leased_until = now() + $2 where (payment_id, operation, n) in (
                select payment_id, operation, n from payment_attempt
                where state = 'prepared' and operation = 'refund' and leased_until < now()
                order by leased_until limit $1 for update skip locked)
            returning *)
         select ",
        ATTEMPT!("leased"),
        " from leased join payment on payment.id = payment_id"
    ))
    .bind(i64::from(limit))
    .bind(LEASE)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Attempt::try_from).collect()
}

/// Leases order callbacks that are due and counts the try.
pub(super) async fn callbacks(
    connection: &mut PgConnection,
    limit: u16,
) -> Result<Vec<PendingOrderCallback>, StoreError> {
    let rows: Vec<CallbackRow> = sqlx::query_as(
        "update order_notice set due_at = now() + $2, tries = tries + 1 where result_id in (
            select result_id from order_notice where due_at < now() order by due_at limit $1 for update skip locked)
         returning result_id, payment_id, order_id, status",
    )
    .bind(i64::from(limit))
    .bind(LEASE)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(PendingOrderCallback::from).collect())
}
