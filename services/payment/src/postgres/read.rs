//! Statements that read one payment, with or without a row lock.

use agora_postgres::Tx;
use agora_vocab::PaymentId;
use sqlx::PgConnection;

use super::{
    attempts,
    row::{PAYMENT, PaymentRow},
};
use crate::{
    domain::{Attempt, Payment, Status},
    ports::StoreError,
};

/// Reads a payment without a lock.
pub(super) async fn find(connection: &mut PgConnection, id: PaymentId) -> Result<Option<Payment>, StoreError> {
    let row: Option<PaymentRow> = sqlx::query_as(concat!("select ", PAYMENT!(), " from payment where id = $1"))
        .bind(id.uuid())
        .fetch_optional(connection)
        .await?;
    row.map(Payment::try_from).transpose()
}

/// Reads the payment of an attempt, and whether the attempt can still be completed.
pub(super) async fn find_with_open_attempt(
    connection: &mut PgConnection,
    attempt: &Attempt,
) -> Result<(Payment, bool), StoreError> {
    // Reads the attempt before the payment: if both are completed in between, the payment's status shows it.
    let open = attempts::is_open(connection, attempt).await?;
    let payment = find(connection, attempt.payment).await?.ok_or(StoreError::NotFound(attempt.payment))?;
    let open = open && payment.status == Status::Pending;
    Ok((payment, open))
}

/// Reads a payment and locks its row until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, id: PaymentId) -> Result<Payment, StoreError> {
    let row: Option<PaymentRow> =
        sqlx::query_as(concat!("select ", PAYMENT!(), " from payment where id = $1 for update"))
            .bind(id.uuid())
            .fetch_optional(&mut **tx)
            .await?;
    row.ok_or(StoreError::NotFound(id))?.try_into()
}
