//! What only a real PostgreSQL can show: races, crashes at every step, and history that cannot be rewritten.

use std::sync::Arc;

use crate::fused::Fused;
use crate::shop::{Neighbours, Shop, items, two};
use crate::world::{InDatabase, World as _};
use agora_order::{
    domain::{PaymentOutcome, rebuild},
    fakes::Fuse,
    ports::Listing,
};
use agora_vocab::{OrderId, PageSize, PaymentId, ProductId, Quantity};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use time::Duration;
use uuid::Uuid;

/// More passes than any of the scenarios has.
const PASSES_MAX: i64 = 200;

async fn shop() -> (Shop, InDatabase) {
    let world = InDatabase::new().await;
    (Shop::new(world.orders(), Neighbours::new(), &Fuse::endless()), world)
}

async fn orders_of(shop: &Shop, world: &InDatabase) -> Vec<agora_order::domain::Order> {
    let all = Listing { user: Some(shop.ada), size: PageSize::MAX, before: None, offset: 0 };
    world.orders().page(&all).await.unwrap().items
}

fn paid_at_once(token: &str) -> Value {
    json!({ "payment": { "method": "card", "token": token } })
}

/// The process that was to do it has ended; another one works on, after all leases.
async fn recovered(shop: &Shop, world: &InDatabase) {
    world.pass(Duration::seconds(16)).await;
    shop.settle().await;
    world.pass(Duration::seconds(61)).await;
    shop.ordering.clear_claims().await.unwrap();
    shop.settle().await;
}

