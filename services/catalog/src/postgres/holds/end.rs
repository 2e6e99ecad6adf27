//! Ends holds: commit, release and expiry. Runs the statements; the domain decides the transition.

use std::sync::OnceLock;

use agora_outbox::{Outcome, write_once};
use agora_postgres::Connection;
use agora_vocab::{ProductId, Variant, WarehouseId};
use uuid::Uuid;

use super::{Change, PgCatalog, StockMovement, changes};
use crate::{
    domain::{Hold, HoldState, ReleaseAction, StockLevel, StockLocation, release_action},
    ports::StoreError,
};

/// Ends a hold; the result is its state afterwards.
pub(super) struct EndHold<'a> {
    store: &'a PgCatalog,
    hold: Hold,
    /// Selects the step by the current state of the hold.
    step: fn(HoldState) -> Step,
    message: Option<Uuid>,
    freed: OnceLock<Vec<ProductId>>,
}

/// How the hold changes.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Apply(&'static Transition),
    /// The hold does not exist: insert a tombstone.
    WriteTombstone,
    /// The hold does not change.
    Keep,
}

/// A transition between two states and its effect on stock.
pub(super) struct Transition {
    from: HoldState,
    to: HoldState,
    /// Factor of the reserved units that is added to the units on hand.
    on_hand: i64,
    /// Factor of the reserved units that is added to the reserved counter.
    reserved: i64,
    /// Kind of the ledger entry; `None` if the units on hand do not change.
    movement: Option<&'static str>,
}

const COMMIT: Transition =
    Transition { from: HoldState::Held, to: HoldState::Committed, on_hand: -1, reserved: -1, movement: Some("commit") };
const FREE: Transition =
    Transition { from: HoldState::Held, to: HoldState::Released, on_hand: 0, reserved: -1, movement: None };
const RETURN: Transition = Transition {
    from: HoldState::Committed,
    to: HoldState::Released,
    on_hand: 1,
    reserved: 0,
    movement: Some("return"),
};
const EXPIRE: Transition =
    Transition { from: HoldState::Held, to: HoldState::Expired, on_hand: 0, reserved: -1, movement: None };

/// The step of a commit.
pub(super) fn on_commit(state: HoldState) -> Step {
    if state == HoldState::Held { Step::Apply(&COMMIT) } else { Step::Keep }
}

/// The step of a release.
pub(super) fn on_release(state: HoldState) -> Step {
    match release_action(state) {
        ReleaseAction::WriteTombstone => Step::WriteTombstone,
        ReleaseAction::Free => Step::Apply(&FREE),
        ReleaseAction::Return => Step::Apply(&RETURN),
        ReleaseAction::Nothing => Step::Keep,
    }
}

/// The step of an expiry.
pub(super) fn on_expiry(state: HoldState) -> Step {
    if state == HoldState::Held { Step::Apply(&EXPIRE) } else { Step::Keep }
}

/// The data that the decision is based on, read by one statement.
#[derive(sqlx::FromRow)]
pub(super) struct HoldSnapshot {
    state: String,
    reserved_by: Option<Uuid>,
    committed_by: Option<Uuid>,
    released_by: Option<Uuid>,
    /// Empty in a state in which stock does not change.
    stock: Vec<HeldStock>,
}

/// The composite type `held_stock`: a stock row with the units that the hold reserves there.
#[derive(sqlx::Type)]
#[sqlx(type_name = "held_stock")]
struct HeldStock {
    id: Uuid,
    product_id: Uuid,
    variant: String,
    warehouse_id: Uuid,
    on_hand: i64,
    reserved: i64,
    version: i64,
    quantity: i64,
}

impl Change for EndHold<'_> {
    type Answer = HoldState;

    async fn attempt(&self, connection: &mut Connection) -> Result<Option<Outcome<HoldState>>, StoreError> {
        let changes_stock = |state: &HoldState| matches!((self.step)(*state), Step::Apply(_));
        let states: Vec<_> = [HoldState::Held, HoldState::Committed].into_iter().filter(changes_stock).collect();
        let Some(snapshot) = read_hold(connection, self.hold, &states).await? else {
            return self.apply(connection, HoldState::Unknown, None, Vec::new()).await;
        };
        let HoldSnapshot { state, reserved_by, committed_by, released_by, stock } = snapshot;
        let state = HoldState::parse(&state).unwrap_or(HoldState::Unknown);
        match self.message {
            Some(message) if committed_by == Some(message) => Ok(Some(Outcome::Duplicate(HoldState::Committed))),
            Some(message) if released_by == Some(message) => Ok(Some(Outcome::Duplicate(state))),
            _ => self.apply(connection, state, reserved_by, stock).await,
        }
    }

    async fn lock(&self, connection: &mut Connection) -> Result<(), sqlx::Error> {
        lock_hold(connection, self.hold).await
    }
}

