//! Stock rows, holds and the ledger of units. Knows SQL and which row is locked when; what a hold takes from where is
//! the domain's to say.

use agora_events::catalog::InventoryEvent;
use agora_outbox::{Cause, Done, once, remember};
use agora_postgres::{Tx, constraint};
use agora_vocab::{OrderId, ProductId, WarehouseId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PgProducts, Store};
use crate::{
    domain::{
        Adjustment, Hold, HoldState, Lines, Listed, Part, Place, Reservation, Seconds, Shelf, Shortage, Undo, Variant,
        fill, undo,
    },
    ports::{AdjustError, Stock, StoreError},
};

/// How often a hold is looked for that is there one moment and gone the next.
const TRIES_MAX: u32 = 3;
/// How long a hold that ended without a sale is kept, in days: as long as the inbox remembers commands and facts, so longer
/// than any of them may come late.
const KEPT_DAYS: i32 = 30;
/// Holds that are forgotten in one transaction.
const HOLDS_PER_SWEEP: i64 = 1_000;

/// Stock in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgStock(Store);

impl PgStock {
    /// The stock of that store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }
}

/// Stock rows of products that are not deleted, for lines given as two arrays.
macro_rules! shelves {
    () => {
        "select s.product_id, s.variant, s.warehouse_id, s.on_hand, s.reserved, s.version, w.priority \
         from unnest($1::uuid[], $2::text[]) as l (product_id, variant) \
         join stock s on s.product_id = l.product_id and s.variant = l.variant \
         join product p on p.id = s.product_id and p.deleted_at is null \
         join warehouse w on w.id = s.warehouse_id"
    };
}

/// The order of locks: the sort is below the locking in the plan, so rows are locked as they come out of it.
macro_rules! in_order {
    () => {
        " order by s.product_id, s.variant, s.warehouse_id for no key update of s"
    };
}

const LOOK: &str = shelves!();
const LOCK: &str = concat!(shelves!(), in_order!());

