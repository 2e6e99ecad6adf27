//! SQL statements that read orders and lease sagas. Must not decide transitions.

use agora_outbox::{DedupKey, find_result};
use agora_postgres::Db;
use agora_vocab::{OrderId, Page};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::row::OrderRow;
use crate::{
    domain::{Order, Saga, State},
    ports::{Listing, RunnerId, SagaSnapshot, StoreError},
    saga::{LEASE, SagaLease},
};

/// The columns of an order, its lines as one value.
macro_rules! order_columns {
    () => {
        "o.id, o.number, o.user_id, o.cart_id, o.cart_version, o.currency, o.total_minor, o.shipping_address, o.status, \
         o.payment_status, o.payment_id, o.hold, o.declines, o.version, o.facts, o.expires_at, o.created_at, o.updated_at, \
         (select json_agg(json_build_object('product_id', i.product_id, 'variant', i.variant, 'name', i.name, \
         'quantity', i.quantity, 'currency', i.currency, 'price_minor', i.price_minor, 'total_minor', i.total_minor, \
         'brand', i.brand, 'category', i.category, 'supplier', i.supplier, 'seller_id', i.seller_id) order by i.line) \
         from order_item i where i.order_id = o.id) as lines"
    };
}

macro_rules! found_columns {
    () => {
        concat!("select s.data, s.lease_owner, s.lease_until, s.revision, now() as now, ", order_columns!())
    };
}

/// An order and its saga as loaded.
pub(super) struct LoadedSaga {
    pub(super) state: State,
    pub(super) leased: SagaLease,
    pub(super) now: OffsetDateTime,
    pub(super) revision: i64,
}

impl LoadedSaga {
    /// Converts to a snapshot; `leased` states whether the caller holds the lease.
    pub(super) fn into_snapshot(self, leased: bool) -> SagaSnapshot {
        let Self { state, leased: _, now, revision } = self;
        SagaSnapshot { state, now, leased, revision }
    }
}

#[derive(sqlx::FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    order: OrderRow,
    data: Json<Saga>,
    lease_owner: Option<Uuid>,
    lease_until: Option<OffsetDateTime>,
    revision: i64,
    now: OffsetDateTime,
}

#[derive(sqlx::FromRow)]
struct InboxRow {
    #[sqlx(flatten)]
    found: FoundRow,
    is_duplicate: bool,
    value: Option<Json<Value>>,
}

impl FoundRow {
    fn into_found(self) -> Result<LoadedSaga, StoreError> {
        let Self { order, data: Json(saga), lease_owner, lease_until, revision, now } = self;
        let state = State { order: order.into_order()?, saga };
        Ok(LoadedSaga { state, leased: SagaLease { owner: lease_owner, until: lease_until }, now, revision })
    }
}

/// Loads an order and its saga.
pub(super) async fn find(connection: &mut PgConnection, order: OrderId) -> Result<Option<LoadedSaga>, StoreError> {
    const FIND: &str = concat!(found_columns!(), " from orders o join saga s on s.order_id = o.id where o.id = $1");
    let row: Option<FoundRow> = sqlx::query_as(FIND).bind(order.uuid()).fetch_optional(connection).await?;
    row.map(FoundRow::into_found).transpose()
}

/// Like [`find`], with the result stored for a deduplication key.
pub(super) async fn find_with<T: DeserializeOwned>(
    connection: &mut PgConnection,
    order: OrderId,
    dedup_key: &DedupKey,
) -> Result<Option<(LoadedSaga, Option<T>)>, StoreError> {
    const FIND: &str = concat!(
        found_columns!(),
        ", h.event_id is not null as is_duplicate, h.value from orders o join saga s on s.order_id = o.id \
         left join inbox h on h.consumer = $2 and h.event_id = $3 where o.id = $1"
    );
    let Some((consumer, id)) = dedup_key.message() else {
        let known = find_result(connection, dedup_key).await?;
        return Ok(find(connection, order).await?.map(|found| (found, known)));
    };
    let find = sqlx::query_as(FIND).bind(order.uuid()).bind(consumer).bind(id);
    let Some(InboxRow { found, is_duplicate, value }) = find.fetch_optional(connection).await? else { return Ok(None) };
    let value = is_duplicate.then(|| value.map_or(Value::Null, |Json(value)| value));
    let known = value.map(serde_json::from_value).transpose().map_err(|error| StoreError::Broken(error.into()))?;
    Ok(Some((found.into_found()?, known)))
}

/// Leases due sagas, the longest waiting first.
pub(super) async fn lease_due(db: &Db, runner: RunnerId, limit: u32) -> Result<Vec<SagaSnapshot>, StoreError> {
    const LEASE_DUE: &str = concat!(
        "with due as (select order_id from saga where next_at <= now() and (lease_until is null or lease_until <= now()) \
         order by next_at limit $2 for update skip locked), \
         leased as (update saga s set lease_owner = $1, lease_until = now() + make_interval(secs => $3), \
         revision = revision + 1 from due \
         where s.order_id = due.order_id returning s.order_id, s.data, s.lease_owner, s.lease_until, s.revision) ",
        found_columns!(),
        " from orders o join leased s on s.order_id = o.id"
    );
    let mut connection = db.acquire().await?;
    let rows: Vec<FoundRow> = sqlx::query_as(LEASE_DUE)
        .bind(runner.0)
        .bind(i64::from(limit))
        .bind(LEASE.as_secs_f64())
        .fetch_all(&mut *connection)
        .await?;
    let snapshot = |row: FoundRow| row.into_found().map(|found| found.into_snapshot(true));
    rows.into_iter().map(snapshot).collect()
}

/// A page, newest first: ids are UUIDv7.
pub(super) async fn page(db: &Db, listing: &Listing) -> Result<Page<Order>, StoreError> {
    const OF_USER: &str = concat!(
        "select ",
        order_columns!(),
        " from orders o where o.id < $1 and o.user_id = $4 order by o.id desc limit $2 offset $3"
    );
    const OF_ALL: &str =
        concat!("select ", order_columns!(), " from orders o where o.id < $1 order by o.id desc limit $2 offset $3");
    let Listing { user, size, before, offset } = listing;
    let before = before.map_or(Uuid::max(), OrderId::uuid);
    let query = match user {
        Some(_) => sqlx::query_as(OF_USER),
        None => sqlx::query_as(OF_ALL),
    };
    let page_size = usize::from(size.get());
    let query = query.bind(before).bind(i64::from(size.get()) + 1).bind(i64::try_from(*offset).unwrap_or(i64::MAX));
    let query = match user {
        Some(user) => query.bind(user.uuid()),
        None => query,
    };
    let mut connection = db.acquire().await?;
    let rows: Vec<OrderRow> = query.fetch_all(&mut *connection).await?;
    let more = rows.len() > page_size;
    let items: Vec<Order> = rows.into_iter().take(page_size).map(OrderRow::into_order).collect::<Result<_, _>>()?;
    let next = items.last().filter(|_| more).map(|order| order.id.to_string());
    Ok(Page { items, total: None, next })
}
