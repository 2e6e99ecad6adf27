//! Reads orders. Must not decide transitions.

use agora_outbox::{DedupKey, find_result};
use agora_postgres::Connection;
use agora_vocab::{OrderId, Page, UserId};
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    PgOrders, parcels,
    row::{OrderRow, SagaRow},
};
use crate::{
    domain::Order,
    ports::{Listing, OrderReads, SagaSnapshot, StoreError},
};

#[async_trait]
impl OrderReads for PgOrders {
    async fn load(&self, order: OrderId) -> Result<Option<SagaSnapshot>, StoreError> {
        find(&mut *self.db.acquire().await?, order).await
    }

    async fn paid_at(&self, order: OrderId) -> Result<Option<OffsetDateTime>, StoreError> {
        const PAID: &str = "select at from order_event where order_id = $1 and kind = $2 order by seq limit 1";
        let mut connection = self.db.acquire().await?;
        let paid = sqlx::query_scalar(PAID).bind(order.uuid()).bind("order.paid");
        Ok(paid.fetch_optional(&mut *connection).await?)
    }

    async fn page(&self, listing: &Listing) -> Result<Page<Order>, StoreError> {
        let Listing { user, size, before, offset } = listing;
        let query = match user {
            Some(user) => sqlx::query_as(include_str!("../../sql/page_of_user.sql")).bind(user.uuid()),
            None => sqlx::query_as(include_str!("../../sql/page_of_all.sql")),
        };
        let page_size = usize::from(size.get());
        let query = query
            .bind(before.map_or(Uuid::max(), OrderId::uuid))
            .bind(i64::from(size.get()) + 1)
            .bind(i64::try_from(*offset).unwrap_or(i64::MAX));
        let mut connection = self.db.acquire().await?;
        let rows: Vec<OrderRow> = query.fetch_all(&mut *connection).await?;
        let more = rows.len() > page_size;
        let mut items: Vec<Order> =
            rows.into_iter().take(page_size).map(OrderRow::into_order).collect::<Result<_, _>>()?;
        parcels::attach(&mut connection, items.iter_mut().collect()).await?;
        let next = items.last().filter(|_| more).map(|order| order.id.to_string());
        Ok(Page { items, total: None, next })
    }

    async fn many(&self, orders: &[OrderId], user: Option<UserId>) -> Result<Vec<Order>, StoreError> {
        let ids: Vec<Uuid> = orders.iter().map(|order| order.uuid()).collect();
        let query = sqlx::query_as(include_str!("../../sql/orders_of_user_by_id.sql"));
        let mut connection = self.db.acquire().await?;
        let rows: Vec<OrderRow> = query.bind(ids).bind(user.map(UserId::uuid)).fetch_all(&mut *connection).await?;
        let mut items: Vec<Order> = rows.into_iter().map(OrderRow::into_order).collect::<Result<_, _>>()?;
        parcels::attach(&mut connection, items.iter_mut().collect()).await?;
        Ok(items)
    }
}

#[derive(sqlx::FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    row: SagaRow,
    is_duplicate: bool,
    value: Option<Json<Value>>,
}

/// Loads an order and its saga.
pub(super) async fn find(connection: &mut Connection, order: OrderId) -> Result<Option<SagaSnapshot>, StoreError> {
    let found = find_with::<Value>(connection, order, &DedupKey::None).await?;
    Ok(found.map(|(snapshot, _)| snapshot))
}

/// Like [`find`], with the result stored for a deduplication key.
pub(super) async fn find_with<T: DeserializeOwned>(
    connection: &mut Connection,
    order: OrderId,
    dedup_key: &DedupKey,
) -> Result<Option<(SagaSnapshot, Option<T>)>, StoreError> {
    let message = dedup_key.message();
    let stored = if message.is_none() { find_result(connection, dedup_key).await? } else { None };
    let found: Option<FoundRow> = sqlx::query_as(include_str!("../../sql/find_order.sql"))
        .bind(order.uuid())
        .bind(message.map(|(consumer, _)| consumer))
        .bind(message.map(|(_, id)| id))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(FoundRow { row, is_duplicate, value }) = found else { return Ok(None) };
    let value = is_duplicate.then(|| value.map_or(Value::Null, |Json(value)| value));
    let known = value.map(serde_json::from_value).transpose().map_err(|error| StoreError::Broken(error.into()))?;
    let mut snapshot = row.into_snapshot()?;
    parcels::attach(connection, vec![&mut snapshot.state.order]).await?;
    Ok(Some((snapshot, known.or(stored))))
}
