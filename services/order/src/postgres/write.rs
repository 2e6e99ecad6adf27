//! The statements that write orders, their history and their sagas.

use agora_outbox::{Fact, emit};
use agora_postgres::Tx;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PgOrders, on_create};
use crate::{
    domain::{Line, Order, Record, Standing, State},
    ports::{CreateError, Driver, StoreError},
    saga::{self, Leased, Phase, lease},
};

/// A new order and its lines.
pub(super) async fn insert(tx: &mut Tx, order: &Order) -> Result<(), CreateError> {
    const ORDER: &str = "insert into orders (id, number, user_id, cart_id, cart_version, currency, total_minor, \
        shipping_address, status, payment_status, payment_id, hold, declines, version, facts, expires_at, created_at, \
        updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
    let Standing { status, payment_status, payment, hold, declines } = order.standing;
    sqlx::query(ORDER)
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
        .execute(&mut **tx)
        .await
        .map_err(on_create)?;
    insert_lines(tx, order).await.map_err(on_create)
}

async fn insert_lines(tx: &mut Tx, order: &Order) -> Result<(), sqlx::Error> {
    const LINES: &str = "insert into order_item (order_id, line, product_id, variant, name, quantity, currency, \
        price_minor, total_minor, brand, category, supplier, seller_id) \
        select $1, l.line, l.product_id, l.variant, l.name, l.quantity, $2, l.price_minor, l.total_minor, l.brand, \
        l.category, l.supplier, l.seller_id \
        from unnest($3::uuid[], $4::text[], $5::text[], $6::integer[], $7::bigint[], $8::bigint[], $9::text[], \
        $10::text[], $11::text[], $12::uuid[]) with ordinality as l (product_id, variant, name, quantity, price_minor, \
        total_minor, brand, category, supplier, seller_id, line)";
    let lines = &order.lines;
    sqlx::query(LINES)
        .bind(order.id.uuid())
        .bind(order.total.currency.as_str())
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
        .await?;
    Ok(())
}

fn column<T>(lines: &[Line], of: impl Fn(&Line) -> T) -> Vec<T> {
    lines.iter().map(of).collect()
}

/// Where an order stands now, in its projection.
pub(super) async fn project(tx: &mut Tx, order: &Order) -> Result<(), StoreError> {
    const PROJECT: &str = "update orders set status = $3, payment_status = $4, payment_id = $5, hold = $6, declines = $7, \
        version = $2, facts = $8, updated_at = $9 where id = $1 and version = $2 - 1";
    let Standing { status, payment_status, payment, hold, declines } = order.standing;
    let done = sqlx::query(PROJECT)
        .bind(order.id.uuid())
        .bind(order.version)
        .bind(status.as_str())
        .bind(payment_status.as_str())
        .bind(payment.map(agora_vocab::PaymentId::uuid))
        .bind(hold)
        .bind(declines)
        .bind(order.facts)
        .bind(order.updated_at)
        .execute(&mut **tx)
        .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Broken("an order is not as it was read".into())) }
}

/// A change, in the history and, if it is a fact, in the outbox.
pub(super) async fn record(
    tx: &mut Tx,
    orders: &PgOrders,
    order: &Order,
    change: &Record,
    causation: Option<Uuid>,
) -> Result<(), StoreError> {
    const RECORD: &str = "insert into order_event (order_id, seq, kind, data, at) values ($1, $2, $3, $4, $5)";
    let aggregate = order.id.uuid();
    sqlx::query(RECORD)
        .bind(aggregate)
        .bind(change.seq)
        .bind(change.kind())
        .bind(Json(&change.entry))
        .bind(order.updated_at)
        .execute(&mut **tx)
        .await?;
    if let Some((seq, event)) = &change.fact {
        let fact = Fact { event, aggregate, seq: *seq, correlation: Some(aggregate), causation };
        emit(tx, orders.ids.as_ref(), orders.epoch, fact).await?;
    }
    Ok(())
}

/// The saga, when it is next looked at, and who leases it; gives back whether the driver does.
pub(super) async fn write_saga(
    tx: &mut Tx,
    state: &State,
    now: OffsetDateTime,
    leased: Leased,
    driver: Option<Driver>,
) -> Result<bool, StoreError> {
    const WRITE: &str = "insert into saga (order_id, phase, data, next_at, lease_owner, lease_until) \
        values ($1, $2, $3, $4, $5, $6) on conflict on constraint saga_pk do update set phase = excluded.phase, \
        data = excluded.data, next_at = excluded.next_at, lease_owner = excluded.lease_owner, \
        lease_until = excluded.lease_until";
    let (Leased { owner, until }, ours) = lease(state, now, leased, driver);
    sqlx::query(WRITE)
        .bind(state.order.id.uuid())
        .bind(phase(saga::phase(state, now)))
        .bind(Json(&state.saga))
        .bind(saga::wake(state, now))
        .bind(owner)
        .bind(until)
        .execute(&mut **tx)
        .await?;
    Ok(ours)
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "running",
        Phase::Resting => "resting",
        Phase::Done => "done",
        Phase::Stuck => "stuck",
    }
}
