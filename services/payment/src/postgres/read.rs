//! The statements that read one payment, with its row's lock or without.

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

/// A payment.
pub(super) async fn find(connection: &mut PgConnection, id: PaymentId) -> Result<Option<Payment>, StoreError> {
    let row: Option<PaymentRow> = sqlx::query_as(concat!("select ", PAYMENT!(), " from payment where id = $1"))
        .bind(id.uuid())
        .fetch_optional(connection)
        .await?;
    row.map(Payment::try_from).transpose()
}

/// An attempt's payment, and whether the attempt is still to be concluded.
pub(super) async fn still_open(
    connection: &mut PgConnection,
    attempt: &Attempt,
) -> Result<(Payment, bool), StoreError> {
    // The attempt first: one that was open a moment before its payment ended is found to be over by the payment.
    let open = attempts::is_open(connection, attempt).await?;
    let payment = find(connection, attempt.payment).await?.ok_or(StoreError::NotFound(attempt.payment))?;
    let open = open && payment.status == Status::Pending;
    Ok((payment, open))
}

/// A payment under its row's lock.
pub(super) async fn lock(tx: &mut Tx, id: PaymentId) -> Result<Payment, StoreError> {
    let row: Option<PaymentRow> =
        sqlx::query_as(concat!("select ", PAYMENT!(), " from payment where id = $1 for update"))
            .bind(id.uuid())
            .fetch_optional(&mut **tx)
            .await?;
    row.ok_or(StoreError::NotFound(id))?.try_into()
}
