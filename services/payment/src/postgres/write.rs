//! Statements that write payments, attempts, the log, the ledger and order callbacks. Contains no rules of payments.

use agora_outbox::{Account, claimed, settled, told};
use agora_postgres::Tx;
use agora_vocab::{CommandId, Epoch, Money, PaymentId};
use sqlx::{
    PgConnection, Postgres,
    postgres::PgArguments,
    query::{Query, QueryAs},
};
use uuid::Uuid;

use super::{
    LEASE,
    row::{ATTEMPT, AttemptRow, PAYMENT, PaymentRow},
};
use crate::{
    domain::{self, Attempt, AttemptState, Initiator, Operation, Payment, Status},
    ports::{NewPayment, PreparedCapture, StoreError},
};

/// Inserts a payment and its log entry for each row of `$from`; `$known` is the conflict clause.
macro_rules! insert_payment {
    ($from:literal, $known:literal) => {
        concat!(
            "payment as (insert into payment (id, order_id, user_id, door, claimed_minor, amount_minor, currency, status, method,
                token, leased_until)
                select $1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, now() + $10 from ",
            $from,
            $known,
            " returning *),
             logged as (insert into payment_log (payment_id, log_message) select id, 'begun' from payment)
             select ",
            PAYMENT!(),
            " from payment"
        )
    };
}

/// Inserts a payment as `pending` and returns it; none if the id exists.
pub(super) async fn insert(tx: &mut Tx, new: &NewPayment) -> Result<Option<Payment>, StoreError> {
    const INSERT: &str = concat!("with ", insert_payment!("(select) as always", " on conflict (id) do nothing"));
    let written: Option<PaymentRow> = bind_new(INSERT, new).fetch_optional(&mut **tx).await?;
    written.map(Payment::try_from).transpose()
}

/// Acquires the idempotency lease and inserts the payment in one statement. Returns none, without effect, if the key
/// exists.
pub(super) async fn insert_with_lease(
    connection: &mut PgConnection,
    new: &NewPayment,
    account: &Account,
) -> Result<Option<Payment>, StoreError> {
    const INSERT: &str = concat!("with ", claimed!("$11"), ", ", insert_payment!("claimed", ""));
    let statement = bind_new(INSERT, new).bind(account.parameter());
    let written: Option<PaymentRow> = statement.fetch_optional(connection).await?;
    written.map(Payment::try_from).transpose()
}

fn bind_new<'q>(sql: &'static str, new: &'q NewPayment) -> QueryAs<'q, Postgres, PaymentRow, PgArguments> {
    let (minor, currency) =
        (new.amount.map(|amount| amount.amount), new.amount.map(|amount| amount.currency.to_string()));
    let due = (new.initiator == Initiator::Order).then_some(minor).flatten();
    sqlx::query_as(sql)
        .bind(new.id.uuid())
        .bind(new.order.uuid())
        .bind(new.user.uuid())
        .bind(if new.initiator == Initiator::Order { "order" } else { "request" })
        .bind(minor)
        .bind(due)
        .bind(currency)
        .bind(new.method.as_str())
        .bind(new.token.as_ref().map(agora_vocab::Secret::expose))
        .bind(LEASE)
}

