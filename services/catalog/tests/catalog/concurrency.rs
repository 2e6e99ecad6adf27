//! Concurrent changes of stock and holds.

use agora_catalog::{
    domain::{Adjustment, Hold, HoldState, Lines, Reservation, StockLocation},
    ports::{Holds as _, Stock as _},
};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Quantity, Variant};
use futures::future::join_all;

use crate::fixture::{Database, command, hold, lines, main_location, seconds, stock_of, stocked};

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_buyers_of_ten_units_buy_exactly_ten() {
    let database = &Database::create().await;
    let id = stocked(database, 10).await;
    let buyers = (0..500).map(|_| async {
        let mine = hold(1);
        let result =
            database.store.reserve(mine, &lines(&[(id, 1)]), seconds(900), command()).await.unwrap().into_inner();
        match result {
            Reservation::Held(_) => {
                assert_eq!(database.store.commit(mine, command()).await.unwrap().into_inner(), HoldState::Committed);
                1
            }
            Reservation::Short(short) => {
                assert!(short[0].available < 1, "{short:?}");
                0
            }
            Reservation::Cancelled => panic!("no hold was cancelled"),
        }
    });
    let bought: i32 = join_all(buyers).await.iter().sum();
    assert_eq!((bought, stock_of(database, id).await), (10, 0));
    database.check_invariants().await;
}

