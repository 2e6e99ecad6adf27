//! Reserves units for a hold. Contains the statements; the domain allocates the units.

use std::collections::BTreeMap;

use agora_outbox::{Account, DedupKey, Outcome, remembered, told};
use sqlx::{PgConnection, types::Json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    Change, StockMovement, StockRow, Store, all_locked, execute_guarded, locked, moved, reservation_state, statement,
    store_unchanged, stored,
};
use crate::{
    domain::{Allocation, Hold, HoldState, Lines, Reservation, Seconds, StockLevel, allocate},
    ports::StoreError,
};

/// Reserves every line or none.
pub(in crate::postgres) struct Reserve<'a> {
    pub store: &'a Store,
    pub hold: Hold,
    pub lines: &'a Lines,
    pub seconds: Seconds,
    pub dedup_key: &'a DedupKey,
}

/// The data that the decision is based on, read by one statement.
#[derive(sqlx::FromRow)]
struct StockSnapshot {
    now: OffsetDateTime,
    state: Option<String>,
    expires_at: Option<OffsetDateTime>,
    message: Option<Json<Reservation>>,
    shelves: Json<Vec<StockRow>>,
}

impl Change for Reserve<'_> {
    type Answer = Reservation;

    async fn attempt(&self, connection: &mut PgConnection) -> Result<Option<Outcome<Reservation>>, StoreError> {
        let StockSnapshot { now, state, expires_at, message, shelves: Json(seen) } =
            self.read_snapshot(connection).await?;
        if let Some(stored) = stored(connection, self.dedup_key, message).await? {
            return Ok(Some(Outcome::Duplicate(stored)));
        }
        if let Some(state) = state {
            return store_unchanged(connection, self.dedup_key, known(&state, expires_at)).await;
        }
        let seqs = seen.iter().map(|seen| (seen.row.product_id, seen.seq)).collect();
        let levels: Vec<StockLevel> = seen.into_iter().map(|seen| seen.row.into_level()).collect();
        match allocate(self.lines, &levels) {
            // A request for units that are sold out does not wait for row locks.
            Err(shortages) => store_unchanged(connection, self.dedup_key, Reservation::Short(shortages)).await,
            Ok(parts) => {
                let until = now + Duration::seconds(i64::from(self.seconds.get()));
                self.write_hold(connection, movements(&parts, &levels), seqs, until).await
            }
        }
    }

    async fn lock(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        const LOCK: &str = "select from stock s where s.product_id = any($1) \
            order by s.product_id, s.variant, s.warehouse_id for no key update";
        let (products, _) = self.columns();
        sqlx::query(LOCK).bind(products).execute(connection).await?;
        Ok(())
    }
}

impl Reserve<'_> {
    async fn read_snapshot(&self, connection: &mut PgConnection) -> Result<StockSnapshot, sqlx::Error> {
        // The limit guides the planner, as in `locked!`.
        const SNAPSHOT: &str = "select now() as now, h.state, h.expires_at, \
                (select value from inbox where consumer = $5 and event_id = $6) as message, \
                coalesce((select json_agg(shelf) from ( \
                    select s.product_id, s.variant, s.warehouse_id, s.on_hand, s.reserved, s.version, w.priority, \
                    coalesce(q.seq, 0) as seq \
                    from (select product_id, variant from unnest($1::uuid[], $2::text[]) as l (product_id, variant) \
                        limit cardinality($1::uuid[])) as l \
                    join stock s on s.product_id = l.product_id and s.variant = l.variant \
                    join product p on p.id = s.product_id and p.deleted_at is null \
                    join warehouse w on w.id = s.warehouse_id \
                    left join inventory_seq q on q.aggregate_id = s.product_id) as shelf), '[]') as shelves \
            from (values ($3::uuid, $4::integer)) as asked (order_id, hold) \
            left join hold h on h.order_id = asked.order_id and h.hold = asked.hold";
        let (products, variants) = self.columns();
        let (consumer, message) = self.dedup_key.message().unzip();
        sqlx::query_as(SNAPSHOT)
            .bind(products)
            .bind(variants)
            .bind(self.hold.order.uuid())
            .bind(self.hold.number)
            .bind(consumer)
            .bind(message)
            .fetch_one(connection)
            .await
    }

    /// Writes the hold and its reservations, and updates the stock levels.
    async fn write_hold(
        &self,
        connection: &mut PgConnection,
        mut movements: Vec<StockMovement>,
        seqs: BTreeMap<Uuid, i64>,
        until: OffsetDateTime,
    ) -> Result<Option<Outcome<Reservation>>, StoreError> {
        const RESERVE: &str = concat!(
            "with ",
            locked!("true"),
            ", hold_row as (insert into hold (order_id, hold, state, expires_at) \
                select $1, $2, 'held', $14 where ",
            all_locked!(),
            " on conflict do nothing returning order_id), ",
            moved!(),
            ", reserved as (insert into reservation \
                (order_id, hold, product_id, variant, warehouse_id, quantity, state, expires_at) \
                select $1, $2, product_id, variant, warehouse_id, units, ",
            reservation_state!("'held'"),
            ", $14 from locked where exists (select from hold_row)), ",
            told!("$13", "changed"),
            ", ",
            remembered!("$13", "changed"),
            " select from changed"
        );
        let (mut account, answer) = (Account::new(), Reservation::Held(until));
        let counts =
            self.store.append_movements(&mut account, &mut movements, None, seqs, (self.hold, self.dedup_key))?;
        account.store_result(self.dedup_key, &answer)?;
        let take = statement(RESERVE, self.hold, &movements, counts, &account).bind(until);
        Ok(execute_guarded(connection, take, &account).await?.then_some(Outcome::Applied(answer)))
    }

    /// The lines as one column of products and one of variants.
    fn columns(&self) -> (Vec<Uuid>, Vec<&str>) {
        self.lines.as_slice().iter().map(|line| (line.product.uuid(), line.variant.as_str())).unzip()
    }
}

/// The result of a reserve command for an existing hold.
fn known(state: &str, expires_at: Option<OffsetDateTime>) -> Reservation {
    match (HoldState::parse(state), expires_at) {
        (Some(HoldState::Held | HoldState::Committed), Some(until)) => Reservation::Held(until),
        _ => Reservation::Cancelled,
    }
}

/// Converts allocated parts to movements of their stock levels.
fn movements(parts: &[Allocation], levels: &[StockLevel]) -> Vec<StockMovement> {
    let from = |part: &Allocation| levels.iter().find(|level| level.location == part.location);
    let held = |part: &Allocation| {
        from(part).map(|level| StockMovement { units: part.units, after: level.moved(0, part.units) })
    };
    parts.iter().filter_map(held).collect()
}
