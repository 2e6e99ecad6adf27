//! The statements that write: payments, attempts, the log, the ledger, notices.

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
    domain::{self, Attempt, AttemptState, Door, Operation, Payment, Status},
    ports::{NewPayment, Prepared, StoreError},
};

/// The insertion of a payment from row `$from`, and what becomes of a payment that is there.
macro_rules! begun {
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

/// Writes a payment `pending`, and gives it; none if it is there.
pub(super) async fn insert(tx: &mut Tx, new: &NewPayment) -> Result<Option<Payment>, StoreError> {
    const INSERT: &str = concat!("with ", begun!("(select) as always", " on conflict (id) do nothing"));
    let written: Option<PaymentRow> = new_bound(INSERT, new).fetch_optional(&mut **tx).await?;
    written.map(Payment::try_from).transpose()
}

/// The same with the claim of its request, in one statement; none, and nothing claimed, if the key was claimed before.
pub(super) async fn claim(
    connection: &mut PgConnection,
    new: &NewPayment,
    account: &Account,
) -> Result<Option<Payment>, StoreError> {
    const CLAIM: &str = concat!("with ", claimed!("$11"), ", ", begun!("claimed", ""));
    let claim = new_bound(CLAIM, new).bind(account.parameter());
    let written: Option<PaymentRow> = claim.fetch_optional(connection).await?;
    written.map(Payment::try_from).transpose()
}

fn new_bound<'q>(sql: &'static str, new: &'q NewPayment) -> QueryAs<'q, Postgres, PaymentRow, PgArguments> {
    let (minor, currency) =
        (new.amount.map(|amount| amount.amount), new.amount.map(|amount| amount.currency.to_string()));
    let due = (new.door == Door::Order).then_some(minor).flatten();
    sqlx::query_as(sql)
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
}

/// Notes what the order says a payment costs, and writes the first attempt to take it, `prepared`, in one statement; none if
/// the payment is not as it began.
pub(super) async fn first_attempt(
    connection: &mut PgConnection,
    epoch: Epoch,
    id: PaymentId,
    due: Money,
) -> Result<Option<Prepared>, StoreError> {
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
    Ok(Some(Prepared { payment, attempt: Some(attempt) }))
}

/// The change of a payment, all that may change, and what is said of it in words: `$1` to `$14`, as [`change_bound`] binds
/// them.
macro_rules! changed {
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

/// Writes a payment back, and says in words what happened.
pub(super) async fn change(tx: &mut Tx, payment: &Payment, words: &str) -> Result<(), sqlx::Error> {
    const CHANGE: &str = concat!(changed!(""), " select id from changed");
    change_bound(CHANGE, payment, words).execute(&mut **tx).await?;
    Ok(())
}

/// Ends a capture in one statement: the payment, which must be pending with as many facts as `after` has but one, its
/// attempt, the ledger if money moved, the notice to the order if a shopper asked, and the account. False if the payment
/// is not so any more.
pub(super) async fn conclude(
    connection: &mut PgConnection,
    attempt: &Attempt,
    after: &Payment,
    words: &str,
    account: &Account,
) -> Result<bool, StoreError> {
    const CONCLUDE: &str = concat!(
        changed!(" and status = 'pending' and seq = $13 - 1"),
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
    let concluded = change_bound(CONCLUDE, after, words)
        .bind(state.as_str())
        .bind(attempt.n)
        .bind(entries.map(|entry| entry.account))
        .bind(entries.map(|entry| entry.seller.uuid()))
        .bind(entries.map(|entry| entry.amount.amount))
        .bind(LEASE)
        .bind(after.door == Door::Request)
        .bind(account.parameter());
    Ok(account.write(connection, concluded, &[]).await?.is_some())
}

fn change_bound<'q>(sql: &'static str, payment: &'q Payment, words: &'q str) -> Query<'q, Postgres, PgArguments> {
    let captured = payment.due.filter(|_| payment.status.took_money()).map_or(0, |due| due.amount);
    sqlx::query(sql)
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

/// Writes the two sides of money that went back; once per `refund`.
pub(super) async fn book_refund(tx: &mut Tx, refund: Uuid, amount: Money) -> Result<(), sqlx::Error> {
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

/// Takes note that the order was told a result, and settles what the account answers.
pub(super) async fn answer(
    connection: &mut PgConnection,
    told: Option<CommandId>,
    account: &Account,
) -> Result<(), StoreError> {
    const ANSWER: &str = concat!(
        "with changed as (select), noted as (delete from order_notice where result_id = $1), ",
        settled!("$2", "changed"),
        " select"
    );
    let answer = sqlx::query(ANSWER).bind(told.map(CommandId::uuid)).bind(account.parameter());
    answer.execute(connection).await?;
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
