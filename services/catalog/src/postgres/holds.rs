//! Optimistic writes of holds: a change reads without locks, the domain decides, and one statement writes everything if no
//! row that it changes has been modified since; otherwise the change reads again. Independent of HTTP and Kafka.
//!
//! The statement locks the hold if there is one, then stock rows in the order of [`StockLocation`], and writes the hold,
//! `inventory_seq` by aggregate, and the stored result. A stock row is unmodified if its version is: each change increments
//! it.

mod end;
mod reserve;

use std::collections::BTreeMap;

use agora_events::catalog::InventoryEvent;
use agora_outbox::{Account, DedupKey, Outcome, find_result, insert_result};
use agora_postgres::Db;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{Acquire as _, PgConnection, Postgres, postgres::PgArguments, query::Query, types::Json};
use uuid::Uuid;

pub(super) use self::{
    end::{EndHold, on_commit, on_expiry, on_release},
    reserve::Reserve,
};
use super::{Store, new_event, stock::Row};
use crate::{
    domain::{Hold, StockLevel, StockLocation},
    ports::StoreError,
};

/// Attempts without locks before a change locks its rows: this many conflicts indicate high contention.
const UNLOCKED_ATTEMPTS: u32 = 3;
/// Maximum attempts of one change, with and without locks.
pub(super) const ATTEMPTS_MAX: u32 = 20;

/// A change that one statement writes.
pub(super) trait Change: Sync {
    type Answer: Send;

    /// Reads, decides and writes; `None` on a conflict with a concurrent change, in which case nothing is written.
    fn attempt(
        &self,
        connection: &mut PgConnection,
    ) -> impl Future<Output = Result<Option<Outcome<Self::Answer>>, StoreError>> + Send;

