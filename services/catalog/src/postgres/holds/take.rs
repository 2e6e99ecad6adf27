//! Taking units for a hold. Knows what is read and written for it; which units are taken is the domain's to say.

use std::collections::BTreeMap;

use agora_outbox::{Account, DedupKey, Outcome, remembered, told};
use sqlx::{PgConnection, types::Json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Change, Move, Seen, Store, all_locked, answered, locked, moved, so_far, statement, stored, wrote};
use crate::{
    domain::{Hold, HoldState, Lines, Part, Reservation, Seconds, Shelf, fill},
    ports::StoreError,
};

/// The wish to hold every line or none.
pub(in crate::postgres) struct Take<'a> {
    pub store: &'a Store,
    pub hold: Hold,
    pub lines: &'a Lines,
    pub seconds: Seconds,
    pub dedup_key: &'a DedupKey,
}

/// All that the decision needs.
#[derive(sqlx::FromRow)]
struct Look {
    now: OffsetDateTime,
    state: Option<String>,
    expires_at: Option<OffsetDateTime>,
    message: Option<Json<Reservation>>,
    shelves: Json<Vec<Seen>>,
}

impl Change for Take<'_> {
    type Answer = Reservation;

    async fn attempt(&self, connection: &mut PgConnection) -> Result<Option<Outcome<Reservation>>, StoreError> {
        let Look { now, state, expires_at, message, shelves: Json(seen) } = self.look(connection).await?;
        if let Some(stored) = stored(connection, self.dedup_key, message).await? {
            return Ok(Some(Outcome::Duplicate(stored)));
        }
        if let Some(state) = state {
            return answered(connection, self.dedup_key, known(&state, expires_at)).await;
        }
        let seqs = seen.iter().map(|seen| (seen.row.product_id, seen.seq)).collect();
        let shelves: Vec<Shelf> = seen.into_iter().map(|seen| seen.row.into_shelf()).collect();
        match fill(self.lines, &shelves) {
            // Who comes too late for the last units does not queue for their rows.
            Err(shortages) => answered(connection, self.dedup_key, Reservation::Short(shortages)).await,
            Ok(parts) => {
                let until = now + Duration::seconds(i64::from(self.seconds.get()));
                self.take(connection, moves(&parts, &shelves), seqs, until).await
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

impl Take<'_> {
    async fn look(&self, connection: &mut PgConnection) -> Result<Look, sqlx::Error> {
        // The limit is there for the planner, as in `locked!`.
        const LOOK: &str = "select now() as now, h.state, h.expires_at, \
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
        sqlx::query_as(LOOK)
            .bind(products)
            .bind(variants)
            .bind(self.hold.order.uuid())
            .bind(self.hold.number)
            .bind(consumer)
            .bind(message)
            .fetch_one(connection)
            .await
    }

    /// Writes the hold and its reservations, and takes the units.
    async fn take(
        &self,
        connection: &mut PgConnection,
        mut moves: Vec<Move>,
        seqs: BTreeMap<Uuid, i64>,
        until: OffsetDateTime,
    ) -> Result<Option<Outcome<Reservation>>, StoreError> {
        const TAKE: &str = concat!(
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
            so_far!("'held'"),
            ", $14 from locked where exists (select from hold_row)), ",
            told!("$13", "changed"),
            ", ",
            remembered!("$13", "changed"),
            " select from changed"
        );
        let (mut account, answer) = (Account::new(), Reservation::Held(until));
        let counts = self.store.tell_moves(&mut account, &mut moves, None, seqs, (self.hold, self.dedup_key))?;
        account.store_result(self.dedup_key, &answer)?;
        let take = statement(TAKE, self.hold, &moves, counts, &account).bind(until);
        Ok(wrote(connection, take, &account).await?.then_some(Outcome::Applied(answer)))
    }

    /// Products and variants of the lines.
    fn columns(&self) -> (Vec<Uuid>, Vec<&str>) {
        self.lines.as_slice().iter().map(|line| (line.product.uuid(), line.variant.as_str())).unzip()
    }
}

/// What a hold that exists answers to whoever asks for it again.
fn known(state: &str, expires_at: Option<OffsetDateTime>) -> Reservation {
    match (HoldState::named(state), expires_at) {
        (Some(HoldState::Held | HoldState::Committed), Some(until)) => Reservation::Held(until),
        _ => Reservation::Cancelled,
    }
}

/// Parts as moves from the shelves that they were taken from.
fn moves(parts: &[Part], shelves: &[Shelf]) -> Vec<Move> {
    let from = |part: &Part| shelves.iter().find(|shelf| shelf.place == part.place);
    let held = |part: &Part| from(part).map(|shelf| Move { units: part.units, after: shelf.moved(0, part.units) });
    parts.iter().filter_map(held).collect()
}
