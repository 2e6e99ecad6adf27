//! The statements that write: payments, attempts, the log, the ledger, notices.

use agora_postgres::Tx;
use agora_vocab::{CommandId, Epoch, Money, PaymentId};
use uuid::Uuid;

use super::{
    LEASE,
    row::{ATTEMPT, AttemptRow, PAYMENT, PaymentRow},
};
use crate::{
    domain::{self, Attempt, AttemptState, Door, Operation, Payment},
    ports::{NewPayment, StoreError},
};

/// Writes a payment `pending`, and gives it; none if it is there.
pub(super) async fn insert(tx: &mut Tx, new: &NewPayment) -> Result<Option<Payment>, StoreError> {
    const INSERT: &str = concat!(
        "with payment as (insert into payment (id, order_id, user_id, door, claimed_minor, amount_minor, currency, status, method,
                token, leased_until)
            values ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, now() + $10) on conflict (id) do nothing returning *),
         logged as (insert into payment_log (payment_id, log_message) select id, 'begun' from payment)
         select ",
        PAYMENT!(),
        " from payment"
    );
    let (minor, currency) =
        (new.amount.map(|amount| amount.amount), new.amount.map(|amount| amount.currency.to_string()));
    let due = (new.door == Door::Order).then_some(minor).flatten();
    let written: Option<PaymentRow> = sqlx::query_as(INSERT)
        .bind(new.id.uuid())
        .bind(new.order.uuid())
        .bind(new.user.uuid())
        .bind(if new.door == Door::Order { "order" } else { "request" })
        .bind(minor)
        .bind(due)
        .bind(currency)
        .bind(new.method.as_str())
        .bind(new.token.as_ref().map(agora_vocab::Secret::expose))
        .bind(LEASE)
        .fetch_optional(&mut **tx)
        .await?;
    written.map(Payment::try_from).transpose()
}

/// Writes a payment back, all that may change, and says in words what happened.
pub(super) async fn change(tx: &mut Tx, payment: &Payment, words: &str) -> Result<(), sqlx::Error> {
    const CHANGE: &str =
        "with changed as (update payment set status = $2, amount_minor = $3, currency = coalesce($4, currency),
            captured_minor = $5, refunded_minor = $6, token = $7, reference_id = $8, authorization_code = $9,
            response_code = $10, response_message = $11, result_id = $12, seq = $13, updated_at = now()
            where id = $1 returning id)
         insert into payment_log (payment_id, log_message) select id, $14 from changed";
    let captured = payment.due.filter(|_| payment.status.took_money()).map_or(0, |due| due.amount);
    sqlx::query(CHANGE)
        .bind(payment.id.uuid())
        .bind(payment.status.as_str())
        .bind(payment.due.map(|due| due.amount))
        .bind(payment.due.map(|due| due.currency.to_string()))
        .bind(captured)
        .bind(payment.refunded_minor)
        .bind(payment.token.as_ref().map(agora_vocab::Secret::expose))
        .bind(&payment.facts.reference)
        .bind(&payment.facts.authorization)
        .bind(&payment.facts.code)
        .bind(&payment.facts.message)
        .bind(payment.result.map(CommandId::uuid))
        .bind(payment.seq)
        .bind(words)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes what the order says a payment costs.
pub(super) async fn due(tx: &mut Tx, id: PaymentId, due: Money) -> Result<(), sqlx::Error> {
    sqlx::query("update payment set amount_minor = $2, currency = $3, updated_at = now() where id = $1")
        .bind(id.uuid())
        .bind(due.amount)
        .bind(due.currency.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Owns a payment for one lease.
pub(super) async fn lease(tx: &mut Tx, id: PaymentId) -> Result<(), sqlx::Error> {
    sqlx::query("update payment set leased_until = now() + $2 where id = $1")
        .bind(id.uuid())
        .bind(LEASE)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes attempt `n` of an operation, `prepared`, and gives it.
pub(super) async fn attempt(
    tx: &mut Tx,
    epoch: Epoch,
    (payment, intent): (PaymentId, Uuid),
    operation: Operation,
    n: i32,
    amount: Money,
) -> Result<Attempt, StoreError> {
    const ATTEMPT: &str = concat!(
        "with made as (insert into payment_attempt (intent_id, payment_id, operation, n, amount_minor, provider_key, state,
                leased_until)
            values ($1, $2, $3, $4, $5, $6, 'prepared', now() + $7) returning *)
         select ",
        ATTEMPT!("made"),
        " from made join payment on payment.id = payment_id"
    );
    let made: AttemptRow = sqlx::query_as(ATTEMPT)
        .bind(intent)
        .bind(payment.uuid())
        .bind(operation.as_str())
        .bind(n)
        .bind(amount.amount)
        .bind(domain::provider_key(epoch, payment, operation, n))
        .bind(LEASE)
        .fetch_one(&mut **tx)
        .await?;
    made.try_into()
}

/// Ends an attempt. Whether it was still open.
pub(super) async fn end_attempt(
    tx: &mut Tx,
    attempt: &Attempt,
    state: AttemptState,
    reference: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query(
        "update payment_attempt set state = $4, reference_id = $5, updated_at = now()
         where payment_id = $1 and operation = $2 and n = $3 and state = 'prepared'",
    )
    .bind(attempt.payment.uuid())
    .bind(attempt.operation.as_str())
    .bind(attempt.n)
    .bind(state.as_str())
    .bind(reference)
    .execute(&mut **tx)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Writes the two sides of money that moved; once per `reference`.
pub(super) async fn ledger(
    tx: &mut Tx,
    operation: Operation,
    reference: Uuid,
    amount: Money,
) -> Result<(), sqlx::Error> {
    let sign = if operation == Operation::Capture { 1 } else { -1 };
    let entries = domain::entries(amount, sign);
    sqlx::query(
        "with txn as (insert into ledger_txn (kind, ref) values ($1, $2) returning id)
         insert into ledger_entry (txn_id, account, seller_id, currency, amount_minor)
         select txn.id, e.account, e.seller_id, $3, e.amount_minor from txn
         cross join unnest($4::text[], $5::uuid[], $6::bigint[]) with ordinality as e (account, seller_id, amount_minor, n)
         order by e.n",
    )
    .bind(operation.as_str())
    .bind(reference)
    .bind(amount.currency.as_str())
    .bind(entries.map(|entry| entry.account))
    .bind(entries.map(|entry| entry.seller.uuid()))
    .bind(entries.map(|entry| entry.amount.amount))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that the order must be told the payment's newest result.
pub(super) async fn notice(tx: &mut Tx, payment: &Payment) -> Result<(), sqlx::Error> {
    sqlx::query("insert into order_notice (result_id, payment_id, order_id, status, due_at) values ($1, $2, $3, $4, now() + $5)")
        .bind(payment.result.map(CommandId::uuid))
        .bind(payment.id.uuid())
        .bind(payment.order.uuid())
        .bind(payment.status.as_str())
        .bind(LEASE)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Says in words what happened.
pub(super) async fn log(tx: &mut Tx, payment: PaymentId, message: &str) -> Result<(), sqlx::Error> {
    sqlx::query("insert into payment_log (payment_id, log_message) values ($1, $2)")
        .bind(payment.uuid())
        .bind(message)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