/// Defect of B (docs/DEFECTS.md): oversell: repeated product ids in parallel orders lost decrements.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_orders_with_repeated_products_lose_no_decrement() {
    let database = &Database::create().await;
    let (a, b) = (stocked(database, 100).await, stocked(database, 100).await);
    let orders = (0..20).map(|n| {
        let wanted = if n % 2 == 0 { [(a, 1), (b, 2), (a, 1)] } else { [(b, 1), (a, 2), (b, 1)] };
        async move {
            let mine = hold(1);
            database.store.reserve(mine, &lines(&wanted), seconds(900), command()).await.unwrap();
            database.store.commit(mine, command()).await.unwrap().into_inner()
        }
    });
    assert!(join_all(orders).await.iter().all(|state| *state == HoldState::Committed));
    assert_eq!((stock_of(database, a).await, stock_of(database, b).await), (60, 60));
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_releases_commits_and_expiry_at_once_neither_deadlock_nor_break_the_stock() {
    let database = &Database::create().await;
    let second = database.warehouse(-1).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        let id = stocked(database, 30).await;
        let location = StockLocation { warehouse: second, ..main_location(id) };
        database.store.adjust(&location, Adjustment::Set(20), "admin", &DedupKey::None).await.unwrap();
        ids.push(id);
    }
    let shoppers = (0..200_usize).map(|n| {
        let ids = &ids;
        async move {
            let mine = hold(1);
            // Lines in every order, over several products and warehouses.
            let wanted: Vec<_> =
                (0..3).map(|k| (ids[(n * 7 + k * (n % 3 + 1)) % 4], [1, 2, 3, 4, 5, 6, 7][n % 7])).collect();
            let (wanted_lines, keys) = (lines(&wanted), [command(), command(), command()]);
            let held = database.store.reserve(mine, &wanted_lines, seconds(900), keys[0]);
            let late = database.store.release(mine, keys[1]);
            match n % 5 {
                0 => {
                    futures::future::try_join(held, late).await.unwrap();
                }
                1 => {
                    held.await.unwrap();
                    let commit = database.store.commit(mine, keys[2]);
                    futures::future::try_join(commit, late).await.unwrap();
                }
                2 => {
                    held.await.unwrap();
                    expire(database, mine).await;
                    let commit = database.store.commit(mine, keys[2]);
                    futures::future::try_join3(commit, late, database.store.expire_one()).await.unwrap();
                }
                3 => {
                    let location = main_location(wanted[0].0);
                    let more = database.store.adjust(&location, Adjustment::Add(1), "admin", &DedupKey::None);
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
    while database.store.expire_one().await.unwrap().is_some() {}
    database.check_invariants().await;
    assert_eq!(database.count("select count(*) from hold where state = 'held' and expires_at <= now()").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_repetitions_of_one_command_hold_once() {
    let database = &Database::create().await;
    let id = stocked(database, 5).await;
    let (mine, message, wanted) = (hold(1), command(), lines(&[(id, 1)]));
    let tries = (0..100).map(|_| database.store.reserve(mine, &wanted, seconds(900), message));
    let result: Vec<_> = join_all(tries).await.into_iter().map(|result| result.unwrap()).collect();
    assert_eq!(result.iter().filter(|done| !done.is_duplicate()).count(), 1);
    assert!(result.iter().all(|done| done.as_ref().into_inner() == result[0].as_ref().into_inner()));
    assert_eq!(stock_of(database, id).await, 4);
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_of_a_command_that_race_with_a_restock_return_one_result() {
    let database = &Database::create().await;
    for _ in 0..20 {
        let id = stocked(database, 0).await;
        let (mine, message, wanted) = (hold(1), command(), lines(&[(id, 1)]));
        let tries = join_all((0..10).map(|_| database.store.reserve(mine, &wanted, seconds(900), message)));
        let location = main_location(id);
        let restock = database.store.adjust(&location, Adjustment::Set(5), "admin", &DedupKey::None);
        let (results, restocked) = futures::join!(tries, restock);
        restocked.unwrap();
        let results: Vec<_> = results.into_iter().map(|result| result.unwrap()).collect();
        assert_eq!(results.iter().filter(|done| !done.is_duplicate()).count(), 1, "{results:?}");
        let first = results[0].as_ref().into_inner();
        assert!(results.iter().all(|done| done.as_ref().into_inner() == first), "{results:?}");
        let left = if matches!(first, Reservation::Held(_)) { 4 } else { 5 };
        assert_eq!(stock_of(database, id).await, left);
    }
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_holds_of_one_product_all_succeed_when_stock_suffices() {
    let database = &Database::create().await;
    let id = stocked(database, 200).await;
    let buyers = (0..200).map(|_| async {
        let mine = hold(1);
        let result = database.store.reserve(mine, &lines(&[(id, 1)]), seconds(900), command()).await.unwrap();
        assert!(matches!(result, Outcome::Applied(Reservation::Held(_))), "{result:?}");
        assert_eq!(database.store.commit(mine, command()).await.unwrap(), Outcome::Applied(HoldState::Committed));
    });
    join_all(buyers).await;
    assert_eq!(stock_of(database, id).await, 0);
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_holds_of_variants_number_events_without_gaps() {
    let database = &Database::create().await;
    let id = stocked(database, 0).await;
    let variants: Vec<_> = (0..8).map(|n| Variant::parse(&format!("size {n}")).unwrap()).collect();
    for variant in &variants {
        let location = StockLocation { variant: variant.clone(), ..main_location(id) };
        database.store.adjust(&location, Adjustment::Set(20), "admin", &DedupKey::None).await.unwrap();
    }
    let buyers = (0..160_usize).map(|n| {
        let wanted = Lines::new([(id, variants[n % 8].clone(), Quantity::parse(1).unwrap())]).unwrap();
        async move { database.store.reserve(hold(1), &wanted, seconds(900), command()).await.unwrap().into_inner() }
    });
    assert!(join_all(buyers).await.iter().all(|result| matches!(result, Reservation::Held(_))));
    assert_eq!(stock_of(database, id).await, 0);
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_waits_for_a_row_without_stock_reserves_nothing() {
    let database = &Database::create().await;
    let mut ids = [stocked(database, 5).await, stocked(database, 5).await];
    ids.sort();
    for (gone, left) in [(ids[0], ids[1]), (ids[1], ids[0])] {
        let tx = database.adding(&main_location(gone), -5).await;
        let (wanted, message) = (lines(&[(left, 1), (gone, 1)]), command());
        let (result, ()) = futures::join!(database.store.reserve(hold(1), &wanted, seconds(900), message), async {
            database.wait_for_blocked_session().await;
            tx.commit().await.unwrap();
        });
        let result = result.unwrap().into_inner();
        assert!(
            matches!(&result, Reservation::Short(short) if short.len() == 1 && short[0].product == gone),
            "{result:?}"
        );
        assert_eq!(stock_of(database, left).await, 5);
        database.store.adjust(&main_location(gone), Adjustment::Set(5), "admin", &DedupKey::None).await.unwrap();
    }
    assert_eq!(database.count("select count(*) from hold where state <> 'short'").await, 0);
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_waits_for_a_changed_row_sells_once() {
    let database = &Database::create().await;
    let ids = [stocked(database, 5).await, stocked(database, 5).await];
    let (mine, message) = (hold(1), command());
    database.store.reserve(mine, &lines(&[(ids[0], 2), (ids[1], 2)]), seconds(900), command()).await.unwrap();
    let tx = database.adding(&main_location(ids[1]), 4).await;
    let (sold, again, ()) =
        futures::join!(database.store.commit(mine, message), database.store.commit(mine, message), async {
            database.wait_for_blocked_session().await;
            tx.commit().await.unwrap();
        });
    let (sold, again) = (sold.unwrap(), again.unwrap());
    assert_ne!(sold.is_duplicate(), again.is_duplicate());
    assert_eq!([sold.into_inner(), again.into_inner()], [HoldState::Committed; 2]);
    assert_eq!((stock_of(database, ids[0]).await, stock_of(database, ids[1]).await), (3, 7));
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_reserve_and_release_leave_nothing_reserved() {
    let database = &Database::create().await;
    let id = stocked(database, 500).await;
    let orders = (0..100).map(|_| async {
        let (mine, wanted) = (hold(1), lines(&[(id, 1)]));
        let (reserve, release) = (command(), command());
        let held = database.store.reserve(mine, &wanted, seconds(900), reserve);
        let (held, undone) = futures::try_join!(held, database.store.release(mine, release)).unwrap();
        match undone.into_inner() {
            HoldState::Released => assert!(matches!(held.into_inner(), Reservation::Held(_))),
            HoldState::Tombstone => assert_eq!(held.into_inner(), Reservation::Cancelled),
            other => panic!("{other:?}"),
        }
    });
    join_all(orders).await;
    assert_eq!(stock_of(database, id).await, 500);
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_concurrent_commands_for_one_hold_reserve_once() {
    let database = &Database::create().await;
    let ids = [stocked(database, 50).await, stocked(database, 50).await];
    let mine = hold(1);
    let tries = (0..50_usize).map(|n| {
        let wanted = lines(&[(ids[n % 2], 1)]);
        async move { database.store.reserve(mine, &wanted, seconds(900), command()).await.unwrap().into_inner() }
    });
    let result = join_all(tries).await;
    assert!(result.iter().all(|one| *one == result[0] && matches!(one, Reservation::Held(_))), "{result:?}");
    assert_eq!(stock_of(database, ids[0]).await + stock_of(database, ids[1]).await, 99);
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_holds_of_one_order_that_expire_together_has_one_event() {
    let database = &Database::create().await;
    let id = stocked(database, 40).await;
    for _ in 0..20 {
        let first = hold(1);
        for mine in [first, Hold { number: 2, ..first }] {
            database.store.reserve(mine, &lines(&[(id, 1)]), seconds(1), command()).await.unwrap();
        }
    }
    database.pass(2).await;
    let workers = (0..8).map(|_| async { while database.store.expire_one().await.unwrap().is_some() {} });
    join_all(workers).await;
    assert_eq!(stock_of(database, id).await, 40);
    let events = "select count(distinct aggregate) from outbox where kind = 'reservation.expired' and seq = 1";
    assert_eq!(database.count(events).await, 40);
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_expired_hold_is_ended_by_one_replica() {
    let database = &Database::create().await;
    let id = stocked(database, 20).await;
    for _ in 0..20 {
        database.store.reserve(hold(1), &lines(&[(id, 1)]), seconds(1), command()).await.unwrap();
    }
    database.pass(2).await;
    let ended = join_all((0..8).map(|_| async {
        let mut mine = Vec::new();
        while let Some(hold) = database.store.expire_one().await.unwrap() {
            mine.push(hold);
        }
        mine
    }))
    .await
    .concat();
    assert_eq!(ended.len(), 20);
    assert_eq!(stock_of(database, id).await, 20);
    assert_eq!(database.count("select count(*) from outbox where kind = 'reservation.expired'").await, 20);
    database.check_invariants().await;
}

async fn expire(database: &Database, hold: Hold) {
    let mut connection = database.db.acquire().await.unwrap();
    sqlx::query("update hold set expires_at = now() where order_id = $1 and state = 'held'")
        .bind(hold.order.uuid())
        .execute(&mut *connection)
        .await
        .unwrap();
}
