//! The port `Holds` in PostgreSQL. Writes are optimistic: a change reads without locks, the domain decides, and one statement
//! writes everything if no row that it changes has been modified since; otherwise the change reads again. Independent of HTTP
//! and Kafka.
//!
//! The statement locks the hold if there is one, then stock rows in the order of [`StockLocation`], and writes the hold. A
//! stock row is unmodified if its version is: each change increments it. The row of a hold stores the ids of the messages
//! that changed it, so a duplicate of a message is detected without the inbox.

mod end;
mod reserve;
mod take_back;

use std::collections::BTreeMap;

use agora_events::catalog::InventoryEvent;
use agora_outbox::{NewEvent, NewEvents, Outcome};
use agora_postgres::{Connection, Db, composite};
use agora_vocab::{OrderId, ProductId};
use async_trait::async_trait;
use uuid::Uuid;

use self::{
    end::{EndHold, on_commit, on_expiry, on_release},
    reserve::Reserve,
};
use super::PgCatalog;
use crate::{
    domain::{Hold, HoldState, Lines, Reservation, Seconds, StockLevel, StockLocation},
    ports::{Holds, StoreError},
};

/// Attempts without locks before a change locks its rows: this many conflicts indicate high contention.
const UNLOCKED_ATTEMPTS: u32 = 3;
/// Maximum attempts of one change, with and without locks.
const ATTEMPTS_MAX: u32 = 20;

/// Retention of a hold that ended without a sale, in days: that of inbox entries, and so longer than any command or event
/// can be delayed.
const KEPT_DAYS: i32 = 30;
/// Maximum holds deleted in one transaction.
const HOLDS_PER_SWEEP: i64 = 1_000;

#[async_trait]
impl Holds for PgCatalog {
    async fn reserve(
        &self,
        hold: Hold,
        lines: &Lines,
        seconds: Seconds,
        message: Uuid,
    ) -> Result<Outcome<Reservation>, StoreError> {
        let reserved = write(&self.db, &Reserve { store: self, hold, lines, seconds, message }).await;
        let products: Vec<ProductId> = lines.as_slice().iter().map(|line| line.product).collect();
        self.drop_cached(&products).await;
        reserved
    }

    async fn commit(&self, hold: Hold, message: Uuid) -> Result<Outcome<HoldState>, StoreError> {
        write(&self.db, &EndHold::new(self, hold, on_commit, Some(message))).await
    }

    async fn release(&self, hold: Hold, message: Uuid) -> Result<Outcome<HoldState>, StoreError> {
        let end = EndHold::new(self, hold, on_release, Some(message));
        let released = write(&self.db, &end).await;
        self.drop_cached(end.freed()).await;
        released
    }

    async fn hold_states(&self, holds: &[Hold]) -> Result<BTreeMap<Hold, HoldState>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_hold_states.sql");
        let orders: Vec<Uuid> = holds.iter().map(|hold| hold.order.uuid()).collect();
        let mut connection = self.db.acquire().await?;
        let rows: Vec<(Uuid, i32, String)> = sqlx::query_as(FIND).bind(orders).fetch_all(&mut *connection).await?;
        let state = |(order, number, state): (Uuid, i32, String)| {
            Some((Hold { order: OrderId::new(order), number }, HoldState::parse(&state)?))
        };
        Ok(rows.into_iter().filter_map(state).collect())
    }

    async fn expire_one(&self) -> Result<Option<Hold>, StoreError> {
        const NEXT: &str = include_str!("../../sql/next_expired_hold.sql");
        for _ in 0..ATTEMPTS_MAX {
            let mut tx = self.db.begin().await?;
            let next: Option<(Uuid, i32)> = sqlx::query_as(NEXT).fetch_optional(&mut *tx).await?;
            let Some((order, number)) = next else { return Ok(None) };
            let hold = Hold { order: OrderId::new(order), number };
            let end = EndHold::new(self, hold, on_expiry, None);
            end.lock(&mut tx).await?;
            if end.attempt(&mut tx).await?.is_some() {
                let committed = tx.commit().await;
                self.drop_cached(end.freed()).await;
                committed?;
                return Ok(Some(hold));
            }
        }
        Err(StoreError::Running)
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        const DELETE_OLD: &str = include_str!("../../sql/delete_old_holds.sql");
        let mut connection = self.db.acquire().await?;
        let swept = sqlx::query(DELETE_OLD).bind(KEPT_DAYS).bind(HOLDS_PER_SWEEP).execute(&mut *connection).await?;
        Ok(swept.rows_affected())
    }
}

