//! Ends holds: commit, release and expiry. Contains the statements; the domain decides the transition.

use std::collections::BTreeMap;

use agora_outbox::{Account, DedupKey, Outcome, remembered, told};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{
    Change, StockMovement, StockRow, Store, all_locked, execute_guarded, locked, moved, reservation_state, statement,
    store_unchanged, stored,
};
use crate::{
    domain::{Hold, HoldState, ReleaseAction, release_action},
    ports::StoreError,
};

/// Ends a hold; the result is its state afterwards.
pub(in crate::postgres) struct EndHold<'a> {
    pub store: &'a Store,
    pub hold: Hold,
    /// Selects the step by the current state of the hold.
    pub step: fn(HoldState) -> Step,
    pub dedup_key: &'a DedupKey,
}

/// How the hold changes.
#[derive(Clone, Copy)]
pub(in crate::postgres) enum Step {
    Apply(&'static Transition),
    /// The hold does not exist: insert a tombstone.
    WriteTombstone,
    /// The hold does not change.
    Keep,
}

/// A transition between two states and its effect on stock.
pub(in crate::postgres) struct Transition {
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
pub(in crate::postgres) fn on_commit(state: HoldState) -> Step {
    if state == HoldState::Held { Step::Apply(&COMMIT) } else { Step::Keep }
}

/// The step of a release.
pub(in crate::postgres) fn on_release(state: HoldState) -> Step {
    match release_action(state) {
        ReleaseAction::WriteTombstone => Step::WriteTombstone,
        ReleaseAction::Free => Step::Apply(&FREE),
        ReleaseAction::Return => Step::Apply(&RETURN),
        ReleaseAction::Nothing => Step::Keep,
    }
}

/// The step of an expiry.
pub(in crate::postgres) fn on_expiry(state: HoldState) -> Step {
    if state == HoldState::Held { Step::Apply(&EXPIRE) } else { Step::Keep }
}

/// The data that the decision is based on, read by one statement.
#[derive(sqlx::FromRow)]
struct HoldSnapshot {
    state: Option<String>,
    message: Option<Json<HoldState>>,
    parts: Json<Vec<StockRow>>,
    /// Sequence number of the order's last event, 0 if there is none.
    order_seq: i64,
}

impl Change for EndHold<'_> {
    type Answer = HoldState;

    async fn attempt(&self, connection: &mut PgConnection) -> Result<Option<Outcome<HoldState>>, StoreError> {
        let HoldSnapshot { state, message, parts: Json(parts), order_seq } = self.read_snapshot(connection).await?;
        if let Some(stored) = stored(connection, self.dedup_key, message).await? {
            return Ok(Some(Outcome::Duplicate(stored)));
        }
        let state = state.as_deref().and_then(HoldState::parse).unwrap_or(HoldState::Unknown);
        match (self.step)(state) {
            Step::Apply(transition) => self.finish(connection, transition, parts, order_seq).await,
            Step::WriteTombstone => self.write_tombstone(connection).await,
            // No result is stored for an event: no caller reads it, and a duplicate finds the hold ended as well.
            Step::Keep if matches!(self.dedup_key, DedupKey::Event { .. }) && state != HoldState::Unknown => {
                Ok(Some(Outcome::Applied(state)))
            }
            Step::Keep => store_unchanged(connection, self.dedup_key, state).await,
        }
    }

