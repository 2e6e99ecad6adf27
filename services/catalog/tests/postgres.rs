//! The catalog on a real PostgreSQL: contract tests of the stores, concurrency, and invariants of the tables.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

#[path = "support/contract.rs"]
mod contract;
#[path = "support/plans.rs"]
mod plans;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agora_catalog::{
    MIGRATIONS,
    domain::{Adjustment, Hold, HoldState, Lines, Reservation, StockLocation, Variant},
    fakes::InMemory,
    ports::{Products, Stock},
    postgres::{PgProducts, PgStock, Store},
};
use agora_chassis::SystemIds;
use agora_outbox::{DedupKey, Outcome};
use agora_postgres::Db;
use agora_testkit::{FixedClock, TestDatabase};
use agora_vocab::{Epoch, OrderId, ProductId, Quantity, WarehouseId};
use async_trait::async_trait;
use contract::{World, command, fresh, hold, lines, main_location, named, seconds, stock_of, stocked};
use futures::future::join_all;
use proptest::{prelude::*, test_runner::TestRunner};
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

struct Postgres {
    database: TestDatabase,
    db: Db,
    products: PgProducts,
    stock: PgStock,
}

impl Postgres {
    async fn start() -> Self {
        let database = agora_testkit::postgres().await;
        let db = Db::for_test(&database.url(), &MIGRATIONS).await;
        let store = Store::new(db.clone(), Arc::new(SystemIds), Epoch::default());
        Self { database, db, products: PgProducts::new(store.clone()), stock: PgStock::new(store) }
    }

    /// Inserts a second warehouse.
    async fn warehouse(&self, priority: i32) -> WarehouseId {
        let id = fresh();
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query("insert into warehouse (id, name, priority) values ($1, $2, $3)")
            .bind(id)
            .bind(id.to_string())
            .bind(priority)
            .execute(&mut *connection)
            .await
            .unwrap();
        WarehouseId::new(id)
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap()
    }

