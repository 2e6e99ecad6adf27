//! The `Stock` port in PostgreSQL: stock rows and the ledger `stock_movement`. The statements of holds are in `holds`.

use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_postgres::{Tx, constraint};
use agora_vocab::{OrderId, ProductId, WarehouseId};
use async_trait::async_trait;
use serde::Deserialize;
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
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Reservation>, StoreError> {
        write(&self.0.db, &Reserve { store: &self.0, hold, lines, seconds, dedup_key }).await
    }

    async fn commit(&self, hold: Hold, dedup_key: &DedupKey) -> Result<Outcome<HoldState>, StoreError> {
        write(&self.0.db, &EndHold { store: &self.0, hold, step: on_commit, dedup_key }).await
    }

    async fn release(&self, hold: Hold, dedup_key: &DedupKey) -> Result<Outcome<HoldState>, StoreError> {
        write(&self.0.db, &EndHold { store: &self.0, hold, step: on_release, dedup_key }).await
    }

    async fn expire_one(&self) -> Result<Option<Hold>, StoreError> {
        const NEXT: &str = "select order_id, hold from hold where state = 'held' and expires_at <= now() \
            order by expires_at limit 1 for no key update skip locked";
        for _ in 0..ATTEMPTS_MAX {
            let mut tx = self.0.db.begin().await?;
            let next: Option<(Uuid, i32)> = sqlx::query_as(NEXT).fetch_optional(&mut *tx).await?;
            let Some((order, number)) = next else { return Ok(None) };
            let hold = Hold { order: OrderId::new(order), number };
            let end = EndHold { store: &self.0, hold, step: on_expiry, dedup_key: &DedupKey::None };
            end.lock(&mut tx).await?;
            if end.attempt(&mut tx).await?.is_some() {
                tx.commit().await?;
                return Ok(Some(hold));
            }
        }
        Err(StoreError::Running)
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        const SWEEP: &str = "with old as (select order_id, hold from hold \
                where state in ('released', 'expired', 'tombstone') and updated_at < now() - make_interval(days => $1) \
                limit $2 for update skip locked), \
            emptied as (delete from reservation r using old where r.order_id = old.order_id and r.hold = old.hold) \
            delete from hold h using old where h.order_id = old.order_id and h.hold = old.hold";
        let mut connection = self.0.db.acquire().await?;
        let swept = sqlx::query(SWEEP).bind(KEPT_DAYS).bind(HOLDS_PER_SWEEP).execute(&mut *connection).await?;
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
        const BOOK: &str = "with booked as (insert into stock_movement (product_id, variant, warehouse_id, kind, quantity, actor) \
                values ($1, $2, $3, $5, $4, $6)) \
            update stock set on_hand = on_hand + $4, version = version + 1 \
            where product_id = $1 and variant = $2 and warehouse_id = $3";
        let StockLocation { product, variant, warehouse } = &before.location;
        sqlx::query(BOOK)
            .bind(product.uuid())
            .bind(variant.as_str())
            .bind(warehouse.uuid())
            .bind(units)
            .bind(if units > 0 { "receipt" } else { "adjust" })
            .bind(actor)
            .execute(&mut **tx)
            .await?;
        let now = before.moved(units, 0);
        self.0.append_events(tx, &[(now.location.product.uuid(), now.changed())], dedup_key).await
    }
}

/// Locks the stock row of a location; inserts an empty row if there is none.
async fn lock_level(tx: &mut Tx, location: &StockLocation) -> Result<StockLevel, AdjustError> {
    const OPEN: &str = "insert into stock (product_id, variant, warehouse_id, on_hand, version) \
        select p.id, $2, $3, 0, 0 from product p where p.id = $1 and p.deleted_at is null on conflict do nothing";
    const FIND: &str = "select s.product_id, s.variant, s.warehouse_id, s.on_hand, s.reserved, s.version, w.priority \
        from stock s join warehouse w on w.id = s.warehouse_id \
        join product p on p.id = s.product_id and p.deleted_at is null \
        where s.product_id = $1 and s.variant = $2 and s.warehouse_id = $3 for no key update of s";
    let (product, warehouse) = (location.product.uuid(), location.warehouse.uuid());
    let opened =
        sqlx::query(OPEN).bind(product).bind(location.variant.as_str()).bind(warehouse).execute(&mut **tx).await;
    opened.map_err(|error| match constraint(&error) {
        Some("stock_warehouse_known") => AdjustError::UnknownWarehouse,
        _ => AdjustError::Store(error.into()),
    })?;
    let find = sqlx::query_as(FIND).bind(product).bind(location.variant.as_str()).bind(warehouse);
    let row: Option<Row> = find.fetch_optional(&mut **tx).await.map_err(StoreError::from)?;
    row.map(Row::into_level).ok_or(AdjustError::NotFound)
}

/// A stock row with the priority of its warehouse.
#[derive(sqlx::FromRow, Deserialize)]
pub(super) struct Row {
    pub(super) product_id: Uuid,
    variant: String,
    warehouse_id: Uuid,
    on_hand: i64,
    reserved: i64,
    version: i64,
    priority: i32,
}

impl Row {
    pub(super) fn into_level(self) -> StockLevel {
        let Self { product_id, variant, warehouse_id, on_hand, reserved, version, priority } = self;
        let (product, warehouse) = (ProductId::new(product_id), WarehouseId::new(warehouse_id));
        let location = StockLocation { product, variant: Variant::stored(variant), warehouse };
        StockLevel { location, on_hand, reserved, version, priority }
    }
}
