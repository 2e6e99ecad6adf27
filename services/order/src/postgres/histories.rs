//! Orders with their histories in PostgreSQL, for verification.

use std::collections::HashMap;

use agora_chassis::chain;
use agora_postgres::Db;
use agora_vocab::OrderId;
use async_trait::async_trait;
use serde_json::Value;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{parcels, row::OrderRow};
use crate::{
    domain::{HistoryEntries, Order, OrderChange, StoredOrder, Unreadable},
    ports::{Histories, StoreError},
};

/// Orders with their histories in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgHistories {
    pub db: Db,
}

#[async_trait]
impl Histories for PgHistories {
    async fn page(&self, after: Option<OrderId>, limit: u16) -> Result<Vec<StoredOrder>, StoreError> {
        // Both statements read the same moment.
        const ONE_MOMENT: &str = "set transaction isolation level repeatable read, read only";
        let mut tx = self.db.begin().await?;
        sqlx::query(ONE_MOMENT).execute(&mut *tx).await?;
        let histories: Vec<HistoryRow> = sqlx::query_as(include_str!("../../sql/page_of_histories.sql"))
            .bind(after.map_or(Uuid::nil(), OrderId::uuid))
            .bind(i64::from(limit))
            .fetch_all(&mut *tx)
            .await?;
        let ids: Vec<Uuid> = histories.iter().map(|history| history.id).collect();
        let rows: Vec<OrderRow> =
            sqlx::query_as(include_str!("../../sql/orders_by_id.sql")).bind(ids).fetch_all(&mut *tx).await?;
        let mut orders: HashMap<Uuid, Result<Order, Unreadable>> =
            rows.into_iter().map(|row| (row.id(), read(row))).collect();
        parcels::attach(&mut tx, orders.values_mut().filter_map(|order| order.as_mut().ok()).collect()).await?;
        tx.commit().await?;
        Ok(histories.into_iter().map(|history| history.with(&mut orders)).collect())
    }
}

/// A row of `page_of_histories.sql`.
#[derive(sqlx::FromRow)]
struct HistoryRow {
    id: Uuid,
    seqs: Vec<i64>,
    changes: Vec<Json<Value>>,
    times: Vec<OffsetDateTime>,
}

impl HistoryRow {
    fn with(self, orders: &mut HashMap<Uuid, Result<Order, Unreadable>>) -> StoredOrder {
        let row = orders.remove(&self.id);
        StoredOrder { id: OrderId::new(self.id), row, history: self.into_entries() }
    }

    fn into_entries(self) -> Result<HistoryEntries, Unreadable> {
        let Self { seqs, changes, times, .. } = self;
        let entry = |((seq, Json(change)), at): ((i64, Json<Value>), OffsetDateTime)| -> Result<_, Unreadable> {
            let change: OrderChange = serde_json::from_value(change).map_err(|error| Unreadable(error.to_string()))?;
            Ok((seq, change, at))
        };
        seqs.into_iter().zip(changes).zip(times).map(entry).collect()
    }
}

fn read(row: OrderRow) -> Result<Order, Unreadable> {
    row.into_order().map_err(|error| Unreadable(chain(&error)))
}