#[async_trait]
impl Stock for PgStock {
    async fn adjust(
        &self,
        place: &Place,
        by: Adjustment,
        actor: &str,
        cause: &Cause,
    ) -> Result<Done<Listed>, AdjustError> {
        let mut tx = self.0.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = once(&mut tx, cause).await.map_err(StoreError::from)? {
            return Ok(Done::Repeated(stored));
        }
        let before = lock_shelf(&mut tx, place).await?;
        let units = before.adjusted(by).map_err(AdjustError::Refused)?;
        if units != 0 {
            self.book(&mut tx, before, units, actor, cause).await?;
        }
        let listed = PgProducts::find_in(&mut tx, place.product).await?.ok_or(AdjustError::NotFound)?;
        remember(&mut tx, cause, &listed).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Done::First(listed))
    }

    async fn reserve(
        &self,
        hold: Hold,
        lines: &Lines,
        seconds: Seconds,
        cause: &Cause,
    ) -> Result<Done<Reservation>, StoreError> {
        let mut tx = self.0.db.begin().await?;
        if let Some(stored) = once(&mut tx, cause).await? {
            return Ok(Done::Repeated(stored));
        }
        let answer = self.reserve_in(&mut tx, hold, lines, seconds, cause).await?;
        remember(&mut tx, cause, &answer).await?;
        tx.commit().await?;
        Ok(Done::First(answer))
    }

    async fn commit(&self, hold: Hold, cause: &Cause) -> Result<Done<HoldState>, StoreError> {
        let mut tx = self.0.db.begin().await?;
        if let Some(stored) = once(&mut tx, cause).await? {
            return Ok(Done::Repeated(stored));
        }
        let mut state = lock_hold(&mut tx, hold).await?;
        if state == HoldState::Held {
            state = self.end(&mut tx, hold, &SELL, cause).await?;
        }
        remember(&mut tx, cause, &state).await?;
        tx.commit().await?;
        Ok(Done::First(state))
    }

    async fn release(&self, hold: Hold, cause: &Cause) -> Result<Done<HoldState>, StoreError> {
        let mut tx = self.0.db.begin().await?;
        if let Some(stored) = once(&mut tx, cause).await? {
            return Ok(Done::Repeated(stored));
        }
        let found = lock_or_bury(&mut tx, hold).await?;
        let state = match undo(found) {
            Undo::Free => self.end(&mut tx, hold, &FREE, cause).await?,
            Undo::Return => self.end(&mut tx, hold, &RETURN, cause).await?,
            Undo::Bury | Undo::Nothing => found,
        };
        remember(&mut tx, cause, &state).await?;
        tx.commit().await?;
        Ok(Done::First(state))
    }

    async fn expire_one(&self) -> Result<Option<Hold>, StoreError> {
        const NEXT: &str = "select order_id, hold from hold where state = 'held' and expires_at <= now() \
            order by expires_at limit 1 for no key update skip locked";
        let mut tx = self.0.db.begin().await?;
        let next: Option<(Uuid, i32)> = sqlx::query_as(NEXT).fetch_optional(&mut *tx).await?;
        let Some((order, number)) = next else { return Ok(None) };
        let hold = Hold { order: OrderId::new(order), number };
        self.end(&mut tx, hold, &EXPIRE, &Cause::Fresh).await?;
        tx.commit().await?;
        Ok(Some(hold))
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

/// What the end of a hold does to its units.
struct Ending {
    from: HoldState,
    to: HoldState,
    /// Times the units held.
    on_hand: i64,
    /// Times the units held.
    reserved: i64,
    /// As which the ledger books it, where units come or go.
    movement: Option<&'static str>,
}

const SELL: Ending =
    Ending { from: HoldState::Held, to: HoldState::Committed, on_hand: -1, reserved: -1, movement: Some("commit") };
const FREE: Ending =
    Ending { from: HoldState::Held, to: HoldState::Released, on_hand: 0, reserved: -1, movement: None };
const RETURN: Ending =
    Ending { from: HoldState::Committed, to: HoldState::Released, on_hand: 1, reserved: 0, movement: Some("return") };
const EXPIRE: Ending =
    Ending { from: HoldState::Held, to: HoldState::Expired, on_hand: 0, reserved: -1, movement: None };

impl PgStock {
    async fn reserve_in(
        &self,
        tx: &mut Tx,
        hold: Hold,
        lines: &Lines,
        seconds: Seconds,
        cause: &Cause,
    ) -> Result<Reservation, StoreError> {
        // A look without locks first: who comes too late for the last units must not queue for their rows.
        if let Err(shortages) = fill(lines, &shelves(tx, LOOK, lines).await?) {
            return Ok(known(tx, hold).await?.unwrap_or(Reservation::Short(shortages)));
        }
        let Some(expires_at) = open(tx, hold, seconds).await? else {
            return known(tx, hold).await?.ok_or(StoreError::Running);
        };
        match fill(lines, &shelves(tx, LOCK, lines).await?) {
            Ok(parts) => {
                self.take(tx, hold, &parts, expires_at, cause).await?;
                Ok(Reservation::Held(expires_at))
            }
            Err(shortages) => not_opened(tx, hold, shortages).await,
        }
    }

    /// Takes parts from rows that are locked.
    async fn take(
        &self,
        tx: &mut Tx,
        hold: Hold,
        parts: &[Part],
        expires_at: OffsetDateTime,
        cause: &Cause,
    ) -> Result<(), StoreError> {
        const TAKE: &str = "with part as (select product_id, variant, warehouse_id, units \
                from unnest($4::uuid[], $5::text[], $6::uuid[], $7::bigint[]) as p (product_id, variant, warehouse_id, units)), \
            held as (insert into reservation (order_id, hold, product_id, variant, warehouse_id, quantity, state, expires_at) \
                select $1, $2, product_id, variant, warehouse_id, units, 'held', $3 from part) \
            update stock s set reserved = s.reserved + p.units, version = s.version + 1 from part p \
            where s.product_id = p.product_id and s.variant = p.variant and s.warehouse_id = p.warehouse_id \
            returning s.product_id, s.variant, s.warehouse_id, s.on_hand, s.reserved, s.version, 0 as priority";
        let column = |f: fn(&Place) -> Uuid| parts.iter().map(|part| f(&part.place)).collect::<Vec<_>>();
        let variants: Vec<&str> = parts.iter().map(|part| part.place.variant.as_str()).collect();
        let rows: Vec<Row> = sqlx::query_as(TAKE)
            .bind(hold.order.uuid())
            .bind(hold.number)
            .bind(expires_at)
            .bind(column(|place| place.product.uuid()))
            .bind(variants)
            .bind(column(|place| place.warehouse.uuid()))
            .bind(parts.iter().map(|part| part.units).collect::<Vec<_>>())
            .fetch_all(&mut **tx)
            .await?;
        self.0.tell(tx, &changes(rows), Some(hold.order), cause).await
    }

    /// Ends a hold whose row is locked.
    async fn end(&self, tx: &mut Tx, hold: Hold, ending: &Ending, cause: &Cause) -> Result<HoldState, StoreError> {
        const LOCK_HELD: &str = concat!(
            "select s.product_id from reservation r join stock s on s.product_id = r.product_id \
             and s.variant = r.variant and s.warehouse_id = r.warehouse_id where r.order_id = $1 and r.hold = $2",
            in_order!()
        );
        const END: &str = "with ended as (update reservation set state = $4 where order_id = $1 and hold = $2 and state = $3 \
                returning product_id, variant, warehouse_id, quantity), \
            closed as (update hold set state = $4, updated_at = now() where order_id = $1 and hold = $2), \
            moved as (update stock s set on_hand = s.on_hand + $5 * e.quantity, reserved = s.reserved + $6 * e.quantity, \
                version = s.version + 1 from ended e \
                where s.product_id = e.product_id and s.variant = e.variant and s.warehouse_id = e.warehouse_id \
                returning s.product_id, s.variant, s.warehouse_id, s.on_hand, s.reserved, s.version, e.quantity), \
            booked as (insert into stock_movement (product_id, variant, warehouse_id, kind, quantity, order_id) \
                select product_id, variant, warehouse_id, $7, $5 * quantity, $1 from moved where $7 is not null) \
            select product_id, variant, warehouse_id, on_hand, reserved, version, 0 as priority from moved";
        let Ending { from, to, on_hand, reserved, movement } = ending;
        sqlx::query(LOCK_HELD).bind(hold.order.uuid()).bind(hold.number).execute(&mut **tx).await?;
        let rows: Vec<Row> = sqlx::query_as(END)
            .bind(hold.order.uuid())
            .bind(hold.number)
            .bind(from.as_str())
            .bind(to.as_str())
            .bind(on_hand)
            .bind(reserved)
            .bind(movement)
            .fetch_all(&mut **tx)
            .await?;
        let mut facts = changes(rows);
        if *to == HoldState::Expired {
            facts.push((hold.order.uuid(), hold.expired()));
        }
        self.0.tell(tx, &facts, Some(hold.order), cause).await?;
        Ok(*to)
    }

    /// Adds units to a row that is locked (or takes them, if negative), in the ledger too.
    async fn book(&self, tx: &mut Tx, before: Shelf, units: i64, actor: &str, cause: &Cause) -> Result<(), StoreError> {
        const BOOK: &str = "with booked as (insert into stock_movement (product_id, variant, warehouse_id, kind, quantity, actor) \
                values ($1, $2, $3, $5, $4, $6)) \
            update stock set on_hand = on_hand + $4, version = version + 1 \
            where product_id = $1 and variant = $2 and warehouse_id = $3";
        let Place { product, variant, warehouse } = &before.place;
        sqlx::query(BOOK)
            .bind(product.uuid())
            .bind(variant.as_str())
            .bind(warehouse.uuid())
            .bind(units)
            .bind(if units > 0 { "receipt" } else { "adjust" })
            .bind(actor)
            .execute(&mut **tx)
            .await?;
        let now = Shelf { on_hand: before.on_hand + units, version: before.version + 1, ..before };
        self.0.tell(tx, &[(now.place.product.uuid(), now.changed())], None, cause).await
    }
}

/// The stock rows that these lines may take from.
async fn shelves(tx: &mut Tx, sql: &'static str, lines: &Lines) -> Result<Vec<Shelf>, sqlx::Error> {
    let products: Vec<Uuid> = lines.as_slice().iter().map(|line| line.product.uuid()).collect();
    let variants: Vec<&str> = lines.as_slice().iter().map(|line| line.variant.as_str()).collect();
    let rows: Vec<Row> = sqlx::query_as(sql).bind(products).bind(variants).fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(Row::into_shelf).collect())
}