    /// Waits until a session waits for a row lock.
    async fn wait_for_blocked_session(&self) {
        const WAITING: &str =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.count(WAITING).await == 0 {
            assert!(Instant::now() < deadline, "no session waits for a lock");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Adds units and their event by SQL in a transaction that stays open.
    async fn adding(&self, location: &StockLocation, units: i64) -> agora_postgres::Tx {
        const ADD: &str = "with recorded as ( \
                insert into stock_movement (product_id, variant, warehouse_id, kind, quantity) \
                values ($1, $2, $3, 'adjust', $4)), \
            added as (update stock set on_hand = on_hand + $4, version = version + 1 \
                where product_id = $1 and variant = $2 and warehouse_id = $3 returning id, version) \
            insert into outbox (shard, topic, kind, version, event_id, aggregate, seq, epoch, data) \
            select 0, 'inventory-events', 'stock.changed', 1, gen_random_uuid(), id, version, 0, '{}' from added";
        let mut tx = self.db.begin().await.unwrap();
        let add = sqlx::query(ADD).bind(location.product.uuid()).bind(location.variant.as_str());
        add.bind(location.warehouse.uuid()).bind(units).execute(&mut *tx).await.unwrap();
        tx
    }

    /// Checks the invariants of the tables.
    async fn adds_up(&self) {
        const OFF: [(&str, &str); 5] = [
            (
                "the ledger sums to what is on hand",
                "select count(*) from stock s where s.on_hand <> coalesce((select sum(m.quantity) from stock_movement m \
                 where m.product_id = s.product_id and m.variant = s.variant and m.warehouse_id = s.warehouse_id), 0)",
            ),
            (
                "what is reserved is the sum of live reservations",
                "select count(*) from stock s where s.reserved <> coalesce((select sum(l.quantity) \
                 from hold h cross join lateral unnest(h.lines) as l \
                 where h.state = 'held' and l.product_id = s.product_id and l.variant = s.variant \
                 and l.warehouse_id = s.warehouse_id), 0)",
            ),
            ("0 <= reserved <= on hand", "select count(*) from stock where reserved < 0 or reserved > on_hand"),
            (
                "events of a stock row are numbered by its version",
                "select count(*) from stock s where s.version <> (select count(*) from outbox o \
                 where o.topic = 'inventory-events' and o.aggregate = s.id)",
            ),
            (
                "events of one aggregate are numbered from 1 without gaps",
                "select count(*) from (select topic, aggregate, count(*) as n, max(seq) as last, min(seq) as first \
                 from outbox group by topic, aggregate) f where n <> last or first <> 1",
            ),
        ];
        for (invariant, off) in OFF {
            assert_eq!(self.count(off).await, 0, "{invariant}");
        }
    }
}

#[async_trait]
impl World for Postgres {
    fn products(&self) -> &dyn Products {
        &self.products
    }

    fn stock(&self) -> &dyn Stock {
        &self.stock
    }

    async fn pass(&self, seconds: u32) {
        let back = "update hold set expires_at = expires_at - make_interval(secs => $1)";
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query(back).bind(f64::from(seconds)).execute(&mut *connection).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_the_contract_tests() {
    let world = Postgres::start().await;
    contract::all_hold(&world).await;
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_buyers_of_ten_units_buy_exactly_ten() {
    let world = Postgres::start().await;
    let id = stocked(&world, 10).await;
    let buyers = (0..500).map(|_| async {
        let mine = hold(1);
        let result = world.stock.reserve(mine, &lines(&[(id, 1)]), seconds(900), command()).await.unwrap().into_inner();
        match result {
            Reservation::Held(_) => {
                assert_eq!(world.stock.commit(mine, command()).await.unwrap().into_inner(), HoldState::Committed);
                1
            }
            Reservation::Short(short) => {
                assert!(short[0].available < 1, "{short:?}");
                0
            }
            Reservation::Cancelled => panic!("no hold was cancelled"),
        }
    });
    let started = Instant::now();
    let bought: i32 = join_all(buyers).await.iter().sum();
    println!("500 buyers got their results within {:?}", started.elapsed());
    assert_eq!((bought, stock_of(&world, id).await), (10, 0));
    world.adds_up().await;
}

/// Defect of B (docs/DEFECTS.md): oversell: repeated product ids in parallel orders lost decrements.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_orders_with_repeated_products_lose_no_decrement() {
    let world = Postgres::start().await;
    let (a, b) = (stocked(&world, 100).await, stocked(&world, 100).await);
    let orders = (0..20).map(|n| {
        let wanted = if n % 2 == 0 { [(a, 1), (b, 2), (a, 1)] } else { [(b, 1), (a, 2), (b, 1)] };
        let world = &world;
        async move {
            let mine = hold(1);
            world.stock.reserve(mine, &lines(&wanted), seconds(900), command()).await.unwrap();
            world.stock.commit(mine, command()).await.unwrap().into_inner()
        }
    });
    assert!(join_all(orders).await.iter().all(|state| *state == HoldState::Committed));
    assert_eq!((stock_of(&world, a).await, stock_of(&world, b).await), (60, 60));
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_releases_commits_and_expiry_at_once_neither_deadlock_nor_break_the_stock() {
    let world = Postgres::start().await;
    let second = world.warehouse(-1).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        let id = stocked(&world, 30).await;
        let location = StockLocation { warehouse: second, ..main_location(id) };
        world.stock.adjust(&location, Adjustment::Set(20), "admin", &DedupKey::None).await.unwrap();
        ids.push(id);
    }
    let shoppers = (0..200_usize).map(|n| {
        let (world, ids) = (&world, &ids);
        async move {
            let mine = hold(1);
            // Lines in every order, over several products and warehouses.
            let wanted: Vec<_> =
                (0..3).map(|k| (ids[(n * 7 + k * (n % 3 + 1)) % 4], [1, 2, 3, 4, 5, 6, 7][n % 7])).collect();
            let (wanted_lines, keys) = (lines(&wanted), [command(), command(), command()]);
            let held = world.stock.reserve(mine, &wanted_lines, seconds(900), keys[0]);
            let late = world.stock.release(mine, keys[1]);
            match n % 5 {
                0 => {
                    futures::future::try_join(held, late).await.unwrap();
                }
                1 => {
                    held.await.unwrap();
                    let commit = world.stock.commit(mine, keys[2]);
                    futures::future::try_join(commit, late).await.unwrap();
                }
                2 => {
                    held.await.unwrap();
                    expire(world, mine).await;
                    let commit = world.stock.commit(mine, keys[2]);
                    futures::future::try_join3(commit, late, world.stock.expire_one()).await.unwrap();
                }
                3 => {
                    let location = main_location(wanted[0].0);
                    let more = world.stock.adjust(&location, Adjustment::Add(1), "admin", &DedupKey::None);
                    let (held, more) = futures::join!(held, more);
                    held.unwrap();
                    more.unwrap();
                }
                _ => {
                    held.await.unwrap();
                }
            }
        }
    });
    join_all(shoppers).await;
    while world.stock.expire_one().await.unwrap().is_some() {}
    world.adds_up().await;
    assert_eq!(world.count("select count(*) from hold where state = 'held' and expires_at <= now()").await, 0);
}

async fn expire(world: &Postgres, hold: Hold) {
    let mut connection = world.db.acquire().await.unwrap();
    sqlx::query("update hold set expires_at = now() where order_id = $1 and state = 'held'")
        .bind(hold.order.uuid())
        .execute(&mut *connection)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_repetitions_of_one_command_hold_once() {
    let world = Postgres::start().await;
    let id = stocked(&world, 5).await;
    let (mine, message, wanted) = (hold(1), command(), lines(&[(id, 1)]));
    let tries = (0..100).map(|_| world.stock.reserve(mine, &wanted, seconds(900), message));
    let result: Vec<_> = join_all(tries).await.into_iter().map(|result| result.unwrap()).collect();
    assert_eq!(result.iter().filter(|done| !done.is_duplicate()).count(), 1);
    assert!(result.iter().all(|done| done.as_ref().into_inner() == result[0].as_ref().into_inner()));
    assert_eq!(stock_of(&world, id).await, 4);
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_of_a_command_that_race_with_a_restock_return_one_result() {
    let world = Postgres::start().await;
    for _ in 0..20 {
        let id = stocked(&world, 0).await;
        let (mine, message, wanted) = (hold(1), command(), lines(&[(id, 1)]));
        let tries = join_all((0..10).map(|_| world.stock.reserve(mine, &wanted, seconds(900), message)));
        let location = main_location(id);
        let restock = world.stock.adjust(&location, Adjustment::Set(5), "admin", &DedupKey::None);
        let (results, restocked) = futures::join!(tries, restock);
        restocked.unwrap();
        let results: Vec<_> = results.into_iter().map(|result| result.unwrap()).collect();
        assert_eq!(results.iter().filter(|done| !done.is_duplicate()).count(), 1, "{results:?}");
        let first = results[0].as_ref().into_inner();
        assert!(results.iter().all(|done| done.as_ref().into_inner() == first), "{results:?}");
        let left = if matches!(first, Reservation::Held(_)) { 4 } else { 5 };
        assert_eq!(stock_of(&world, id).await, left);
    }
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_holds_of_one_product_all_succeed_when_stock_suffices() {
    let world = Postgres::start().await;
    let id = stocked(&world, 200).await;
    let buyers = (0..200).map(|_| async {
        let mine = hold(1);
        let result = world.stock.reserve(mine, &lines(&[(id, 1)]), seconds(900), command()).await.unwrap();
        assert!(matches!(result, Outcome::Applied(Reservation::Held(_))), "{result:?}");
        assert_eq!(world.stock.commit(mine, command()).await.unwrap(), Outcome::Applied(HoldState::Committed));
    });
    join_all(buyers).await;
    assert_eq!(stock_of(&world, id).await, 0);
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_holds_of_variants_number_events_without_gaps() {
    let world = Postgres::start().await;
    let id = stocked(&world, 0).await;
    let variants: Vec<_> = (0..8).map(|n| Variant::parse(&format!("size {n}")).unwrap()).collect();
    for variant in &variants {
        let location = StockLocation { variant: variant.clone(), ..main_location(id) };
        world.stock.adjust(&location, Adjustment::Set(20), "admin", &DedupKey::None).await.unwrap();
    }
    let buyers = (0..160_usize).map(|n| {
        let wanted = Lines::new([(id, variants[n % 8].clone(), Quantity::parse(1).unwrap())]).unwrap();
        let world = &world;
        async move { world.stock.reserve(hold(1), &wanted, seconds(900), command()).await.unwrap().into_inner() }
    });
    assert!(join_all(buyers).await.iter().all(|result| matches!(result, Reservation::Held(_))));
    assert_eq!(stock_of(&world, id).await, 0);
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_waits_for_a_row_without_stock_reserves_nothing() {
    let world = Postgres::start().await;
    let mut ids = [stocked(&world, 5).await, stocked(&world, 5).await];
    ids.sort();
    for (gone, left) in [(ids[0], ids[1]), (ids[1], ids[0])] {
        let tx = world.adding(&main_location(gone), -5).await;
        let (wanted, message) = (lines(&[(left, 1), (gone, 1)]), command());
        let (result, ()) = futures::join!(world.stock.reserve(hold(1), &wanted, seconds(900), message), async {
            world.wait_for_blocked_session().await;
            tx.commit().await.unwrap();
        });
        let result = result.unwrap().into_inner();
        assert!(
            matches!(&result, Reservation::Short(short) if short.len() == 1 && short[0].product == gone),
            "{result:?}"
        );
        assert_eq!(stock_of(&world, left).await, 5);
        world.stock.adjust(&main_location(gone), Adjustment::Set(5), "admin", &DedupKey::None).await.unwrap();
    }
    assert_eq!(world.count("select count(*) from hold where state <> 'short'").await, 0);
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waits_for_a_changed_row_sells_once() {
    let world = Postgres::start().await;
    let ids = [stocked(&world, 5).await, stocked(&world, 5).await];
    let (mine, message) = (hold(1), command());
    world.stock.reserve(mine, &lines(&[(ids[0], 2), (ids[1], 2)]), seconds(900), command()).await.unwrap();
    let tx = world.adding(&main_location(ids[1]), 4).await;
    let (sold, again, ()) =
        futures::join!(world.stock.commit(mine, message), world.stock.commit(mine, message), async {
            world.wait_for_blocked_session().await;
            tx.commit().await.unwrap();
        });
    let (sold, again) = (sold.unwrap(), again.unwrap());
    assert_ne!(sold.is_duplicate(), again.is_duplicate());
    assert_eq!([sold.into_inner(), again.into_inner()], [HoldState::Committed; 2]);
    assert_eq!((stock_of(&world, ids[0]).await, stock_of(&world, ids[1]).await), (3, 7));
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_reserve_and_release_leave_nothing_reserved() {
    let world = Postgres::start().await;
    let id = stocked(&world, 500).await;
    let orders = (0..100).map(|_| async {
        let (mine, wanted) = (hold(1), lines(&[(id, 1)]));
        let (reserve, release) = (command(), command());
        let held = world.stock.reserve(mine, &wanted, seconds(900), reserve);
        let (held, undone) = futures::try_join!(held, world.stock.release(mine, release)).unwrap();
        match undone.into_inner() {
            HoldState::Released => assert!(matches!(held.into_inner(), Reservation::Held(_))),
            HoldState::Tombstone => assert_eq!(held.into_inner(), Reservation::Cancelled),
            other => panic!("{other:?}"),
        }
    });
    join_all(orders).await;
    assert_eq!(stock_of(&world, id).await, 500);
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_concurrent_commands_for_one_hold_reserve_once() {
    let world = Postgres::start().await;
    let ids = [stocked(&world, 50).await, stocked(&world, 50).await];
    let mine = hold(1);
    let tries = (0..50_usize).map(|n| {
        let (world, wanted) = (&world, lines(&[(ids[n % 2], 1)]));
        async move { world.stock.reserve(mine, &wanted, seconds(900), command()).await.unwrap().into_inner() }
    });
    let result = join_all(tries).await;
    assert!(result.iter().all(|one| *one == result[0] && matches!(one, Reservation::Held(_))), "{result:?}");
    assert_eq!(stock_of(&world, ids[0]).await + stock_of(&world, ids[1]).await, 99);
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_holds_of_one_order_that_expire_together_has_one_event() {
    let world = Postgres::start().await;
    let id = stocked(&world, 40).await;
    for _ in 0..20 {
        let first = hold(1);
        for mine in [first, Hold { number: 2, ..first }] {
            world.stock.reserve(mine, &lines(&[(id, 1)]), seconds(1), command()).await.unwrap();
        }
    }
    world.pass(2).await;
    let workers = (0..8).map(|_| async { while world.stock.expire_one().await.unwrap().is_some() {} });
    join_all(workers).await;
    assert_eq!(stock_of(&world, id).await, 40);
    let events = "select count(distinct aggregate) from outbox where kind = 'reservation.expired' and seq = 1";
    assert_eq!(world.count(events).await, 40);
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_an_ended_hold_writes_nothing() {
    const WRITTEN: &str = "select (select count(*) from outbox) + (select sum(xmin::text::bigint) from hold)::bigint";
    let world = Postgres::start().await;
    let id = stocked(&world, 9).await;
    let (sold, freed, tombstone) = (hold(1), hold(1), hold(1));
    for hold in [sold, freed] {
        world.stock.reserve(hold, &lines(&[(id, 2)]), seconds(900), command()).await.unwrap();
    }
    // The event does what the saga has not done, once.
    let (first, late) = (fresh(), fresh());
    for done in [Outcome::Applied(HoldState::Committed), Outcome::Duplicate(HoldState::Committed)] {
        assert_eq!(world.stock.commit(sold, first).await.unwrap(), done);
    }
    for done in [Outcome::Applied(HoldState::Released), Outcome::Duplicate(HoldState::Released)] {
        assert_eq!(world.stock.release(freed, late).await.unwrap(), done);
    }
    world.stock.release(tombstone, command()).await.unwrap();

    let before = world.count(WRITTEN).await;
    assert_eq!(world.stock.commit(sold, fresh()).await.unwrap().into_inner(), HoldState::Committed);
    assert_eq!(world.stock.commit(freed, fresh()).await.unwrap().into_inner(), HoldState::Released);
    assert_eq!(world.stock.release(freed, fresh()).await.unwrap().into_inner(), HoldState::Released);
    assert_eq!(world.stock.release(tombstone, fresh()).await.unwrap().into_inner(), HoldState::Tombstone);
    assert_eq!(world.count(WRITTEN).await, before);
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_filled_by_warehouse_priority_and_over_several_warehouses() {
    let world = Postgres::start().await;
    let id = stocked(&world, 5).await;
    let first = world.warehouse(-1).await;
    let location = StockLocation { warehouse: first, ..main_location(id) };
    world.stock.adjust(&location, Adjustment::Set(2), "admin", &DedupKey::None).await.unwrap();
    let mine = hold(1);
    world.stock.reserve(mine, &lines(&[(id, 3)]), seconds(900), command()).await.unwrap();

    let mut connection = world.db.acquire().await.unwrap();
    let rows = sqlx::query(
        "select l.warehouse_id, l.quantity::bigint from hold h cross join lateral unnest(h.lines) as l \
        where h.order_id = $1 order by l.quantity desc",
    )
    .bind(mine.order.uuid())
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let parts: Vec<(Uuid, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(parts, [(first.uuid(), 2), (WarehouseId::MAIN.uuid(), 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_expired_hold_is_ended_by_one_replica() {
    let world = Postgres::start().await;
    let id = stocked(&world, 20).await;
    for _ in 0..20 {
        world.stock.reserve(hold(1), &lines(&[(id, 1)]), seconds(1), command()).await.unwrap();
    }
    world.pass(2).await;
    let ended = join_all((0..8).map(|_| async {
        let mut mine = Vec::new();
        while let Some(hold) = world.stock.expire_one().await.unwrap() {
            mine.push(hold);
        }
        mine
    }))
    .await
    .concat();
    assert_eq!(ended.len(), 20);
    assert_eq!(stock_of(&world, id).await, 20);
    assert_eq!(world.count("select count(*) from outbox where kind = 'reservation.expired'").await, 20);
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_deletes_old_unsold_holds_only() {
    let world = Postgres::start().await;
    let product = stocked(&world, 9).await;
    let (freed, sold, live, tombstone) = (hold(1), hold(1), hold(1), hold(1));
    for hold in [freed, sold, live] {
        world.stock.reserve(hold, &lines(&[(product, 2)]), seconds(900), command()).await.unwrap();
    }
    world.stock.release(freed, command()).await.unwrap();
    world.stock.commit(sold, command()).await.unwrap();
    world.stock.release(tombstone, command()).await.unwrap();
    assert_eq!(world.stock.sweep().await.unwrap(), 0, "a late reserve is still refused");

    let age = "update hold set ended_at = ended_at - interval '31 days'";
    sqlx::query(age).execute(&mut *world.db.acquire().await.unwrap()).await.unwrap();
    assert_eq!(world.stock.sweep().await.unwrap(), 2);
    assert_eq!(world.stock.sweep().await.unwrap(), 0);

    assert_eq!(world.stock.release(sold, command()).await.unwrap().into_inner(), HoldState::Released);
    assert_eq!(world.stock.commit(live, command()).await.unwrap().into_inner(), HoldState::Committed);
    assert_eq!(stock_of(&world, product).await, 7, "what was sold can come back whatever its age");
    world.adds_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_ledger_is_append_only() {
    let world = Postgres::start().await;
    stocked(&world, 5).await;
    for sql in ["update stock_movement set quantity = 9", "delete from stock_movement", "truncate stock_movement"] {
        let mut connection = world.db.acquire().await.unwrap();
        let refused = sqlx::query(sql).execute(&mut *connection).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
    // A check constraint rejects more reserved units than units on hand.
    let mut connection = world.db.acquire().await.unwrap();
    let refused = sqlx::query("update stock set reserved = on_hand + 1").execute(&mut *connection).await.unwrap_err();
    assert_eq!(agora_postgres::constraint(&refused), Some("stock_never_oversold"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_appends_its_event_in_the_same_transaction() {
    let world = Postgres::start().await;
    let id = stocked(&world, 5).await;
    let mine = hold(1);
    world.stock.reserve(mine, &lines(&[(id, 2)]), seconds(900), command()).await.unwrap();
    world.stock.commit(mine, command()).await.unwrap();
    world.products.remove(id, &agora_catalog::domain::Expected::ANY, &DedupKey::None).await.unwrap();

    let mut connection = world.db.acquire().await.unwrap();
    let events: Vec<(String, i64, Option<Uuid>)> = sqlx::query_as(
        "select kind, seq, correlation_id from outbox \
                where aggregate = $1 or aggregate in (select id from stock where product_id = $1) order by id",
    )
    .bind(id.uuid())
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let order = Some(mine.order.uuid());
    let expected = [
        ("product.created", 1, None),
        ("stock.changed", 1, None),
        ("stock.changed", 2, order),
        ("stock.changed", 3, order),
        ("product.deleted", 2, None),
    ];
    assert_eq!(events, expected.map(|(kind, seq, order)| (kind.to_owned(), seq, order)));
}

#[derive(Clone, Debug)]
enum Step {
    Adjust(usize, Adjustment),
    Reserve(usize, Vec<(usize, i64)>),
    Commit(usize),
    Release(usize),
    ExpireAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..3_usize, 0..12_i64).prop_map(|(p, n)| Step::Adjust(p, Adjustment::Set(n))),
        2 => (0..3_usize, -6..6_i64).prop_map(|(p, n)| Step::Adjust(p, Adjustment::Add(n))),
        4 => (0..6_usize, prop::collection::vec((0..3_usize, 1..5_i64), 1..4)).prop_map(|(h, l)| Step::Reserve(h, l)),
        3 => (0..6_usize).prop_map(Step::Commit),
        3 => (0..6_usize).prop_map(Step::Release),
        1 => Just(Step::ExpireAll),
    ];
    prop::collection::vec(step, 1..40)
}

/// Runs the steps and returns their results.
async fn history(world: &dyn World, products: &[ProductId], orders: &[OrderId], steps: &[Step]) -> Vec<String> {
    let mut result = Vec::new();
    let hold = |h: usize| Hold { order: orders[h % 3], number: if h < 3 { 1 } else { 2 } };
    for step in steps {
        result.push(match step {
            Step::Adjust(p, by) => {
                let done = world.stock().adjust(&main_location(products[*p]), *by, "admin", &DedupKey::None).await;
                format!("{:?}", done.map(|listed| listed.into_inner().stock))
            }
            Step::Reserve(h, wanted) => {
                let wanted: Vec<_> = wanted.iter().map(|&(p, n)| (products[p], n)).collect();
                let result = world.stock().reserve(hold(*h), &lines(&wanted), seconds(600), command()).await.unwrap();
                match result.into_inner() {
                    Reservation::Held(_) => "held".to_owned(),
                    other => format!("{other:?}"),
                }
            }
            Step::Commit(h) => format!("{:?}", world.stock().commit(hold(*h), command()).await.unwrap()),
            Step::Release(h) => format!("{:?}", world.stock().release(hold(*h), command()).await.unwrap()),
            Step::ExpireAll => {
                world.pass(601).await;
                let mut ended = 0;
                while world.stock().expire_one().await.unwrap().is_some() {
                    ended += 1;
                }
                format!("{ended} ended")
            }
        });
        for product in products {
            result.push(stock_of(world, *product).await.to_string());
        }
    }
    result
}

struct Fakes(InMemory, FixedClock);

#[async_trait]
impl World for Fakes {
    fn products(&self) -> &dyn Products {
        &self.0
    }

    fn stock(&self) -> &dyn Stock {
        &self.0
    }

    async fn pass(&self, seconds: u32) {
        self.1.advance(time::Duration::seconds(i64::from(seconds)));
    }
}

#[test]
fn any_sequence_of_stock_operations_matches_the_model_and_the_ledger() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(Postgres::start());
    assert!(!world.database.name().is_empty());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() });
    let result = runner.run(&steps(), |steps| {
        runtime.block_on(async {
            let clock = FixedClock::at(OffsetDateTime::UNIX_EPOCH);
            let model = Fakes(InMemory::new(Arc::new(clock.clone())), clock);
            let mut products: Vec<_> = (0..3).map(|_| named("Chair")).collect();
            products.sort_by_key(|product| product.id);
            for (product, units) in products.iter().zip([0, 3, 8]) {
                contract::add(&world, product, units).await;
                contract::add(&model, product, units).await;
            }
            let ids: Vec<_> = products.iter().map(|product| product.id).collect();
            let orders: Vec<_> = (0..3).map(|_| OrderId::new(fresh())).collect();
            let result = history(&world, &ids, &orders, &steps).await;
            prop_assert_eq!(result, history(&model, &ids, &orders, &steps).await);
            world.adds_up().await;
            // Remaining holds must not expire in the next case.
            while let Some(left) = left_held(&world).await {
                world.stock.release(left, command()).await.unwrap();
            }
            Ok(())
        })
    });
    result.unwrap();
}

async fn left_held(world: &Postgres) -> Option<Hold> {
    let mut connection = world.db.acquire().await.unwrap();
    let row: Option<(Uuid, i32)> = sqlx::query_as("select order_id, hold from hold where state = 'held' limit 1")
        .fetch_optional(&mut *connection)
        .await
        .unwrap();
    row.map(|(order, number)| Hold { order: OrderId::new(order), number })
}

#[test]
fn variants_have_separate_stock() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let world = Postgres::start().await;
        let id = stocked(&world, 2).await;
        let red = StockLocation { variant: Variant::parse("red").unwrap(), ..main_location(id) };
        world.stock.adjust(&red, Adjustment::Set(1), "admin", &DedupKey::None).await.unwrap();
        assert_eq!(stock_of(&world, id).await, 3);
        let result = world.stock.reserve(hold(1), &lines(&[(id, 3)]), seconds(9), command()).await.unwrap();
        assert!(matches!(result.into_inner(), Reservation::Short(short) if short[0].available == 2));
    });
}
