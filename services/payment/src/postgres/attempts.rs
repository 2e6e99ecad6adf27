//! Statements that read attempts. Contains no rules of payments.

use agora_vocab::PaymentId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::row::{ATTEMPT, AttemptRow};
use crate::{
    domain::{Attempt, Operation},
    ports::StoreError,
};

/// Returns the newest attempt of an operation.
pub(super) async fn latest(
    db: &mut PgConnection,
    id: PaymentId,
    operation: Operation,
) -> Result<Option<Attempt>, StoreError> {
    Ok(attempts(db, id, operation).await?.pop())
}

/// Returns every attempt of an operation, oldest first.
pub(super) async fn attempts(
    db: &mut PgConnection,
    id: PaymentId,
    operation: Operation,
) -> Result<Vec<Attempt>, StoreError> {
    let rows: Vec<AttemptRow> = sqlx::query_as(concat!(
        "select ", ATTEMPT!("payment_attempt"), " from payment_attempt join payment on payment.id = payment_id where payment_id = $1 and operation = $2 order by n"
    ))
    .bind(id.uuid())
    .bind(operation.as_str())
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Attempt::try_from).collect()
}

/// Returns whether an attempt has no outcome yet.
pub(super) async fn is_open(db: &mut PgConnection, attempt: &Attempt) -> Result<bool, StoreError> {
    const OPEN: &str = "select exists (select from payment_attempt \
        where payment_id = $1 and operation = $2 and n = $3 and state = 'prepared')";
    let open = sqlx::query_scalar(OPEN).bind(attempt.payment.uuid()).bind(attempt.operation.as_str()).bind(attempt.n);
    Ok(open.fetch_one(db).await?)
}

/// Returns the newest attempt of a refund.
pub(super) async fn latest_refund(db: &mut PgConnection, intent: Uuid) -> Result<Option<Attempt>, StoreError> {
    let row: Option<AttemptRow> = sqlx::query_as(concat!(
        "select ",
        ATTEMPT!("payment_attempt"),
        " from payment_attempt join payment on payment.id = payment_id
         where intent_id = $1 and operation = 'refund' order by n desc limit 1"
    ))
    .bind(intent)
    .fetch_optional(db)
    .await?;
    row.map(Attempt::try_from).transpose()
}

/// The number of the attempt after `last`, from 1.
pub(super) fn next_number(last: Option<&Attempt>) -> i32 {
    last.map_or(1, |last| last.n + 1)
}