/// Writes a hold that ends by the database's clock; `None` if there is one already, or its tombstone.
async fn open(tx: &mut Tx, hold: Hold, seconds: Seconds) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    const OPEN: &str = "insert into hold (order_id, hold, state, expires_at) \
        values ($1, $2, 'held', now() + make_interval(secs => $3)) on conflict do nothing returning expires_at";
    let open = sqlx::query_scalar(OPEN).bind(hold.order.uuid()).bind(hold.number).bind(f64::from(seconds.get()));
    open.fetch_optional(&mut **tx).await
}

/// Others took the units between the look and the lock.
async fn not_opened(tx: &mut Tx, hold: Hold, shortages: Vec<Shortage>) -> Result<Reservation, StoreError> {
    const CLOSE: &str = "delete from hold where order_id = $1 and hold = $2";
    sqlx::query(CLOSE).bind(hold.order.uuid()).bind(hold.number).execute(&mut **tx).await?;
    Ok(Reservation::Short(shortages))
}

/// What a hold that exists answers to whoever asks for it again.
async fn known(tx: &mut Tx, hold: Hold) -> Result<Option<Reservation>, StoreError> {
    const KNOWN: &str = "select state, expires_at from hold where order_id = $1 and hold = $2";
    let known: Option<(String, Option<OffsetDateTime>)> =
        sqlx::query_as(KNOWN).bind(hold.order.uuid()).bind(hold.number).fetch_optional(&mut **tx).await?;
    Ok(known.map(|(state, expires_at)| match (HoldState::named(&state), expires_at) {
        (Some(HoldState::Held | HoldState::Committed), Some(until)) => Reservation::Held(until),
        _ => Reservation::Cancelled,
    }))
}