/// The stored projection is what its history tells, whatever happened.
async fn history_agrees(shop: &Shop, world: &InDatabase) {
    for order in orders_of(shop, world).await {
        let rebuilt = rebuild(world.history(order.id).await).unwrap();
        assert_eq!((rebuilt.standing, rebuilt.version, rebuilt.facts), (order.standing, order.version, order.facts));
        let places: Vec<i64> = world.facts(order.id).await.into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(places, (1..=order.facts).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_posts_with_one_key_make_one_order_and_hold_its_stock_once() {
    let (shop, world) = shop().await;
    let lamp = shop.neighbours.catalog.offer(1999, 100);
    let answers = join_all((0..100).map(|_| async { shop.order("k", items(lamp, 1)).await })).await;
    let (made, waiting): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert!(!made.is_empty());
    assert!(made.iter().all(|answer| answer.body == made[0].body));
    assert!(waiting.iter().all(|answer| answer.status == 409 && answer.header("retry-after") == "1"));
    assert_eq!(orders_of(&shop, &world).await.len(), 1);
    assert_eq!(shop.neighbours.catalog.available(lamp), 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_orders_of_one_cart_make_one_order() {
    let (shop, world) = shop().await;
    let lamp = shop.neighbours.catalog.offer(1999, 100);
    shop.neighbours.carts.add(shop.ada, lamp, Quantity::ONE);
    let posts = (0..20).map(|n| {
        let shop = &shop;
        async move { shop.order(&format!("k{n}"), json!({})).await.status }
    });
    let made = join_all(posts).await.into_iter().filter(|status| *status == 201).count();
    assert_eq!((made, orders_of(&shop, &world).await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_buyers_of_ten_units_are_all_told_and_ten_have_one() {
    let (shop, world) = shop().await;
    let lamp = shop.neighbours.catalog.offer(1999, 10);
    let posts = (0..500).map(|n| {
        let shop = &shop;
        async move { shop.order(&format!("k{n}"), items(lamp, 1)).await.status }
    });
    let statuses = join_all(posts).await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    let unserved = count(503);
    assert_eq!(count(201) + count(409) + unserved, 500);
    assert_eq!((count(201), shop.neighbours.catalog.available(lamp)), (10, 0));
    history_agrees(&shop, &world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_comes_by_both_doors_at_once_counts_once() {
    let (shop, world) = shop().await;
    let lamp = shop.neighbours.catalog.offer(1999, 10);
    let order = shop.pending("k", lamp, 1).await;
    shop.begin(order, 1).await.expect(200);
    let results = (0..20).map(|_| shop.result(order, 1, (2, "captured")).into_future());
    let told = join_all(results).await;
    assert!(told.iter().all(|answer| answer.body == json!({ "status": "paid", "paymentStatus": "paid" })));
    let kinds: Vec<String> = world.facts(order).await.into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["order.created", "order.placed", "order.paid"]);
}

#[tokio::test]
async fn history_can_be_neither_changed_nor_deleted_even_by_its_owner() {
    let (shop, world) = shop().await;
    let order = shop.pending("k", shop.neighbours.catalog.offer(1999, 10), 1).await;
    let mut connection = world.db.acquire().await.unwrap();
    for statement in ["update order_event set seq = seq + 1", "delete from order_event", "truncate order_event"] {
        let refused = sqlx::query(statement).execute(&mut *connection).await.unwrap_err();
        assert_eq!(agora_postgres::constraint(&refused), Some("order_event_append_only"), "{statement}");
    }
    assert_eq!(world.history(order).await.len(), 2);
}

#[tokio::test]
async fn an_order_of_a_cart_paid_at_once_survives_a_crash_after_every_step() {
    for pass in 1..PASSES_MAX {
        for retried in [true, false] {
            let (shop, world) = shop().await;
            let lamp = shop.neighbours.catalog.offer(1999, 10);
            shop.neighbours.carts.add(shop.ada, lamp, Quantity::ONE);
            let fuse = Fuse::after(pass);
            let dying = shop.again(Arc::new(Fused::new(world.orders(), fuse.clone())), &fuse);
            let first = dying.order("k", paid_at_once("tok_ok")).await;
            if !fuse.burnt() {
                assert_eq!(first.body["status"], "paid");
                return;
            }
            if retried {
                world.pass(Duration::seconds(16)).await;
                let told = shop.order("k", paid_at_once("tok_ok")).await.expect(201).body;
                assert_eq!(told["status"], "paid", "pass {pass}");
            }
            recovered(&shop, &world).await;
            let orders = orders_of(&shop, &world).await;
            let (lines, left) = (shop.neighbours.carts.lines(shop.ada), shop.neighbours.catalog.available(lamp));
            match orders.as_slice() {
                [] => assert_eq!((retried, lines, left), (false, 1, 10), "pass {pass}"),
                [order] => {
                    assert_eq!(order.standing.status.as_str(), "paid", "pass {pass}");
                    assert_eq!((lines, left, shop.neighbours.payments.captures(order.id)), (0, 9, 1), "pass {pass}");
                }
                more => panic!("{} orders, pass {pass}", more.len()),
            }
            history_agrees(&shop, &world).await;
        }
    }
    panic!("the scenario never ends by itself");
}

#[tokio::test]
async fn a_shortage_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, fuse: Fuse, world: &InDatabase| {
        let lamp = shop.neighbours.catalog.offer(1999, 1);
        shop.neighbours.carts.add(shop.ada, lamp, Quantity::parse(2).unwrap());
        let dying = shop.again(Arc::new(Fused::new(world.orders(), fuse.clone())), &fuse);
        dying.order("k", json!({})).await;
        recovered(shop, world).await;
        assert_eq!(shop.neighbours.carts.lines(shop.ada), 1, "pass {pass}");
        assert_eq!(shop.neighbours.catalog.available(lamp), 1, "pass {pass}");
        let told = shop.order("k", json!({})).await;
        assert_eq!((told.status, &told.body["code"]), (409, &json!("INSUFFICIENT_QUANTITY")), "pass {pass}");
    })
    .await;
}

#[tokio::test]
async fn a_declined_order_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, fuse: Fuse, world: &InDatabase| {
        let lamp = shop.neighbours.catalog.offer(1999, 5);
        let mut body = items(lamp, 1);
        body["payment"] = paid_at_once("tok_declined")["payment"].take();
        let dying = shop.again(Arc::new(Fused::new(world.orders(), fuse.clone())), &fuse);
        dying.order("k", body.clone()).await;
        recovered(shop, world).await;
        let told = shop.order("k", body).await.expect(402);
        let order: OrderId = told.body["orderId"].as_str().unwrap().parse().unwrap();
        assert_eq!(shop.status(order).await, two("pending", "failed"), "pass {pass}");
        assert_eq!(shop.neighbours.catalog.available(lamp), 4, "pass {pass}");
    })
    .await;
}

/// An order that payment has begun to pay.
async fn begun(shop: &Shop, lamp: ProductId) -> (OrderId, PaymentId) {
    let order = shop.pending("k", lamp, 1).await;
    shop.begin(order, 1).await.expect(200);
    (order, PaymentId::new(Uuid::from_u128(1)))
}

#[tokio::test]
async fn a_captured_result_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, fuse: Fuse, world: &InDatabase| {
        let lamp = shop.neighbours.catalog.offer(1999, 5);
        let (order, payment) = begun(shop, lamp).await;
        let result = shop.neighbours.payments.resolve(order, payment, PaymentOutcome::Captured);
        let dying = shop.again(Arc::new(Fused::new(world.orders(), fuse.clone())), &fuse);
        dying.result(order, 1, (result.uuid().as_u128(), "captured")).await;
        // Payment repeats until it is answered; were it gone for ever, the order would ask by itself.
        if pass % 2 == 0 {
            world.pass(Duration::seconds(16)).await;
            let told = shop.result(order, 1, (result.uuid().as_u128(), "captured")).await.expect(200).body;
            assert_eq!(told["status"], "paid", "pass {pass}");
        }
        recovered(shop, world).await;
        assert_eq!(shop.status(order).await, two("paid", "paid"), "pass {pass}");
        assert_eq!(shop.neighbours.catalog.hold(order, 1), Some("committed"), "pass {pass}");
    })
    .await;
}

#[tokio::test]
async fn a_cancel_of_a_paid_order_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, fuse: Fuse, world: &InDatabase| {
        let lamp = shop.neighbours.catalog.offer(1999, 5);
        let (order, payment) = begun(shop, lamp).await;
        let result = shop.neighbours.payments.resolve(order, payment, PaymentOutcome::Captured);
        shop.result(order, 1, (result.uuid().as_u128(), "captured")).await.expect(200);
        let dying = shop.again(Arc::new(Fused::new(world.orders(), fuse.clone())), &fuse);
        let cancelled = dying.cancel(order).key("c").await.status == 200;
        if cancelled {
            dying.ordering.continue_sagas().await.ok();
        }
        recovered(shop, world).await;
        shop.cancel(order).key("c").await.expect(200);
        recovered(shop, world).await;
        assert_eq!(shop.status(order).await, two("cancelled", "refunded"), "pass {pass}");
        assert_eq!(shop.neighbours.catalog.available(lamp), 5, "pass {pass}");
        assert_eq!(shop.neighbours.payments.captures(order), 1, "pass {pass}");
    })
    .await;
}

#[tokio::test]
async fn an_expiry_and_the_late_capture_after_it_survive_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, fuse: Fuse, world: &InDatabase| {
        let lamp = shop.neighbours.catalog.offer(1999, 5);
        let (order, payment) = begun(shop, lamp).await;
        shop.result(order, 1, (7, "failed")).await.expect(200);
        world.pass(Duration::seconds(901)).await;
        let dying = shop.again(Arc::new(Fused::new(world.orders(), fuse.clone())), &fuse);
        dying.ordering.continue_sagas().await.ok();
        let result = shop.neighbours.payments.resolve(order, payment, PaymentOutcome::Captured).uuid().as_u128();
        dying.result(order, 1, (result, "captured")).await;
        recovered(shop, world).await;
        shop.result(order, 1, (result, "captured")).await.expect(200);
        recovered(shop, world).await;
        assert_eq!(shop.status(order).await, two("paid", "paid"), "pass {pass}");
        assert_eq!(shop.neighbours.catalog.available(lamp), 4, "pass {pass}");
    })
    .await;
}

