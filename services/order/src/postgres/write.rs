//! The statements that write orders, their history and their sagas.

use agora_postgres::Tx;
use sqlx::{Postgres, postgres::PgArguments, query::Query, types::Json};
use time::OffsetDateTime;

use super::on_create;
use crate::{
    domain::{Line, Order, Record, Standing, State},
    ports::{CreateError, StoreError},
    saga::{self, Leased, Phase},
};

/// The saga of an order as it is to be written.
pub(super) struct SagaRow<'a> {
    pub(super) state: &'a State,
    pub(super) now: OffsetDateTime,
    pub(super) lease: Leased,
}

impl SagaRow<'_> {
    fn phase(&self) -> &'static str {
        match saga::phase(self.state, self.now) {
            Phase::Running => "running",
            Phase::Resting => "resting",
            Phase::Done => "done",
            Phase::Stuck => "stuck",
        }
    }

    /// A statement with the order as `$1`, and phase, data, the time of the next look, lease owner and lease end as `$2` to
    /// `$6`.
    fn bound_to(&self, sql: &'static str) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(sql)
            .bind(self.state.order.id.uuid())
            .bind(self.phase())
            .bind(Json(&self.state.saga))
            .bind(saga::wake(self.state, self.now))
            .bind(self.lease.owner)
            .bind(self.lease.until)
    }
}

/// A new order and its lines.
pub(super) async fn insert(tx: &mut Tx, order: &Order) -> Result<(), CreateError> {
    // The order last: that is what PostgreSQL does first, so that its constraints are the ones that refuse.
    const INSERT: &str = "with items as (insert into order_item (order_id, line, product_id, variant, name, quantity, \
            currency, price_minor, total_minor, brand, category, supplier, seller_id) \
            select $1, l.line, l.product_id, l.variant, l.name, l.quantity, $6, l.price_minor, l.total_minor, l.brand, \
            l.category, l.supplier, l.seller_id \
            from unnest($19::uuid[], $20::text[], $21::text[], $22::integer[], $23::bigint[], $24::bigint[], $25::text[], \
            $26::text[], $27::text[], $28::uuid[]) with ordinality as l (product_id, variant, name, quantity, price_minor, \
            total_minor, brand, category, supplier, seller_id, line)) \
        insert into orders (id, number, user_id, cart_id, cart_version, currency, total_minor, shipping_address, status, \
        payment_status, payment_id, hold, declines, version, facts, expires_at, created_at, updated_at) \
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
    let Standing { status, payment_status, payment, hold, declines } = order.standing;
    let lines = &order.lines;
    sqlx::query(INSERT)
        .bind(order.id.uuid())
        .bind(&order.number)
        .bind(order.user.uuid())
        .bind(order.cart.map(|cart| cart.id.uuid()))
        .bind(order.cart.map(|cart| cart.version))
        .bind(order.total.currency.as_str())
        .bind(order.total.amount)
        .bind(order.address.as_ref().map(Json))
        .bind(status.as_str())
        .bind(payment_status.as_str())
        .bind(payment.map(agora_vocab::PaymentId::uuid))
        .bind(hold)
        .bind(declines)
        .bind(order.version)
        .bind(order.facts)
        .bind(order.expires_at)
        .bind(order.created_at)
        .bind(order.updated_at)
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
        .execute(&mut **tx)
        .await
        .map_err(on_create)?;
    Ok(())
}

fn column<T>(lines: &[Line], of: impl Fn(&Line) -> T) -> Vec<T> {
    lines.iter().map(of).collect()
}

/// The first entry of an order's history, and its saga.
pub(super) async fn begin(tx: &mut Tx, saga: &SagaRow<'_>, first: &Record) -> Result<(), StoreError> {
    const BEGIN: &str = "with recorded as (insert into order_event (order_id, seq, kind, data, at) \
            values ($1, $7, $8, $9, $10)) \
        insert into saga (order_id, phase, data, next_at, lease_owner, lease_until) values ($1, $2, $3, $4, $5, $6)";
    let order = &saga.state.order;
    saga.bound_to(BEGIN)
        .bind(first.seq)
        .bind(first.kind())
        .bind(Json(&first.entry))
        .bind(order.updated_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A change of an order that is locked: where it stands now, in its projection and its history, and its saga.
pub(super) async fn change(tx: &mut Tx, saga: &SagaRow<'_>, change: &Record) -> Result<(), StoreError> {
    const CHANGE: &str = "with projected as (update orders set status = $10, payment_status = $11, payment_id = $12, \
            hold = $13, declines = $14, version = $15, facts = $16, updated_at = $17 \
            where id = $1 and version = $15 - 1 returning id), \
        recorded as (insert into order_event (order_id, seq, kind, data, at) select id, $7, $8, $9, $17 from projected) \
        update saga s set phase = $2, data = $3, next_at = $4, lease_owner = $5, lease_until = $6 \
        from projected where s.order_id = projected.id";
    let order = &saga.state.order;
    let Standing { status, payment_status, payment, hold, declines } = order.standing;
    let done = saga
        .bound_to(CHANGE)
        .bind(change.seq)
        .bind(change.kind())
        .bind(Json(&change.entry))
        .bind(status.as_str())
        .bind(payment_status.as_str())
        .bind(payment.map(agora_vocab::PaymentId::uuid))
        .bind(hold)
        .bind(declines)
        .bind(order.version)
        .bind(order.facts)
        .bind(order.updated_at)
        .execute(&mut **tx)
        .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Broken("an order is not as it was read".into())) }
}

/// The saga of an order that is locked and stays as it is.
pub(super) async fn write_saga(tx: &mut Tx, saga: &SagaRow<'_>) -> Result<(), StoreError> {
    const WRITE: &str = "update saga set phase = $2, data = $3, next_at = $4, lease_owner = $5, lease_until = $6 \
        where order_id = $1";
    saga.bound_to(WRITE).execute(&mut **tx).await?;
    Ok(())
}
