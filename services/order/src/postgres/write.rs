//! SQL statements that write orders, history and sagas. Each is a transaction by itself; none decides a transition.
//!
//! A change is written only if the saga still has the revision that was read; every write of an order or its saga
//! raises the revision.

use agora_outbox::{Account, remembered, settled, told};
use sqlx::{PgConnection, Postgres, Row as _, postgres::PgArguments, query::Query, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::on_create;
use crate::{
    domain::{HistoryEntry, Line, Order, OrderProgress, State},
    ports::{CreateError, StoreError},
    saga::{self, Phase, SagaLease},
};

/// An order and its saga to write.
pub(super) struct SagaRow<'a> {
    pub(super) state: &'a State,
    pub(super) now: OffsetDateTime,
    pub(super) lease: SagaLease,
}

impl SagaRow<'_> {
    fn phase(&self) -> &'static str {
        match saga::phase(self.state, self.now) {
            Phase::Running => "running",
            Phase::Waiting => "resting",
            Phase::Done => "done",
            Phase::Stuck => "stuck",
        }
    }

    /// Binds the order as `$1`; phase, data, next step time, lease owner and lease end as `$2` to `$6`;
    /// and the outbox parameters as `$7`.
    fn bound_to(&self, sql: &'static str, account: &Account) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(sql)
            .bind(self.state.order.id.uuid())
            .bind(self.phase())
            .bind(Json(&self.state.saga))
            .bind(saga::wake_at(self.state, self.now))
            .bind(self.lease.owner)
            .bind(self.lease.until)
            .bind(account.parameter())
    }
}

/// Inserts an order, its lines, its first history entry, its saga and its event, if the idempotency lease exists. Locks
/// the lease against cancellation. `false` if the lease does not exist.
pub(super) async fn create(
    connection: &mut PgConnection,
    saga: &SagaRow<'_>,
    first: &HistoryEntry,
    account: &Account,
) -> Result<bool, CreateError> {
    const CREATE: &str = concat!(
        "with claimed as (select point from idempotency where point = $1 and state = 'started' for share), \
        changed as (insert into orders (id, number, user_id, cart_id, cart_version, currency, total_minor, \
            shipping_address, status, payment_status, payment_id, hold, declines, version, facts, updated_at, expires_at, \
            created_at) \
            select point, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27 from claimed \
            returning id), \
        items as (insert into order_item (order_id, line, product_id, variant, name, quantity, currency, price_minor, \
            total_minor, brand, category, supplier, seller_id) \
            select changed.id, l.line, l.product_id, l.variant, l.name, l.quantity, $15, l.price_minor, l.total_minor, \
            l.brand, l.category, l.supplier, l.seller_id from changed cross join \
            unnest($28::uuid[], $29::text[], $30::text[], $31::integer[], $32::bigint[], $33::bigint[], $34::text[], \
            $35::text[], $36::text[], $37::uuid[]) with ordinality as l (product_id, variant, name, quantity, price_minor, \
            total_minor, brand, category, supplier, seller_id, line)), \
        recorded as (insert into order_event (order_id, seq, kind, data, at) select id, $8, $9, $10, $25 from changed), \
        begun as (insert into saga (order_id, phase, data, next_at, lease_owner, lease_until) \
            select id, $2, $3, $4, $5, $6 from changed), ",
        told!("$7", "changed"),
        " select id from changed"
    );
    let query = entry_bound(saga.bound_to(CREATE, account), first);
    let query = lines_bound(order_bound(query, &saga.state.order), &saga.state.order.lines);
    Ok(account.write(connection, query, &[]).await.map_err(on_create)?.is_some())
}

type Bound<'q> = Query<'q, Postgres, PgArguments>;

fn order_bound<'q>(query: Bound<'q>, order: &'q Order) -> Bound<'q> {
    let query = query
        .bind(&order.number)
        .bind(order.user.uuid())
        .bind(order.cart.map(|cart| cart.id.uuid()))
        .bind(order.cart.map(|cart| cart.version))
        .bind(order.total.currency.as_str())
        .bind(order.total.amount)
        .bind(order.address.as_ref().map(Json));
    progress_bound(query, order).bind(order.expires_at).bind(order.created_at)
}

