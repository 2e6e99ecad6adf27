//! Concurrent changes of carts and checkouts.

use agora_cart::{
    domain::CheckoutState,
    ports::{Carts as _, CheckoutError, Checkouts as _},
};
use agora_outbox::DedupKey;
use futures::future::join_all;

use crate::fixture::{Database, add, command, held, line, order, product, put, quote, request, units, user};

/// Defect of A (docs/DEFECTS.md): 8 parallel adds gave 2 lines, and 11 adds of 1 gave 8 units.
#[tokio::test(flavor = "multi_thread")]
async fn ct1_parallel_adds_of_one_product_are_one_line_with_the_sum() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    join_all((0..8).map(|_| add(carts, me, chair, 1))).await;
    assert_eq!(held(carts, me).await, (8, vec![8]));
    join_all((0..11).map(|_| add(carts, me, chair, 1))).await;
    assert_eq!(held(carts, me).await, (19, vec![19]));
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ct5_concurrent_first_adds_of_a_user_create_one_cart() {
    let database = Database::create().await;
    let carts = &database.carts;
    for _ in 0..30 {
        let me = user();
        join_all((0..4).map(|_| add(carts, me, product(), 1))).await;
        assert_eq!(held(carts, me).await, (4, vec![1; 4]));
    }
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adds_concurrent_with_every_other_change_lose_nothing() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair, table) = (user(), product(), product());
    let id = add(carts, me, table, 9).await.items[0].line.id;
    let offered = quote(&[table], 99);
    let adding = join_all((0..30).map(|_| add(carts, me, chair, 1)));
    let changing = join_all((0..10).map(|n| carts.change(me.into(), id, units(20 - n), &offered, &DedupKey::None)));
    let lowering = join_all((0..10).map(|_| carts.lower(me.into(), id, units(5), &DedupKey::None)));
    let (added, changed, lowered) = futures::join!(adding, changing, lowering);
    assert!(changed.iter().chain(&lowered).all(Result::is_ok));
    let mut versions: Vec<_> = added.iter().map(|view| view.version).collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!((versions.len(), held(carts, me).await.0), (30, 51));
    let chairs = carts.find(me.into()).await.unwrap().cart.lines.into_iter().find(|line| line.product == chair);
    assert_eq!(chairs.unwrap().quantity, units(30));
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_shoppers_add_one_new_product_without_a_deadlock() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (chair, table) = (product(), product());
    let shoppers = (0..60).map(|n| async move {
        let me = user();
        let (first, second) = if n % 2 == 0 { (chair, table) } else { (table, chair) };
        add(carts, me, first, 1).await;
        add(carts, me, second, 2).await;
        held(carts, me).await
    });
    assert!(join_all(shoppers).await.iter().all(|cart| *cart == (2, vec![1, 2])));
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_duplicates_of_one_request_add_once() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    let (line, offered, dedup_key) = (line(chair, 2), quote(&[chair], 99), request(me, "k", 1));
    let result = join_all((0..50).map(|_| put(carts, me, &line, &offered, &dedup_key))).await;
    assert_eq!(result.iter().filter(|done| !done.as_ref().unwrap().is_duplicate()).count(), 1);
    assert_eq!(held(carts, me).await, (1, vec![2]));
}