/// Stores the amount due and inserts the first capture attempt as `prepared`, in one statement. Returns none, without
/// effect, if the payment is not `pending` or already has an amount due or an attempt.
pub(super) async fn first_attempt(
    connection: &mut PgConnection,
    epoch: Epoch,
    id: PaymentId,
    due: Money,
) -> Result<Option<PreparedCapture>, StoreError> {
    const FIRST: &str = concat!(
        "with payment as (update payment set amount_minor = $2, currency = $3, updated_at = now()
            where id = $1 and status = 'pending' and amount_minor is null
            and not exists (select from payment_attempt where payment_id = $1) returning *),
         prepared as (insert into payment_attempt (intent_id, payment_id, operation, n, amount_minor, provider_key, state,
                leased_until)
            select id, id, $4, $5, $2, $6, 'prepared', now() + $7 from payment)
         select ",
        PAYMENT!(),
        " from payment"
    );
    const N: i32 = 1;
    let row: Option<PaymentRow> = sqlx::query_as(FIRST)
        .bind(id.uuid())
        .bind(due.amount)
        .bind(due.currency.as_str())
        .bind(Operation::Capture.as_str())
        .bind(N)
        .bind(domain::provider_key(epoch, id, Operation::Capture, N))
        .bind(LEASE)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let payment = Payment::try_from(row)?;
    let attempt = Attempt {
        intent: id.uuid(),
        payment: id,
        operation: Operation::Capture,
        n: N,
        amount: due,
        state: AttemptState::Prepared,
        reference: None,
        created_at: payment.updated_at,
    };
    Ok(Some(PreparedCapture { payment, attempt: Some(attempt) }))
}

/// Updates every mutable column of a payment and inserts a log entry. `$if` is an additional condition;
/// [`bind_update`] binds `$1` to `$14`.
macro_rules! update_payment {
    ($if:literal) => {
        concat!(
            "with changed as (update payment set status = $2, amount_minor = $3, currency = coalesce($4, currency),
                captured_minor = $5, refunded_minor = $6, token = $7, reference_id = $8, authorization_code = $9,
                response_code = $10, response_message = $11, result_id = $12, seq = $13, updated_at = now()
                where id = $1",
            $if,
            " returning id, order_id),
             logged as (insert into payment_log (payment_id, log_message) select id, $14 from changed)"
        )
    };
}

/// Updates a payment unconditionally and inserts a log entry.
pub(super) async fn change(tx: &mut Tx, payment: &Payment, log_message: &str) -> Result<(), sqlx::Error> {
    const CHANGE: &str = concat!(update_payment!(""), " select id from changed");
    bind_update(CHANGE, payment, log_message).execute(&mut **tx).await?;
    Ok(())
}

/// Completes a capture in one statement: payment, attempt, ledger entries if captured, the order callback if a shopper
/// is the initiator, and the outbox event in `account`. Returns false, without effect, if the payment is no longer
/// `pending` with the sequence number before `after`'s.
pub(super) async fn complete_capture(
    connection: &mut PgConnection,
    attempt: &Attempt,
    after: &Payment,
    log_message: &str,
    account: &Account,
) -> Result<bool, StoreError> {
    const COMPLETE: &str = concat!(
        update_payment!(" and status = 'pending' and seq = $13 - 1"),
        ", ended as (update payment_attempt a set state = $15, reference_id = $8, updated_at = now() from changed
            where a.payment_id = changed.id and a.operation = 'capture' and a.n = $16 and a.state = 'prepared'),
         txn as (insert into ledger_txn (kind, ref) select 'capture', id from changed where $2 = 'captured' returning id),
         booked as (insert into ledger_entry (txn_id, account, seller_id, currency, amount_minor)
            select txn.id, e.account, e.seller_id, $4, e.amount_minor from txn
            cross join unnest($17::text[], $18::uuid[], $19::bigint[])
                with ordinality as e (account, seller_id, amount_minor, n) order by e.n),
         noticed as (insert into order_notice (result_id, payment_id, order_id, status, due_at)
            select $12, id, order_id, $2, now() + $20 from changed where $21), ",
        told!("$22", "changed"),
        " select id from changed"
    );
    let state = if after.status == Status::Captured { AttemptState::Succeeded } else { AttemptState::Failed };
    let entries = domain::entries(attempt.amount, 1);
    let statement = bind_update(COMPLETE, after, log_message)
        .bind(state.as_str())
        .bind(attempt.n)
        .bind(entries.map(|entry| entry.account))
        .bind(entries.map(|entry| entry.seller.uuid()))
        .bind(entries.map(|entry| entry.amount.amount))
        .bind(LEASE)
        .bind(after.initiator == Initiator::Shopper)
        .bind(account.parameter());
    Ok(account.write(connection, statement, &[]).await?.is_some())
}