    async fn lock(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        const LOCK_HOLD: &str = "select from hold where order_id = $1 and hold = $2 for no key update";
        const LOCK_STOCK: &str = "select from stock s \
            where s.product_id in (select product_id from reservation where order_id = $1 and hold = $2) \
            order by s.product_id, s.variant, s.warehouse_id for no key update of s";
        for lock in [LOCK_HOLD, LOCK_STOCK] {
            let lock = sqlx::query(lock).bind(self.hold.order.uuid()).bind(self.hold.number);
            lock.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

impl EndHold<'_> {
    async fn read_snapshot(&self, connection: &mut PgConnection) -> Result<HoldSnapshot, sqlx::Error> {
        const SNAPSHOT: &str = "select h.state, \
                (select value from inbox where consumer = $3 and event_id = $4) as message, \
                coalesce((select json_agg(part) from ( \
                    select s.product_id, s.variant, s.warehouse_id, s.on_hand, s.reserved, s.version, 0 as priority, \
                    coalesce(q.seq, 0) as seq, r.quantity as units \
                    from reservation r join stock s on s.product_id = r.product_id and s.variant = r.variant \
                    and s.warehouse_id = r.warehouse_id left join inventory_seq q on q.aggregate_id = s.product_id \
                    where r.order_id = $1 and r.hold = $2) as part), '[]') as parts, \
                coalesce((select seq from inventory_seq where aggregate_id = $1), 0) as order_seq \
            from (values ($1::uuid, $2::integer)) as asked (order_id, hold) \
            left join hold h on h.order_id = asked.order_id and h.hold = asked.hold";
        let (consumer, message) = self.dedup_key.message().unzip();
        sqlx::query_as(SNAPSHOT)
            .bind(self.hold.order.uuid())
            .bind(self.hold.number)
            .bind(consumer)
            .bind(message)
            .fetch_one(connection)
            .await
    }

    /// Ends the hold and updates the stock of its units.
    async fn finish(
        &self,
        connection: &mut PgConnection,
        transition: &Transition,
        parts: Vec<StockRow>,
        order_seq: i64,
    ) -> Result<Option<Outcome<HoldState>>, StoreError> {
        const FINISH: &str = concat!(
            "with found as (select from hold where order_id = $1 and hold = $2 and state = $14 for no key update), ",
            locked!("exists (select from found)"),
            ", hold_row as (update hold set state = $15, updated_at = now() \
                where order_id = $1 and hold = $2 and state = $14 and ",
            all_locked!(),
            " returning order_id), ",
            moved!(),
            ", ended as (update reservation set state = ",
            reservation_state!("$15"),
            " where order_id = $1 and hold = $2 and exists (select from hold_row)), \
            booked as (insert into stock_movement (product_id, variant, warehouse_id, kind, quantity, order_id) \
                select product_id, variant, warehouse_id, $16, came, $1 from locked \
                where $16::text is not null and exists (select from hold_row)), ",
            told!("$13", "changed"),
            ", ",
            remembered!("$13", "changed"),
            " select from changed"
        );
        let Transition { from, to, on_hand, reserved, movement } = transition;
        let mut seqs: BTreeMap<Uuid, i64> = parts.iter().map(|part| (part.row.product_id, part.seq)).collect();
        seqs.insert(self.hold.order.uuid(), order_seq);
        let movement_of = |StockRow { row, seq: _, units }: StockRow| StockMovement {
            units,
            after: row.into_level().moved(on_hand * units, reserved * units),
        };
        let mut movements: Vec<StockMovement> = parts.into_iter().map(movement_of).collect();
        let more = (*to == HoldState::Expired).then(|| self.hold.expired());
        let mut account = Account::new();
        let counts =
            self.store.append_movements(&mut account, &mut movements, more, seqs, (self.hold, self.dedup_key))?;
        account.store_result(self.dedup_key, to)?;
        let finish = statement(FINISH, self.hold, &movements, counts, &account);
        let finish = finish.bind(from.as_str()).bind(to.as_str()).bind(*movement);
        Ok(execute_guarded(connection, finish, &account).await?.then_some(Outcome::Applied(*to)))
    }

    /// Inserts the tombstone of an unknown hold.
    async fn write_tombstone(&self, connection: &mut PgConnection) -> Result<Option<Outcome<HoldState>>, StoreError> {
        const WRITE_TOMBSTONE: &str = concat!(
            "with changed as (insert into hold (order_id, hold, state) values ($1, $2, 'tombstone') \
                on conflict do nothing returning order_id), ",
            remembered!("$3", "changed"),
            " select from changed"
        );
        let (mut account, state) = (Account::new(), HoldState::Tombstone);
        account.store_result(self.dedup_key, &state)?;
        let insert =
            sqlx::query(WRITE_TOMBSTONE).bind(self.hold.order.uuid()).bind(self.hold.number).bind(account.parameter());
        Ok(execute_guarded(connection, insert, &account).await?.then_some(Outcome::Applied(state)))
    }
}