/// Binds the progress of an order as the next eight parameters.
fn progress_bound<'q>(query: Bound<'q>, order: &'q Order) -> Bound<'q> {
    let OrderProgress { status, payment_status, payment, hold, declines } = order.progress;
    query
        .bind(status.as_str())
        .bind(payment_status.as_str())
        .bind(payment.map(agora_vocab::PaymentId::uuid))
        .bind(hold)
        .bind(declines)
        .bind(order.version)
        .bind(order.event_seq)
        .bind(order.updated_at)
}

fn lines_bound<'q>(query: Bound<'q>, lines: &[Line]) -> Bound<'q> {
    query
        .bind(column(lines, |line| line.product.uuid()))
        .bind(column(lines, |line| line.variant.clone()))
        .bind(column(lines, |line| line.name.clone()))
        .bind(column(lines, |line| i32::try_from(line.quantity.get()).unwrap_or(i32::MAX)))
        .bind(column(lines, |line| line.price.amount))
        .bind(column(lines, |line| line.total.amount))
        .bind(column(lines, |line| line.brand.clone()))
        .bind(column(lines, |line| line.category.clone()))
        .bind(column(lines, |line| line.supplier.clone()))
        .bind(column(lines, |line| line.seller.uuid()))
}

fn column<T>(lines: &[Line], of: impl Fn(&Line) -> T) -> Vec<T> {
    lines.iter().map(of).collect()
}

/// Binds a history entry as the next three parameters.
fn entry_bound<'q>(query: Bound<'q>, entry: &'q HistoryEntry) -> Bound<'q> {
    query.bind(entry.seq).bind(entry.kind()).bind(Json(&entry.change))
}

/// Updates the saga if it has the revision in parameter `$revision`, as CTE `changed`, and appends the event.
macro_rules! saga_at {
    ($revision:literal) => {
        concat!(
            "with changed as (update saga set phase = $2, data = $3, next_at = $4, lease_owner = $5, lease_until = $6, \
                revision = revision + 1 where order_id = $1 and revision = ",
            $revision,
            " returning revision), ",
            told!("$7", "changed")
        )
    };
}

/// Updates the projection and appends to the history.
macro_rules! recorded {
    () => {
        ", projected as (update orders set status = $12, payment_status = $13, payment_id = $14, hold = $15, \
            declines = $16, version = $17, facts = $18, updated_at = $19 where id = $1 and exists (select from changed)), \
        recorded as (insert into order_event (order_id, seq, kind, data, at) select $1, $8, $9, $10, $19 from changed)"
    };
}

/// Stores the result and completes the idempotency lease.
macro_rules! accounted {
    () => {
        concat!(", ", remembered!("$7", "changed"), ", ", settled!("$7", "changed"))
    };
}

macro_rules! outcome {
    () => {
        " select now(), revision from changed"
    };
}

/// Writes a change of an order that was read at `revision`: projection, history, saga, event and stored
/// result. Returns the time and the new revision; `None` if the order or the deduplication key was written
/// concurrently.
pub(super) async fn change(
    connection: &mut PgConnection,
    saga: &SagaRow<'_>,
    (revision, entry): (i64, Option<&HistoryEntry>),
    account: &Account,
) -> Result<Option<(OffsetDateTime, i64)>, StoreError> {
    const SAGA: &str = concat!(saga_at!("$8"), outcome!());
    const SAGA_ACCOUNTED: &str = concat!(saga_at!("$8"), accounted!(), outcome!());
    const CHANGE: &str = concat!(saga_at!("$11"), recorded!(), outcome!());
    const CHANGE_ACCOUNTED: &str = concat!(saga_at!("$11"), recorded!(), accounted!(), outcome!());
    let bare = account.only_tells();
    let query = match entry {
        None => saga.bound_to(if bare { SAGA } else { SAGA_ACCOUNTED }, account).bind(revision),
        Some(entry) => {
            let change = saga.bound_to(if bare { CHANGE } else { CHANGE_ACCOUNTED }, account);
            progress_bound(entry_bound(change, entry).bind(revision), &saga.state.order)
        }
    };
    let row = account.write(connection, query, &[]).await?;
    Ok(row.map(|row| Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?))).transpose()?)
}

/// Releases the lease if `owner` holds it.
pub(super) async fn release_lease(connection: &mut PgConnection, order: Uuid, owner: Uuid) -> Result<(), StoreError> {
    const YIELD: &str = "update saga set lease_owner = null, lease_until = null, revision = revision + 1 \
        where order_id = $1 and lease_owner = $2";
    sqlx::query(YIELD).bind(order).bind(owner).execute(connection).await?;
    Ok(())
}
