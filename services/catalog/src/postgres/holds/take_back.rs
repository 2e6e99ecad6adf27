//! Puts units of committed holds back into stock. One transaction of several statements: returns are rare.

use std::collections::BTreeMap;

use agora_outbox::{Outcome, write_once};
use agora_postgres::Connection;
use agora_vocab::{ProductId, ReturnId, Variant, WarehouseId};
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    PgCatalog, StockMovement, changes,
    end::{HoldSnapshot, lock_hold, read_hold},
};
use crate::{
    domain::{Hold, HoldState, Lines, StockLevel, StockLocation, distribute},
    ports::{Returns, StoreError},
};

#[async_trait]
impl Returns for PgCatalog {
    async fn take_back(&self, hold: Hold, id: ReturnId, lines: &Lines) -> Result<Outcome<i64>, StoreError> {
        const TAKE_BACK: &str = include_str!("../../../sql/take_back.sql");
        let mut tx = self.db.begin().await?;
        lock_hold(&mut tx, hold).await?;
        let returned = returned_units(&mut tx, hold).await?;
        let before: Vec<i64> =
            returned.iter().filter(|row| row.return_id == id.uuid()).map(|row| row.quantity).collect();
        if !before.is_empty() {
            return Ok(Outcome::Duplicate(before.into_iter().sum()));
        }
        let snapshot = read_hold(&mut tx, hold, &[HoldState::Committed]).await?;
        let levels = snapshot.map(HoldSnapshot::into_levels).unwrap_or_default();
        let sold: Vec<_> = levels.iter().map(|(level, units)| (level.location.clone(), *units)).collect();
        let levels: BTreeMap<StockLocation, StockLevel> =
            levels.into_iter().map(|(level, _)| (level.location.clone(), level)).collect();
        let mut back = BTreeMap::<StockLocation, i64>::new();
        for row in returned {
            let units = row.quantity;
            *back.entry(row.into_location()).or_default() += units;
        }
        let moved = distribute(&sold, &back, lines);
        let movement = |(location, units): &(StockLocation, i64)| {
            levels.get(location).map(|level| StockMovement::of(level, *units, 0))
        };
        let movements: Vec<StockMovement> = moved.iter().filter_map(movement).collect();
        let events = self.hold_events(&movements, None, hold, None)?;
        let take = sqlx::query(TAKE_BACK)
            .bind(id.uuid())
            .bind(hold.order.uuid())
            .bind(hold.number)
            .bind(changes(&movements))
            .bind(events.rows());
        write_once(&mut tx, take, &events, &[]).await?;
        let committed = tx.commit().await;
        let products: Vec<ProductId> = moved.iter().map(|(location, _)| location.product).collect();
        self.drop_cached(&products).await;
        committed?;
        Ok(Outcome::Applied(moved.iter().map(|(_, units)| units).sum()))
    }
}

/// A row of `find_returned_units.sql`.
#[derive(sqlx::FromRow)]
struct ReturnedRow {
    return_id: Uuid,
    product_id: Uuid,
    variant: String,
    warehouse_id: Uuid,
    quantity: i64,
}

impl ReturnedRow {
    fn into_location(self) -> StockLocation {
        StockLocation {
            product: ProductId::new(self.product_id),
            variant: Variant::stored(self.variant),
            warehouse: WarehouseId::new(self.warehouse_id),
        }
    }
}

async fn returned_units(connection: &mut Connection, hold: Hold) -> Result<Vec<ReturnedRow>, StoreError> {
    const FIND: &str = include_str!("../../../sql/find_returned_units.sql");
    let find = sqlx::query_as(FIND).bind(hold.order.uuid()).bind(hold.number);
    Ok(find.fetch_all(connection).await?)
}
