//! Carts on a real PostgreSQL: contract tests, concurrency, and invariants of the tables.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

#[path = "support/contract.rs"]
mod contract;
#[path = "postgres/migration.rs"]
mod migration;
#[path = "postgres/plans.rs"]
mod plans;

use std::sync::Arc;

use agora_cart::{
    MIGRATIONS,
    domain::{CheckoutState, LINES_MAX, Refused},
    ports::{CartError, Carts, CheckoutError},
    postgres::PgCarts,
};
use agora_chassis::SystemIds;
use agora_outbox::DedupKey;
use agora_postgres::Db;
use agora_vocab::Epoch;
use contract::{add, command, deleted, held, line, order, product, put, quote, request, units, user};
use futures::future::join_all;

async fn start() -> (Db, PgCarts) {
    let database = agora_testkit::postgres().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    (db.clone(), PgCarts::new(db, Arc::new(SystemIds), Epoch::default()))
}

/// Checks that the events of each cart are numbered from 1 without gaps and that the last number is its version.
async fn events_add_up(db: &Db) {
    const OFF: &str = "select count(*) from (select aggregate, count(*) as n, max(seq) as last from outbox group by aggregate) f \
        full join cart c on c.id = f.aggregate where n is distinct from last or last is distinct from c.version";
    let mut connection = db.acquire().await.unwrap();
    let off: i64 = sqlx::query_scalar(OFF).fetch_one(&mut *connection).await.unwrap();
    assert_eq!(off, 0, "carts whose events do not match their version");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_passes_the_contract_tests() {
    let (db, carts) = start().await;
    contract::all_hold(&carts).await;
    events_add_up(&db).await;
}

/// Defect of A (docs/DEFECTS.md): 8 parallel adds gave 2 lines, and 11 adds of 1 gave 8 units.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_adds_of_one_product_are_one_line_with_the_sum() {
    let (db, carts) = start().await;
    let (me, chair) = (user(), product());
    join_all((0..8).map(|_| add(&carts, me, chair, 1))).await;
    assert_eq!(held(&carts, me).await, (8, vec![8]));
    join_all((0..11).map(|_| add(&carts, me, chair, 1))).await;
    assert_eq!(held(&carts, me).await, (19, vec![19]));
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_first_adds_of_a_user_create_one_cart() {
    let (db, carts) = start().await;
    for _ in 0..30 {
        let me = user();
        join_all((0..4).map(|_| add(&carts, me, product(), 1))).await;
        assert_eq!(held(&carts, me).await, (4, vec![1; 4]));
    }
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adds_concurrent_with_every_other_change_lose_nothing() {
    let (db, carts) = start().await;
    let (me, chair, table) = (user(), product(), product());
    let id = add(&carts, me, table, 9).await.items[0].line.id;
    let offered = quote(&[table], 99);
    let adding = join_all((0..30).map(|_| add(&carts, me, chair, 1)));
    let changing = join_all((0..10).map(|n| carts.change(me, id, units(20 - n), &offered, &DedupKey::None)));
    let lowering = join_all((0..10).map(|_| carts.lower(me, id, units(5), &DedupKey::None)));
    let (added, changed, lowered) = futures::join!(adding, changing, lowering);
    assert!(changed.iter().chain(&lowered).all(Result::is_ok));
    let mut versions: Vec<_> = added.iter().map(|view| view.version).collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!((versions.len(), held(&carts, me).await.0), (30, 51));
    let chairs = carts.find(me).await.unwrap().cart.lines.into_iter().find(|line| line.product == chair);
    assert_eq!(chairs.unwrap().quantity, units(30));
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_shoppers_add_one_new_product_without_a_deadlock() {
    let (db, carts) = start().await;
    let (chair, table) = (product(), product());
    let shoppers = (0..60).map(|n| {
        let carts = &carts;
        async move {
            let me = user();
            let (first, second) = if n % 2 == 0 { (chair, table) } else { (table, chair) };
            add(carts, me, first, 1).await;
            add(carts, me, second, 2).await;
            held(carts, me).await
        }
    });
    assert!(join_all(shoppers).await.iter().all(|cart| *cart == (2, vec![1, 2])));
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_duplicates_of_one_request_add_once() {
    let (_, carts) = start().await;
    let (me, chair) = (user(), product());
    let (line, offered, dedup_key) = (line(chair, 2), quote(&[chair], 99), request(me, "k", 1));
    let result = join_all((0..50).map(|_| put(&carts, me, &line, &offered, &dedup_key))).await;
    assert_eq!(result.iter().filter(|done| !done.as_ref().unwrap().is_duplicate()).count(), 1);
    assert_eq!(held(&carts, me).await, (1, vec![2]));
}

/// Defect of A (docs/DEFECTS.md): 4 parallel orders of one cart were 4 orders.
#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_checkouts_of_one_cart_one_succeeds() {
    let (db, carts) = start().await;
    for _ in 0..10 {
        let me = user();
        add(&carts, me, product(), 3).await;
        let keys: Vec<_> = (0..8).map(|_| command()).collect();
        let result = join_all(keys.iter().map(|dedup_key| carts.begin_checkout(order(), me, dedup_key))).await;
        let got = result.iter().filter(|taken| taken.is_ok()).count();
        let none = result.iter().filter(|taken| matches!(taken, Err(CheckoutError::Empty))).count();
        assert_eq!((got, none), (1, 7));
        assert_eq!(held(&carts, me).await, (2, vec![]));
    }
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_duplicates_of_one_checkout_return_the_same_result() {
    let (db, carts) = start().await;
    for _ in 0..10 {
        let (me, mine, dedup_key) = (user(), order(), command());
        add(&carts, me, product(), 3).await;
        let adding = async {
            add(&carts, me, product(), 1).await;
            add(&carts, me, product(), 1).await;
        };
        let (result, ()) = futures::join!(join_all((0..8).map(|_| carts.begin_checkout(mine, me, &dedup_key))), adding);
        let result: Vec<_> = result.into_iter().map(Result::unwrap).collect();
        assert_eq!(result.iter().filter(|taken| !taken.is_duplicate()).count(), 1);
        let first = result[0].as_ref().into_inner();
        assert!(result.iter().all(|taken| taken.as_ref().into_inner() == first), "{result:?}");
        assert_eq!(first.lines.len() + held(&carts, me).await.1.len(), 3);
    }
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_concurrent_commands_for_one_order_begin_one_checkout() {
    let (db, carts) = start().await;
    for _ in 0..20 {
        let (me, mine, first, second) = (user(), order(), command(), command());
        add(&carts, me, product(), 3).await;
        let (one, other) =
            futures::join!(carts.begin_checkout(mine, me, &first), carts.begin_checkout(mine, me, &second));
        assert_eq!(one.unwrap().into_inner(), other.unwrap().into_inner());
        assert_eq!(held(&carts, me).await, (2, vec![]));
    }
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_completed_and_cancelled_concurrently_has_one_final_state() {
    let (db, carts) = start().await;
    for _ in 0..20 {
        let (me, mine, undo) = (user(), order(), command());
        add(&carts, me, product(), 3).await;
        carts.begin_checkout(mine, me, &command()).await.unwrap();
        let placed = [mine];
        let (completed, ended) = futures::join!(carts.complete_checkouts(&placed), carts.cancel_checkout(mine, &undo));
        completed.unwrap();
        let there = if ended.unwrap().into_inner() == CheckoutState::Done { vec![] } else { vec![3] };
        assert_eq!(held(&carts, me).await.1, there);
    }
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_cancels_of_one_checkout_one_returns_its_lines() {
    let (db, carts) = start().await;
    for _ in 0..10 {
        let (me, mine, dedup_key) = (user(), order(), command());
        add(&carts, me, product(), 3).await;
        carts.begin_checkout(mine, me, &command()).await.unwrap();
        let keys: Vec<_> = (0..8).map(|n| if n % 2 == 0 { dedup_key.clone() } else { command() }).collect();
        let adding = add(&carts, me, product(), 1);
        let (undone, _) =
            futures::join!(join_all(keys.iter().map(|dedup_key| carts.cancel_checkout(mine, dedup_key))), adding);
        let undone: Vec<_> = undone.into_iter().map(Result::unwrap).collect();
        assert_eq!(undone.iter().filter(|undone| !undone.is_duplicate()).count(), 1);
        assert!(undone.iter().all(|undone| undone.into_inner() == CheckoutState::Returned), "{undone:?}");
        let mut held = held(&carts, me).await.1;
        held.sort_unstable();
        assert_eq!(held, [1, 3]);
    }
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_deleted_during_a_cancel_is_in_no_cart() {
    let (db, carts) = start().await;
    let chair = product();
    let shoppers: Vec<_> = (0..60).map(|_| (user(), order())).collect();
    for (me, mine) in &shoppers {
        add(&carts, *me, chair, 1).await;
        carts.begin_checkout(*mine, *me, &command()).await.unwrap();
    }
    let keys: Vec<_> = shoppers.iter().map(|_| command()).collect();
    let returning =
        join_all(shoppers.iter().zip(&keys).map(|((_, mine), dedup_key)| carts.cancel_checkout(*mine, dedup_key)));
    let gone = deleted(chair, 2);
    let (returned, stored) = futures::join!(returning, carts.store_copies(std::slice::from_ref(&gone)));
    stored.unwrap();
    for result in returned {
        assert_eq!(result.unwrap().into_inner(), CheckoutState::Returned);
    }
    for (me, _) in shoppers {
        assert_eq!(held(&carts, me).await.1, [0_u32; 0]);
    }
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_begin_and_cancel_leave_the_cart_complete() {
    let (db, carts) = start().await;
    for _ in 0..30 {
        let (me, mine) = (user(), order());
        add(&carts, me, product(), 3).await;
        let (do_it, undo) = (command(), command());
        let (taken, undone) =
            futures::join!(carts.begin_checkout(mine, me, &do_it), carts.cancel_checkout(mine, &undo));
        assert_eq!(undone.unwrap().into_inner(), CheckoutState::Returned);
        assert!(matches!(&taken, Ok(_) | Err(CheckoutError::Cancelled)), "{taken:?}");
        assert_eq!(held(&carts, me).await.1, [3]);
    }
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_adds_checkouts_and_cancels_lose_no_unit() {
    let (db, carts) = start().await;
    let (me, chair) = (user(), product());
    let work = (0..60).map(|n| {
        let carts = &carts;
        async move {
            add(carts, me, chair, 1).await;
            if n % 3 == 0 {
                let mine = order();
                let (dedup_key, undo) = (command(), command());
                match carts.begin_checkout(mine, me, &dedup_key).await {
                    Ok(_) => {
                        let state = carts.cancel_checkout(mine, &undo).await.unwrap().into_inner();
                        assert_eq!(state, CheckoutState::Returned);
                    }
                    Err(CheckoutError::Empty) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    });
    join_all(work).await;
    assert_eq!(held(&carts, me).await.1, [60]);
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_deleted_during_an_add_is_in_no_cart() {
    let (db, carts) = start().await;
    let chair = product();
    let shoppers: Vec<_> = (0..150).map(|_| user()).collect();
    let keys: Vec<_> = shoppers.iter().map(|me| request(*me, "k", 1)).collect();
    let offered = quote(&[chair], 99);
    let lines: Vec<_> = shoppers.iter().map(|_| line(chair, 1)).collect();
    let adding = join_all(
        shoppers
            .iter()
            .zip(&lines)
            .zip(&keys)
            .map(|((me, line), dedup_key)| put(&carts, *me, line, &offered, dedup_key)),
    );
    let gone = deleted(chair, 2);
    let (added, stored) = futures::join!(adding, carts.store_copies(std::slice::from_ref(&gone)));
    stored.unwrap();
    for result in added {
        assert!(matches!(&result, Ok(_) | Err(CartError::Refused(Refused::UnknownProduct))), "{result:?}");
    }
    for me in shoppers {
        assert_eq!(held(&carts, me).await.1, [0_u32; 0]);
    }
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_limit_also_applies_to_a_cancelled_checkout() {
    let (db, carts) = start().await;
    let (me, mine) = (user(), order());
    for _ in 0..LINES_MAX {
        add(&carts, me, product(), 1).await;
    }
    let one_more = product();
    let refused = put(&carts, me, &line(one_more, 1), &quote(&[one_more], 9), &DedupKey::None).await;
    assert!(matches!(refused, Err(CartError::Refused(Refused::TooManyLines))), "{refused:?}");

    carts.begin_checkout(mine, me, &command()).await.unwrap();
    add(&carts, me, one_more, 1).await;
    carts.cancel_checkout(mine, &command()).await.unwrap();
    assert_eq!(held(&carts, me).await.1.len(), LINES_MAX);
    events_add_up(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_deletes_old_ended_checkouts_only() {
    let (db, carts) = start().await;
    let (me, ended, under_way) = (user(), order(), order());
    add(&carts, me, product(), 1).await;
    carts.begin_checkout(under_way, me, &command()).await.unwrap();
    carts.cancel_checkout(ended, &command()).await.unwrap();
    assert_eq!(carts.sweep().await.unwrap(), 0);
    let mut connection = db.acquire().await.unwrap();
    let begun = "update cart_checkout set created_at = created_at - interval '31 days'";
    sqlx::query(begun).execute(&mut *connection).await.unwrap();
    assert_eq!(carts.sweep().await.unwrap(), 0, "ended just now");
    let age = "update cart_checkout set updated_at = updated_at - interval '31 days'";
    sqlx::query(age).execute(&mut *connection).await.unwrap();
    assert_eq!(carts.sweep().await.unwrap(), 1);
    assert_eq!(carts.begin_checkout(under_way, me, &command()).await.unwrap().into_inner().lines[0].quantity, units(1));
}