async fn lock_hold(tx: &mut Tx, hold: Hold) -> Result<HoldState, StoreError> {
    const FIND: &str = "select state from hold where order_id = $1 and hold = $2 for no key update";
    let state: Option<String> =
        sqlx::query_scalar(FIND).bind(hold.order.uuid()).bind(hold.number).fetch_optional(&mut **tx).await?;
    Ok(state.as_deref().map_or(HoldState::Unknown, |name| HoldState::named(name).unwrap_or(HoldState::Unknown)))
}

/// The locked hold's state; `Tombstone` where there was none, for there is one now.
async fn lock_or_bury(tx: &mut Tx, hold: Hold) -> Result<HoldState, StoreError> {
    const BURY: &str = "insert into hold (order_id, hold, state) values ($1, $2, 'tombstone') on conflict do nothing";
    for _ in 0..TRIES_MAX {
        let state = lock_hold(tx, hold).await?;
        if state != HoldState::Unknown {
            return Ok(state);
        }
        let buried = sqlx::query(BURY).bind(hold.order.uuid()).bind(hold.number).execute(&mut **tx).await?;
        if buried.rows_affected() == 1 {
            return Ok(HoldState::Tombstone);
        }
    }
    Err(StoreError::Running)
}

/// The stock row at a place, locked; made if there is none yet.
async fn lock_shelf(tx: &mut Tx, place: &Place) -> Result<Shelf, AdjustError> {
    const OPEN: &str = "insert into stock (product_id, variant, warehouse_id, on_hand, version) \
        select p.id, $2, $3, 0, 0 from product p where p.id = $1 and p.deleted_at is null on conflict do nothing";
    const FIND: &str = "select s.product_id, s.variant, s.warehouse_id, s.on_hand, s.reserved, s.version, w.priority \
        from stock s join warehouse w on w.id = s.warehouse_id \
        join product p on p.id = s.product_id and p.deleted_at is null \
        where s.product_id = $1 and s.variant = $2 and s.warehouse_id = $3 for no key update of s";
    let (product, warehouse) = (place.product.uuid(), place.warehouse.uuid());
    let opened = sqlx::query(OPEN).bind(product).bind(place.variant.as_str()).bind(warehouse).execute(&mut **tx).await;
    opened.map_err(|error| match constraint(&error) {
        Some("stock_warehouse_known") => AdjustError::UnknownWarehouse,
        _ => AdjustError::Store(error.into()),
    })?;
    let find = sqlx::query_as(FIND).bind(product).bind(place.variant.as_str()).bind(warehouse);
    let row: Option<Row> = find.fetch_optional(&mut **tx).await.map_err(StoreError::from)?;
    row.map(Row::into_shelf).ok_or(AdjustError::NotFound)
}

/// The facts of rows that changed, in the order of places.
fn changes(rows: Vec<Row>) -> Vec<(Uuid, InventoryEvent)> {
    let mut shelves: Vec<Shelf> = rows.into_iter().map(Row::into_shelf).collect();
    shelves.sort_by(|a, b| a.place.cmp(&b.place));
    shelves.iter().map(|shelf| (shelf.place.product.uuid(), shelf.changed())).collect()
}

#[derive(sqlx::FromRow)]
struct Row {
    product_id: Uuid,
    variant: String,
    warehouse_id: Uuid,
    on_hand: i64,
    reserved: i64,
    version: i64,
    priority: i32,
}

impl Row {
    fn into_shelf(self) -> Shelf {
        let Self { product_id, variant, warehouse_id, on_hand, reserved, version, priority } = self;
        let (product, warehouse) = (ProductId::new(product_id), WarehouseId::new(warehouse_id));
        let place = Place { product, variant: Variant::stored(variant), warehouse };
        Shelf { place, on_hand, reserved, version, priority }
    }
}