/// Defect of A (docs/DEFECTS.md): 4 parallel orders of one cart were 4 orders.
#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_checkouts_of_one_cart_one_succeeds() {
    let database = Database::create().await;
    let carts = &database.carts;
    for _ in 0..10 {
        let me = user();
        add(carts, me, product(), 3).await;
        let keys: Vec<_> = (0..8).map(|_| command()).collect();
        let result = join_all(keys.iter().map(|dedup_key| carts.begin_checkout(order(), me, dedup_key))).await;
        let got = result.iter().filter(|taken| taken.is_ok()).count();
        let none = result.iter().filter(|taken| matches!(taken, Err(CheckoutError::Empty))).count();
        assert_eq!((got, none), (1, 7));
        assert_eq!(held(carts, me).await, (2, vec![]));
    }
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_duplicates_of_one_checkout_return_the_same_result() {
    let database = Database::create().await;
    let carts = &database.carts;
    for _ in 0..10 {
        let (me, mine, dedup_key) = (user(), order(), command());
        add(carts, me, product(), 3).await;
        let adding = async {
            add(carts, me, product(), 1).await;
            add(carts, me, product(), 1).await;
        };
        let (result, ()) = futures::join!(join_all((0..8).map(|_| carts.begin_checkout(mine, me, &dedup_key))), adding);
        let result: Vec<_> = result.into_iter().map(Result::unwrap).collect();
        assert_eq!(result.iter().filter(|taken| !taken.is_duplicate()).count(), 1);
        let first = result[0].as_ref().into_inner();
        assert!(result.iter().all(|taken| taken.as_ref().into_inner() == first), "{result:?}");
        assert_eq!(first.lines.len() + held(carts, me).await.1.len(), 3);
    }
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_concurrent_commands_for_one_order_begin_one_checkout() {
    let database = Database::create().await;
    let carts = &database.carts;
    for _ in 0..20 {
        let (me, mine, first, second) = (user(), order(), command(), command());
        add(carts, me, product(), 3).await;
        let (one, other) =
            futures::join!(carts.begin_checkout(mine, me, &first), carts.begin_checkout(mine, me, &second));
        assert_eq!(one.unwrap().into_inner(), other.unwrap().into_inner());
        assert_eq!(held(carts, me).await, (2, vec![]));
    }
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_completed_and_cancelled_concurrently_has_one_final_state() {
    let database = Database::create().await;
    let carts = &database.carts;
    for _ in 0..20 {
        let (me, mine, undo) = (user(), order(), command());
        add(carts, me, product(), 3).await;
        carts.begin_checkout(mine, me, &command()).await.unwrap();
        let placed = [mine];
        let (completed, ended) = futures::join!(carts.complete_checkouts(&placed), carts.cancel_checkout(mine, &undo));
        completed.unwrap();
        let there = if ended.unwrap().into_inner() == CheckoutState::Done { vec![] } else { vec![3] };
        assert_eq!(held(carts, me).await.1, there);
    }
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_cancels_of_one_checkout_one_returns_its_lines() {
    let database = Database::create().await;
    let carts = &database.carts;
    for _ in 0..10 {
        let (me, mine, dedup_key) = (user(), order(), command());
        add(carts, me, product(), 3).await;
        carts.begin_checkout(mine, me, &command()).await.unwrap();
        let keys: Vec<_> = (0..8).map(|n| if n % 2 == 0 { dedup_key.clone() } else { command() }).collect();
        let adding = add(carts, me, product(), 1);
        let (undone, _) =
            futures::join!(join_all(keys.iter().map(|dedup_key| carts.cancel_checkout(mine, dedup_key))), adding);
        let undone: Vec<_> = undone.into_iter().map(Result::unwrap).collect();
        assert_eq!(undone.iter().filter(|undone| !undone.is_duplicate()).count(), 1);
        assert!(undone.iter().all(|undone| undone.into_inner() == CheckoutState::Returned), "{undone:?}");
        let mut held = held(carts, me).await.1;
        held.sort_unstable();
        assert_eq!(held, [1, 3]);
    }
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_begin_and_cancel_leave_the_cart_complete() {
    let database = Database::create().await;
    let carts = &database.carts;
    for _ in 0..30 {
        let (me, mine) = (user(), order());
        add(carts, me, product(), 3).await;
        let (do_it, undo) = (command(), command());
        let (taken, undone) =
            futures::join!(carts.begin_checkout(mine, me, &do_it), carts.cancel_checkout(mine, &undo));
        assert_eq!(undone.unwrap().into_inner(), CheckoutState::Returned);
        assert!(matches!(&taken, Ok(_) | Err(CheckoutError::Cancelled)), "{taken:?}");
        assert_eq!(held(carts, me).await.1, [3]);
    }
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_adds_checkouts_and_cancels_lose_no_unit() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    let work = (0..60).map(|n| async move {
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
    });
    join_all(work).await;
    assert_eq!(held(carts, me).await.1, [60]);
    database.check_event_numbers().await;
}
