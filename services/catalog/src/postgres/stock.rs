//! The `Stock` port in PostgreSQL: stock rows and the ledger `stock_movement`. The statements of holds are in `holds`.

use std::collections::BTreeMap;

use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_postgres::{Tx, constraint};
use agora_vocab::{OrderId, ProductId, WarehouseId};
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    PgProducts, Store,
    holds::{ATTEMPTS_MAX, Change as _, EndHold, Reserve, on_commit, on_expiry, on_release, write},
};
use crate::{
    domain::{Adjustment, Hold, HoldState, Lines, Listed, Reservation, Seconds, StockLevel, StockLocation, Variant},
    ports::{AdjustError, Stock, StoreError},
};

/// Retention of a hold that ended without a sale, in days: that of inbox entries, and so longer than any command or event
/// can be delayed.
const KEPT_DAYS: i32 = 30;
/// Maximum holds deleted in one transaction.
const HOLDS_PER_SWEEP: i64 = 1_000;

/// The [`Stock`] port in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgStock(Store);

impl PgStock {
    /// Creates the port on the shared store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }
}

#[async_trait]
impl Stock for PgStock {
    async fn adjust(
        &self,
        location: &StockLocation,
        by: Adjustment,
        actor: &str,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, AdjustError> {
        let mut tx = self.0.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let before = lock_level(&mut tx, location).await?;
        let units = before.adjusted(by).map_err(AdjustError::Refused)?;
        if units != 0 {
            self.record_adjustment(&mut tx, before, units, actor, dedup_key).await?;
        }
        let listed = PgProducts::find_in(&mut tx, location.product).await?.ok_or(AdjustError::NotFound)?;
        store_result(&mut tx, dedup_key, &listed).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Outcome::Applied(listed))
    }

    async fn reserve(
        &self,
        hold: Hold,
        lines: &Lines,
        seconds: Seconds,
        message: Uuid,
    ) -> Result<Outcome<Reservation>, StoreError> {
        write(&self.0.db, &Reserve { store: &self.0, hold, lines, seconds, message }).await
    }

    async fn commit(&self, hold: Hold, message: Uuid) -> Result<Outcome<HoldState>, StoreError> {
        write(&self.0.db, &EndHold { store: &self.0, hold, step: on_commit, message: Some(message) }).await
    }

    async fn release(&self, hold: Hold, message: Uuid) -> Result<Outcome<HoldState>, StoreError> {
        write(&self.0.db, &EndHold { store: &self.0, hold, step: on_release, message: Some(message) }).await
    }

    async fn hold_states(&self, holds: &[Hold]) -> Result<BTreeMap<Hold, HoldState>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_hold_states.sql");
        let orders: Vec<Uuid> = holds.iter().map(|hold| hold.order.uuid()).collect();
        let mut connection = self.0.db.acquire().await?;
        let rows: Vec<(Uuid, i32, String)> = sqlx::query_as(FIND).bind(orders).fetch_all(&mut *connection).await?;
        let state = |(order, number, state): (Uuid, i32, String)| {
            Some((Hold { order: OrderId::new(order), number }, HoldState::parse(&state)?))
        };
        Ok(rows.into_iter().filter_map(state).collect())
    }

    async fn expire_one(&self) -> Result<Option<Hold>, StoreError> {
        const NEXT: &str = include_str!("../../sql/next_expired_hold.sql");
        for _ in 0..ATTEMPTS_MAX {
            let mut tx = self.0.db.begin().await?;
            let next: Option<(Uuid, i32)> = sqlx::query_as(NEXT).fetch_optional(&mut *tx).await?;
            let Some((order, number)) = next else { return Ok(None) };
            let hold = Hold { order: OrderId::new(order), number };
            let end = EndHold { store: &self.0, hold, step: on_expiry, message: None };
            end.lock(&mut tx).await?;
            if end.attempt(&mut tx).await?.is_some() {
                tx.commit().await?;
                return Ok(Some(hold));
            }
        }
        Err(StoreError::Running)
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        const DELETE_OLD: &str = include_str!("../../sql/delete_old_holds.sql");
        let mut connection = self.0.db.acquire().await?;
        let swept = sqlx::query(DELETE_OLD).bind(KEPT_DAYS).bind(HOLDS_PER_SWEEP).execute(&mut *connection).await?;
        Ok(swept.rows_affected())
    }
}

impl PgStock {
    /// Adds units (removes if negative) to a locked stock row, writes the ledger entry and appends the event.
    async fn record_adjustment(
        &self,
        tx: &mut Tx,
        before: StockLevel,
        units: i64,
        actor: &str,
        dedup_key: &DedupKey,
    ) -> Result<(), StoreError> {
        const ADJUST: &str = include_str!("../../sql/adjust_stock.sql");
        let StockLocation { product, variant, warehouse } = &before.location;
        sqlx::query(ADJUST)
            .bind(product.uuid())
            .bind(variant.as_str())
            .bind(warehouse.uuid())
            .bind(units)
            .bind(if units > 0 { "receipt" } else { "adjust" })
            .bind(actor)
            .execute(&mut **tx)
            .await?;
        self.0.append_stock_changed(tx, &before.moved(units, 0), dedup_key).await
    }
}

/// Locks the stock row of a location; inserts an empty row if there is none.
async fn lock_level(tx: &mut Tx, location: &StockLocation) -> Result<StockLevel, AdjustError> {
    const OPEN: &str = "insert into stock (product_id, variant, warehouse_id, on_hand, version) \
        select p.id, $2, $3, 0, 0 from product p where p.id = $1 and p.deleted_at is null on conflict do nothing";
    const LOCK: &str = include_str!("../../sql/lock_stock_row.sql");
    let (product, warehouse) = (location.product.uuid(), location.warehouse.uuid());
    let opened =
        sqlx::query(OPEN).bind(product).bind(location.variant.as_str()).bind(warehouse).execute(&mut **tx).await;
    opened.map_err(|error| match constraint(&error) {
        Some("stock_warehouse_known") => AdjustError::UnknownWarehouse,
        _ => AdjustError::Store(error.into()),
    })?;
    let lock = sqlx::query_as(LOCK).bind(product).bind(location.variant.as_str()).bind(warehouse);
    let row: Option<LevelRow> = lock.fetch_optional(&mut **tx).await.map_err(StoreError::from)?;
    row.map(LevelRow::into_level).ok_or(AdjustError::NotFound)
}

/// A stock row with the priority of its warehouse: also the composite type `stock_level`.
#[derive(sqlx::FromRow, sqlx::Type)]
#[sqlx(type_name = "stock_level")]
pub(super) struct LevelRow {
    id: Uuid,
    product_id: Uuid,
    variant: String,
    warehouse_id: Uuid,
    on_hand: i64,
    reserved: i64,
    version: i64,
    priority: i32,
}

impl LevelRow {
    pub(super) fn into_level(self) -> StockLevel {
        let Self { id, product_id, variant, warehouse_id, on_hand, reserved, version, priority } = self;
        let (product, warehouse) = (ProductId::new(product_id), WarehouseId::new(warehouse_id));
        let location = StockLocation { product, variant: Variant::stored(variant), warehouse };
        StockLevel { id, location, on_hand, reserved, version, priority }
    }
}