/// Runs a scenario on a fresh database with a process that ends at its first port call's first pass, then its second, and
/// so on, until it no longer ends before the scenario does.
async fn crashing(scenario: impl AsyncFn(&Shop, i64, Fuse, &InDatabase)) {
    for pass in 1..PASSES_MAX {
        let (shop, world) = shop().await;
        let fuse = Fuse::after(pass);
        scenario(&shop, pass, fuse.clone(), &world).await;
        history_agrees(&shop, &world).await;
        if !fuse.burnt() {
            assert!(pass > 4, "the scenario has almost no steps");
            return;
        }
    }
    panic!("the scenario never ends by itself");
}

#[tokio::test]
async fn a_claim_is_found_by_its_own_index_however_many_others_are_open() {
    let (_, world) = shop().await;
    let plan = async |name: &str, statement: &str| {
        let mut connection = world.db.acquire().await.unwrap();
        let prepare = format!("prepare {name} (uuid) as {statement}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
        let explain = format!("explain execute {name} ('00000000-0000-0000-0000-000000000001')");
        let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
        lines.join("\n")
    };
    // The tables are empty: a service that has just begun makes its plans now, and keeps them.
    let of_point = "select from idempotency where point = $1 and state = 'started' for share";
    let seen = plan("of_point", of_point).await;
    assert!(seen.contains("idempotency_point"), "{seen}");
    let settled = "update idempotency set state = 'done' where point = $1 and state = 'started'";
    let seen = plan("settled", settled).await;
    assert!(seen.contains("idempotency_point"), "{seen}");
    let stale = "select point from idempotency where state = 'started' and point <> $1 and lease_until < now() \
        and created_at < now() order by created_at limit 1";
    let seen = plan("stale", stale).await;
    assert!(seen.contains("idempotency_leased"), "{seen}");
}
