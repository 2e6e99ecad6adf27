//! The port `Stock` in PostgreSQL: stock rows and the ledger `stock_movement`.

use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_postgres::{Tx, constraint};
use agora_vocab::{ProductId, Variant, WarehouseId};
use async_trait::async_trait;
use uuid::Uuid;

use super::PgCatalog;
use crate::{
    domain::{Adjustment, Listed, StockLevel, StockLocation},
    ports::{AdjustError, Stock, StoreError},
};

#[async_trait]
impl Stock for PgCatalog {
    async fn adjust(
        &self,
        location: &StockLocation,
        by: Adjustment,
        actor: &str,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, AdjustError> {
        let adjusted = self.adjust_stock(location, by, actor, dedup_key).await;
        self.drop_cached(&[location.product]).await;
        adjusted
    }
}

impl PgCatalog {
    async fn adjust_stock(
        &self,
        location: &StockLocation,
        by: Adjustment,
        actor: &str,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, AdjustError> {
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let before = lock_level(&mut tx, location).await?;
        let units = before.adjusted(by).map_err(AdjustError::Refused)?;
        if units != 0 {
            self.record_adjustment(&mut tx, before, units, actor, dedup_key).await?;
        }
        let listed = Self::find_in(&mut tx, location.product).await?.ok_or(AdjustError::NotFound)?;
        store_result(&mut tx, dedup_key, &listed).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Outcome::Applied(listed))
    }

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
        self.append_stock_changed(tx, &before.moved(units, 0), dedup_key).await
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