fn bind_update<'q>(sql: &'static str, payment: &'q Payment, log_message: &'q str) -> Query<'q, Postgres, PgArguments> {
    let captured = payment.due.filter(|_| payment.status.is_captured()).map_or(0, |due| due.amount);
    sqlx::query(sql)
        .bind(payment.id.uuid())
        .bind(payment.status.as_str())
        .bind(payment.due.map(|due| due.amount))
        .bind(payment.due.map(|due| due.currency.to_string()))
        .bind(captured)
        .bind(payment.refunded_minor)
        .bind(payment.token.as_ref().map(agora_vocab::Secret::expose))
        .bind(&payment.details.reference)
        .bind(&payment.details.authorization)
        .bind(&payment.details.code)
        .bind(&payment.details.message)
        .bind(payment.result.map(CommandId::uuid))
        .bind(payment.seq)
        .bind(log_message)
}

/// Stores the amount due.
pub(super) async fn due(tx: &mut Tx, id: PaymentId, due: Money) -> Result<(), sqlx::Error> {
    sqlx::query("update payment set amount_minor = $2, currency = $3, updated_at = now() where id = $1")
        .bind(id.uuid())
        .bind(due.amount)
        .bind(due.currency.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Leases a payment.
pub(super) async fn lease(tx: &mut Tx, id: PaymentId) -> Result<(), sqlx::Error> {
    sqlx::query("update payment set leased_until = now() + $2 where id = $1")
        .bind(id.uuid())
        .bind(LEASE)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Inserts attempt `n` of an operation as `prepared`.
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

/// Stores the outcome of an attempt. Returns false, without effect, if the attempt is not open.
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

/// Posts the ledger entries of a refund. A second call with the same `refund` is an error.
pub(super) async fn post_refund(tx: &mut Tx, refund: Uuid, amount: Money) -> Result<(), sqlx::Error> {
    let entries = domain::entries(amount, -1);
    sqlx::query(
        "with txn as (insert into ledger_txn (kind, ref) values ('refund', $1) returning id)
         insert into ledger_entry (txn_id, account, seller_id, currency, amount_minor)
         select txn.id, e.account, e.seller_id, $2, e.amount_minor from txn
         cross join unnest($3::text[], $4::uuid[], $5::bigint[]) with ordinality as e (account, seller_id, amount_minor, n)
         order by e.n",
    )
    .bind(refund)
    .bind(amount.currency.as_str())
    .bind(entries.map(|entry| entry.account))
    .bind(entries.map(|entry| entry.seller.uuid()))
    .bind(entries.map(|entry| entry.amount.amount))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Inserts the order callback for the payment's newest result, due after one lease.
pub(super) async fn enqueue_callback(tx: &mut Tx, payment: &Payment) -> Result<(), sqlx::Error> {
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

/// Deletes the acknowledged callback, if any, and completes the request in `account`, if any.
pub(super) async fn complete_request(
    connection: &mut PgConnection,
    acknowledged: Option<CommandId>,
    account: &Account,
) -> Result<(), StoreError> {
    const COMPLETE: &str = concat!(
        "with changed as (select), noted as (delete from order_notice where result_id = $1), ",
        settled!("$2", "changed"),
        " select"
    );
    let statement = sqlx::query(COMPLETE).bind(acknowledged.map(CommandId::uuid)).bind(account.parameter());
    statement.execute(connection).await?;
    Ok(())
}

/// Inserts a log entry for support.
pub(super) async fn log(tx: &mut Tx, payment: PaymentId, message: &str) -> Result<(), sqlx::Error> {
    sqlx::query("insert into payment_log (payment_id, log_message) values ($1, $2)")
        .bind(payment.uuid())
        .bind(message)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
