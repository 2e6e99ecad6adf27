//! Writes orders with their history and sagas. Each statement is a transaction by itself; none decides a transition.
//!
//! A change is written only if the order still has the revision that was read; every write raises the revision.

use agora_outbox::{DedupRecord, NewEvents, StoredResponse, write_once};
use agora_postgres::Connection;
use sqlx::{Row as _, types::Json};
use time::OffsetDateTime;

use super::{
    on_create,
    row::{EntryRow, HeadRow, LineRow, ProgressRow, SagaState},
};
use crate::{
    domain::{HistoryEntry, LimitReached, Order, SagaLease, State, UnpaidLimits},
    ports::{CreateError, StoreError},
};

/// What is stored with a change of an order.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) entries: Vec<HistoryEntry>,
    pub(super) events: NewEvents,
    pub(super) result: Option<DedupRecord>,
    /// Completes the request that created the order.
    pub(super) response: Option<StoredResponse>,
    /// Whether the order ends and gives the use of its coupon back.
    pub(super) gives_coupon_back: bool,
}

/// Inserts an order at `now` with its lines, history, saga and events, if the idempotency lease exists and the user's limits
/// allow it; `false` if not.
pub(super) async fn create(
    connection: &mut Connection,
    state: &State,
    (now, lease): (OffsetDateTime, SagaLease),
    effects: &Effects,
    limits: UnpaidLimits,
) -> Result<bool, CreateError> {
    let order = &state.order;
    let create = sqlx::query(include_str!("../../sql/create_order.sql"))
        .bind(order.id.uuid())
        .bind(HeadRow::of(order))
        .bind(ProgressRow::of(order))
        .bind(order.lines.iter().map(LineRow::of).collect::<Vec<_>>())
        .bind(SagaState::of(state, now, lease))
        .bind(effects.entries.iter().map(EntryRow::of).collect::<Vec<_>>())
        .bind(effects.events.rows())
        .bind(i64::from(limits.orders))
        .bind(i64::from(limits.units) - units(order))
        .bind((!order.charges.is_empty()).then_some(Json(&order.charges)));
    Ok(write_once(connection, create, &effects.events, &[]).await.map_err(on_create)?.is_some())
}

/// The limit that a new order of the user would exceed now, if any.
pub(super) async fn limit_reached(
    connection: &mut Connection,
    order: &Order,
    limits: UnpaidLimits,
) -> Result<Option<LimitReached>, StoreError> {
    const COUNT: &str = "select orders, units from unpaid_orders($1, $2)";
    let (orders, held): (i64, i64) = sqlx::query_as(COUNT)
        .bind(order.user.uuid())
        .bind(order.id.uuid())
        .fetch_one(connection)
        .await
        .map_err(StoreError::from)?;
    Ok(limits.check(orders, held, units(order)).err())
}

fn units(order: &Order) -> i64 {
    order.lines.iter().map(|line| i64::from(line.quantity.get())).sum()
}

/// Writes a change of an order that was read at `revision` and `now`. Returns the time and the new revision; `None` if the
/// order or the deduplication key was written concurrently.
pub(super) async fn change(
    connection: &mut Connection,
    state: &State,
    (revision, now, lease): (i64, OffsetDateTime, SagaLease),
    effects: &Effects,
) -> Result<Option<(OffsetDateTime, i64)>, StoreError> {
    let response = effects.response.as_ref().map(StoredResponse::to_json).transpose()?;
    let saga = SagaState::of(state, now, lease);
    let id = state.order.id.uuid();
    let change = if effects.entries.is_empty() {
        sqlx::query(include_str!("../../sql/change_saga.sql")).bind(id).bind(revision).bind(saga)
    } else {
        let change = if effects.gives_coupon_back {
            include_str!("../../sql/end_order_with_coupon.sql")
        } else {
            include_str!("../../sql/change_order.sql")
        };
        sqlx::query(change)
            .bind(id)
            .bind(revision)
            .bind(ProgressRow::of(&state.order))
            .bind(saga)
            .bind(effects.entries.iter().map(EntryRow::of).collect::<Vec<_>>())
            .bind(effects.events.rows())
    };
    let change = change.bind(effects.result.clone()).bind(response);
    let row = write_once(connection, change, &effects.events, &[]).await?;
    Ok(row.map(|row| Ok::<_, sqlx::Error>((row.try_get("now")?, row.try_get("revision")?))).transpose()?)
}