impl<'a> EndHold<'a> {
    /// Ends `hold` by a command or event with the id `message`; `None` for an expiry.
    pub fn new(store: &'a PgCatalog, hold: Hold, step: fn(HoldState) -> Step, message: Option<Uuid>) -> Self {
        Self { store, hold, step, message, freed: OnceLock::new() }
    }

    /// The products whose available units the change may have raised.
    pub fn freed(&self) -> &[ProductId] {
        self.freed.get().map_or(&[], Vec::as_slice)
    }

    async fn apply(
        &self,
        connection: &mut Connection,
        state: HoldState,
        reserved_by: Option<Uuid>,
        stock: Vec<HeldStock>,
    ) -> Result<Option<Outcome<HoldState>>, StoreError> {
        match (self.step)(state) {
            Step::Apply(transition) => self.finish(connection, transition, reserved_by, stock).await,
            Step::WriteTombstone => self.write_tombstone(connection).await,
            // Nothing is stored: the state of an ended hold does not change, so a duplicate returns it as well.
            Step::Keep => Ok(Some(Outcome::Applied(state))),
        }
    }

    /// Ends the hold and updates the stock of its units.
    async fn finish(
        &self,
        connection: &mut Connection,
        transition: &Transition,
        reserved_by: Option<Uuid>,
        stock: Vec<HeldStock>,
    ) -> Result<Option<Outcome<HoldState>>, StoreError> {
        const END_HOLD: &str = include_str!("../../../sql/end_hold.sql");
        let Transition { from, to, on_hand, reserved, movement } = transition;
        let moved = |stock: HeldStock| {
            let units = stock.quantity;
            StockMovement::of(&stock.into_level(), on_hand * units, reserved * units)
        };
        // Sorted: the lines of a hold are stored in the order of their locations.
        let movements: Vec<StockMovement> = stock.into_iter().map(moved).collect();
        if on_hand != reserved {
            // The lines of a hold never change: another attempt frees the same.
            self.freed.get_or_init(|| movements.iter().map(|movement| movement.after.location.product).collect());
        }
        let expired = reserved_by.filter(|_| *to == HoldState::Expired);
        let events = self.store.hold_events(&movements, expired, self.hold, self.message)?;
        let end = sqlx::query(END_HOLD)
            .bind(self.hold.order.uuid())
            .bind(self.hold.number)
            .bind(from.as_str())
            .bind(to.as_str())
            .bind(self.message)
            .bind(changes(&movements))
            .bind(*movement)
            .bind(events.rows());
        Ok(write_once(connection, end, &events, &[]).await?.map(|_| Outcome::Applied(*to)))
    }

    /// Inserts the tombstone of an unknown hold.
    async fn write_tombstone(&self, connection: &mut Connection) -> Result<Option<Outcome<HoldState>>, StoreError> {
        const WRITE_TOMBSTONE: &str = include_str!("../../../sql/write_tombstone.sql");
        let write = sqlx::query(WRITE_TOMBSTONE).bind(self.hold.order.uuid()).bind(self.hold.number).bind(self.message);
        Ok(write.fetch_optional(connection).await?.map(|_| Outcome::Applied(HoldState::Tombstone)))
    }
}

/// Locks a hold and the stock rows of its lines until the transaction ends.
pub(super) async fn lock_hold(connection: &mut Connection, hold: Hold) -> Result<(), sqlx::Error> {
    const LOCK_HOLD: &str = include_str!("../../../sql/lock_hold.sql");
    sqlx::query(LOCK_HOLD).bind(hold.order.uuid()).bind(hold.number).execute(connection).await?;
    Ok(())
}

/// Reads a hold, with its stock rows in one of `states`.
pub(super) async fn read_hold(
    connection: &mut Connection,
    hold: Hold,
    states: &[HoldState],
) -> Result<Option<HoldSnapshot>, sqlx::Error> {
    const READ_HOLD: &str = include_str!("../../../sql/read_hold.sql");
    let states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    sqlx::query_as(READ_HOLD).bind(hold.order.uuid()).bind(hold.number).bind(states).fetch_optional(connection).await
}

impl HoldSnapshot {
    /// The stock rows, each with the units of the hold there.
    pub(super) fn into_levels(self) -> Vec<(StockLevel, i64)> {
        let level = |stock: HeldStock| {
            let units = stock.quantity;
            (stock.into_level(), units)
        };
        self.stock.into_iter().map(level).collect()
    }
}

impl HeldStock {
    fn into_level(self) -> StockLevel {
        let Self { id, product_id, variant, warehouse_id, on_hand, reserved, version, quantity: _ } = self;
        let (product, warehouse) = (ProductId::new(product_id), WarehouseId::new(warehouse_id));
        let location = StockLocation { product, variant: Variant::stored(variant), warehouse };
        StockLevel { id, location, on_hand, reserved, version, priority: 0 }
    }
}