    /// Locks the hold, if there is one, and the stock rows of its products until the transaction ends. Every transaction
    /// that appends an event of a product locks one of these rows.
    fn lock(&self, connection: &mut PgConnection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Applies a change once per deduplication key; retries on conflicts, at first without locks.
pub(super) async fn write<C: Change>(db: &Db, change: &C) -> Result<Outcome<C::Answer>, StoreError> {
    let mut connection = db.acquire().await?;
    for _ in 0..UNLOCKED_ATTEMPTS {
        if let Some(done) = change.attempt(&mut connection).await? {
            return Ok(done);
        }
    }
    for _ in UNLOCKED_ATTEMPTS..ATTEMPTS_MAX {
        let mut tx = connection.begin().await?;
        change.lock(&mut tx).await?;
        if let Some(done) = change.attempt(&mut tx).await? {
            tx.commit().await?;
            return Ok(done);
        }
    }
    Err(StoreError::Running)
}

/// A stock row as it was read.
#[derive(Deserialize)]
struct StockRow {
    #[serde(flatten)]
    row: Row,
    /// Sequence number of the product's last event, 0 if there is none.
    seq: i64,
    /// Units that the hold reserves in this row.
    #[serde(default)]
    units: i64,
}

/// A change of one stock row.
struct StockMovement {
    units: i64,
    after: StockLevel,
}

/// Sequence numbers of the events to append, per aggregate.
#[derive(Default)]
struct SequenceNumbers {
    aggregates: Vec<Uuid>,
    taken: Vec<i64>,
    last: Vec<i64>,
}

/// The common table expressions `part` and `locked`: the stock rows that are unmodified since they were read, if `$so`
/// holds, locked in the order of [`StockLocation`] because the sort is below the locking in the plan. The limit excludes no
/// row: it makes the planner expect few rows and use the primary key for any table size.
macro_rules! locked {
    ($so:literal) => {
        concat!(
            "part as (select product_id, variant, warehouse_id, units, version, on_hand, reserved \
                from unnest($3::uuid[], $4::text[], $5::uuid[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) \
                as p (product_id, variant, warehouse_id, units, version, on_hand, reserved) \
                limit cardinality($3::uuid[])), \
            locked as (select s.product_id, s.variant, s.warehouse_id, p.units, p.on_hand, p.reserved, \
                p.on_hand - s.on_hand as came \
                from part p join stock s on s.product_id = p.product_id and s.variant = p.variant \
                and s.warehouse_id = p.warehouse_id and s.version = p.version where ",
            $so,
            " order by s.product_id, s.variant, s.warehouse_id for no key update of s)"
        )
    };
}
use locked;

/// Condition: every row of the change is in [`locked!`].
macro_rules! all_locked {
    () => {
        "(select count(*) from locked) = cardinality($3::uuid[])"
    };
}
use all_locked;

/// The common table expressions `counted`, `changed` and `moved`, which take effect if `hold_row` returns a row. `moved`
/// updates the rows of [`locked!`]; `changed` returns a row if the allocated sequence numbers are the expected ones. If they
/// are not, a concurrent transaction appended events of the same product, and the statement must fail:
/// [`reservation_state!`].
macro_rules! moved {
    () => {
        "counted as (insert into inventory_seq (aggregate_id, seq) \
            select aggregate_id, taken from unnest($10::uuid[], $11::bigint[]) as t (aggregate_id, taken) \
            where exists (select from hold_row) order by aggregate_id \
            on conflict (aggregate_id) do update set seq = inventory_seq.seq + excluded.seq \
            returning aggregate_id, seq), \
        changed as (select from hold_row \
            where (select array_agg(seq order by aggregate_id) from counted) = $12::bigint[]), \
        moved as (update stock s set on_hand = l.on_hand, reserved = l.reserved, version = s.version + 1 from locked l \
            where s.product_id = l.product_id and s.variant = l.variant and s.warehouse_id = l.warehouse_id \
            and exists (select from hold_row))"
    };
}
use moved;

/// The new state of the hold's reservations: `$state`, or a value that violates the check constraint, so that the whole
/// statement is rolled back.
macro_rules! reservation_state {
    ($state:literal) => {
        concat!("case when exists (select from changed) then ", $state, " else 'stale' end")
    };
}
use reservation_state;

/// Binds parameters 1 to 13, which [`locked!`], [`moved!`] and the outbox macros use.
fn statement(
    sql: &'static str,
    hold: Hold,
    movements: &[StockMovement],
    counts: SequenceNumbers,
    account: &Account,
) -> Query<'static, Postgres, PgArguments> {
    let ids = |f: fn(&StockLocation) -> Uuid| movements.iter().map(|m| f(&m.after.location)).collect::<Vec<_>>();
    let numbers = |f: fn(&StockMovement) -> i64| movements.iter().map(f).collect::<Vec<_>>();
    let variants: Vec<String> = movements.iter().map(|m| m.after.location.variant.as_str().to_owned()).collect();
    let SequenceNumbers { aggregates, taken, last } = counts;
    sqlx::query(sql)
        .bind(hold.order.uuid())
        .bind(hold.number)
        .bind(ids(|location| location.product.uuid()))
        .bind(variants)
        .bind(ids(|location| location.warehouse.uuid()))
        .bind(numbers(|m| m.units))
        .bind(numbers(|m| m.after.version - 1))
        .bind(numbers(|m| m.after.on_hand))
        .bind(numbers(|m| m.after.reserved))
        .bind(aggregates)
        .bind(taken)
        .bind(last)
        .bind(account.parameter())
}

/// Runs a statement that returns a row if it wrote; `false` if it wrote nothing because of a concurrent change.
async fn execute_guarded(
    connection: &mut PgConnection,
    statement: Query<'static, Postgres, PgArguments>,
    account: &Account,
) -> Result<bool, StoreError> {
    Ok(account.write(connection, statement, &["reservation_state_known"]).await?.is_some())
}

/// Stores the result of a change without effect.
async fn store_unchanged<T: Serialize>(
    connection: &mut PgConnection,
    dedup_key: &DedupKey,
    answer: T,
) -> Result<Option<Outcome<T>>, StoreError> {
    Ok(insert_result(connection, dedup_key, &answer).await?.then_some(Outcome::Applied(answer)))
}

/// Returns the stored result of a deduplication key; `message` is the value read from the inbox.
async fn stored<T: DeserializeOwned>(
    connection: &mut PgConnection,
    dedup_key: &DedupKey,
    message: Option<Json<T>>,
) -> Result<Option<T>, StoreError> {
    match dedup_key {
        DedupKey::Request { .. } => Ok(find_result(connection, dedup_key).await?),
        DedupKey::Event { .. } | DedupKey::Command { .. } | DedupKey::None => Ok(message.map(|Json(stored)| stored)),
    }
}

impl Store {
    /// Sorts the movements by location and adds their events, and `more`, to the account. `seqs` contains the last sequence
    /// numbers.
    fn append_movements(
        &self,
        account: &mut Account,
        movements: &mut [StockMovement],
        more: Option<InventoryEvent>,
        mut seqs: BTreeMap<Uuid, i64>,
        (hold, dedup_key): (Hold, &DedupKey),
    ) -> Result<SequenceNumbers, StoreError> {
        movements.sort_by(|a, b| a.after.location.cmp(&b.after.location));
        let order = hold.order.uuid();
        let changed = movements.iter().map(|m| (m.after.location.product.uuid(), m.after.changed()));
        let mut taken: BTreeMap<Uuid, i64> = BTreeMap::new();
        for (aggregate, event) in changed.chain(more.map(|event| (order, event))) {
            let seq = seqs.entry(aggregate).or_default();
            *seq += 1;
            *taken.entry(aggregate).or_default() += 1;
            account.append(
                &*self.ids,
                self.epoch,
                new_event(&event, (aggregate, *seq), Some(hold.order), dedup_key),
            )?;
        }
        let last = taken.keys().map(|aggregate| seqs[aggregate]).collect();
        let (aggregates, taken) = taken.into_iter().unzip();
        Ok(SequenceNumbers { aggregates, taken, last })
    }
}