/// A change that one statement writes.
trait Change: Sync {
    type Answer: Send;

    /// Reads, decides and writes; `None` on a conflict with a concurrent change, in which case nothing is written.
    fn attempt(
        &self,
        connection: &mut Connection,
    ) -> impl Future<Output = Result<Option<Outcome<Self::Answer>>, StoreError>> + Send;

    /// Locks the hold, if there is one, and the stock rows that the change may write, until the transaction ends.
    fn lock(&self, connection: &mut Connection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Applies a change; retries on conflicts, at first without locks.
async fn write<C: Change>(db: &Db, change: &C) -> Result<Outcome<C::Answer>, StoreError> {
    let mut connection = db.acquire().await?;
    for _ in 0..UNLOCKED_ATTEMPTS {
        if let Some(done) = change.attempt(&mut connection).await? {
            return Ok(done);
        }
    }
    drop(connection);
    for _ in UNLOCKED_ATTEMPTS..ATTEMPTS_MAX {
        let mut tx = db.begin().await?;
        change.lock(&mut tx).await?;
        if let Some(done) = change.attempt(&mut tx).await? {
            tx.commit().await?;
            return Ok(done);
        }
    }
    Err(StoreError::Running)
}

/// A change of one stock row.
struct StockMovement {
    on_hand: i64,
    reserved: i64,
    /// The row after the change.
    after: StockLevel,
}

/// The composite type `stock_change`.
#[derive(sqlx::Encode)]
struct StockChange<'a> {
    product_id: Uuid,
    variant: &'a str,
    warehouse_id: Uuid,
    version: i64,
    on_hand: i64,
    reserved: i64,
}

composite!(StockChange<'_>, "stock_change");

impl StockMovement {
    fn of(before: &StockLevel, on_hand: i64, reserved: i64) -> Self {
        Self { on_hand, reserved, after: before.moved(on_hand, reserved) }
    }

    fn change(&self) -> StockChange<'_> {
        let Self { on_hand, reserved, after } = self;
        let StockLocation { product, variant, warehouse } = &after.location;
        StockChange {
            product_id: product.uuid(),
            variant: variant.as_str(),
            warehouse_id: warehouse.uuid(),
            version: after.version - 1,
            on_hand: *on_hand,
            reserved: *reserved,
        }
    }
}

/// The movements as the argument of a statement, in the order of [`StockLocation`] if they are sorted.
fn changes(movements: &[StockMovement]) -> Vec<StockChange<'_>> {
    movements.iter().map(StockMovement::change).collect()
}

impl PgCatalog {
    /// The events of a change of a hold: one per stock row, and that of its expiry, whose aggregate is `expired`: the
    /// reservation, identified by the command that made it.
    fn hold_events(
        &self,
        movements: &[StockMovement],
        expired: Option<Uuid>,
        hold: Hold,
        message: Option<Uuid>,
    ) -> Result<NewEvents, StoreError> {
        let mut events = NewEvents::new();
        let mut push = |event: &InventoryEvent, aggregate, seq| {
            let correlation = Some(hold.order.uuid());
            events.push(&*self.ids, self.epoch, NewEvent { event, aggregate, seq, correlation, causation: message })
        };
        for StockMovement { after, .. } in movements {
            push(&after.changed(), after.id, after.version)?;
        }
        if let Some(reservation) = expired {
            push(&hold.expired(), reservation, 1)?;
        }
        Ok(events)
    }
}
