//! Reserves units for a hold. Runs the statements; the domain allocates the units.

use agora_outbox::{Outcome, write_once};
use agora_postgres::{Connection, composite};
use sqlx::types::Json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Change, PgCatalog, StockMovement, changes};
use crate::{
    domain::{Allocation, Hold, HoldState, Lines, Reservation, Seconds, Shortage, StockLevel, allocate},
    ports::StoreError,
    postgres::stock::LevelRow,
};

/// The state of a hold whose reserve command was rejected. Unknown to commands that end the hold.
const SHORT: &str = "short";

/// Reserves every line or none.
pub(super) struct Reserve<'a> {
    pub store: &'a PgCatalog,
    pub hold: Hold,
    pub lines: &'a Lines,
    pub seconds: Seconds,
    /// Id of the command.
    pub message: Uuid,
}

/// The data that the decision is based on, read by one statement.
#[derive(sqlx::FromRow)]
struct StockSnapshot {
    now: OffsetDateTime,
    state: Option<String>,
    expires_at: Option<OffsetDateTime>,
    reserved_by: Option<Uuid>,
    shortages: Option<Json<Vec<Shortage>>>,
    levels: Vec<LevelRow>,
}

/// The composite type `product_variant`.
#[derive(sqlx::Encode)]
struct ProductVariant<'a> {
    product_id: Uuid,
    variant: &'a str,
}

composite!(ProductVariant<'_>, "product_variant");

impl Change for Reserve<'_> {
    type Answer = Reservation;

    async fn attempt(&self, connection: &mut Connection) -> Result<Option<Outcome<Reservation>>, StoreError> {
        let mut snapshot = self.read_stock(connection).await?;
        let levels: Vec<StockLevel> =
            std::mem::take(&mut snapshot.levels).into_iter().map(LevelRow::into_level).collect();
        let now = snapshot.now;
        if let Some(known) = self.known(snapshot) {
            return Ok(Some(known));
        }
        match allocate(self.lines, &levels) {
            // A request for units that are sold out does not wait for row locks.
            Err(shortages) => self.write_shortages(connection, shortages).await,
            Ok(parts) => {
                let until = now + Duration::seconds(i64::from(self.seconds.get()));
                self.write_hold(connection, &movements(&parts, &levels), until).await
            }
        }
    }

    async fn lock(&self, connection: &mut Connection) -> Result<(), sqlx::Error> {
        const LOCK_STOCK: &str = include_str!("../../../sql/lock_stock.sql");
        sqlx::query(LOCK_STOCK).bind(self.product_variants()).execute(connection).await?;
        Ok(())
    }
}

impl Reserve<'_> {
    async fn read_stock(&self, connection: &mut Connection) -> Result<StockSnapshot, sqlx::Error> {
        const READ_STOCK: &str = include_str!("../../../sql/read_stock.sql");
        sqlx::query_as(READ_STOCK)
            .bind(self.hold.order.uuid())
            .bind(self.hold.number)
            .bind(self.product_variants())
            .fetch_one(connection)
            .await
    }

    /// The result of this command if it was processed before or another one created the hold; `None` if the command may
    /// reserve units.
    fn known(&self, snapshot: StockSnapshot) -> Option<Outcome<Reservation>> {
        let StockSnapshot { now: _, state, expires_at, reserved_by, shortages, levels: _ } = snapshot;
        let state = state?;
        if reserved_by == Some(self.message) {
            return match (shortages, expires_at) {
                (Some(Json(shortages)), _) => Some(Outcome::Duplicate(Reservation::Short(shortages))),
                (None, Some(until)) => Some(Outcome::Duplicate(Reservation::Held(until))),
                (None, None) => Some(Outcome::Duplicate(Reservation::Cancelled)),
            };
        }
        match (state.as_str(), HoldState::parse(&state), expires_at) {
            (SHORT, ..) => None,
            (_, Some(HoldState::Held | HoldState::Committed), Some(until)) => {
                Some(Outcome::Applied(Reservation::Held(until)))
            }
            _ => Some(Outcome::Applied(Reservation::Cancelled)),
        }
    }

    /// Writes the hold and updates the stock rows.
    async fn write_hold(
        &self,
        connection: &mut Connection,
        movements: &[StockMovement],
        until: OffsetDateTime,
    ) -> Result<Option<Outcome<Reservation>>, StoreError> {
        const RESERVE: &str = include_str!("../../../sql/reserve.sql");
        let events = self.store.hold_events(movements, None, self.hold, Some(self.message))?;
        let reserve = sqlx::query(RESERVE)
            .bind(self.hold.order.uuid())
            .bind(self.hold.number)
            .bind(until)
            .bind(self.message)
            .bind(changes(movements))
            .bind(events.rows());
        let written = write_once(connection, reserve, &events, &[]).await?;
        Ok(written.map(|_| Outcome::Applied(Reservation::Held(until))))
    }

    /// Stores the rejection, so that a late duplicate of the command does not reserve units.
    async fn write_shortages(
        &self,
        connection: &mut Connection,
        shortages: Vec<Shortage>,
    ) -> Result<Option<Outcome<Reservation>>, StoreError> {
        const REJECT: &str = include_str!("../../../sql/reject_hold.sql");
        let reject = sqlx::query(REJECT).bind(self.hold.order.uuid()).bind(self.hold.number).bind(self.message);
        let written = reject.bind(Json(&shortages)).fetch_optional(connection).await?;
        Ok(written.map(|_| Outcome::Applied(Reservation::Short(shortages))))
    }

    fn product_variants(&self) -> Vec<ProductVariant<'_>> {
        let lines = self.lines.as_slice().iter();
        lines.map(|line| ProductVariant { product_id: line.product.uuid(), variant: line.variant.as_str() }).collect()
    }
}

/// Converts allocated parts to movements of their stock rows, in the order of their locations.
fn movements(parts: &[Allocation], levels: &[StockLevel]) -> Vec<StockMovement> {
    let from = |part: &Allocation| levels.iter().find(|level| level.location == part.location);
    let reserved = |part: &Allocation| from(part).map(|level| StockMovement::of(level, 0, part.units));
    let mut movements: Vec<StockMovement> = parts.iter().filter_map(reserved).collect();
    movements.sort_by(|a, b| a.after.location.cmp(&b.after.location));
    movements
}
