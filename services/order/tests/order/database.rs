//! Tests that need a real PostgreSQL: races, crashes at every step, and the append-only history.

use std::sync::Arc;

use crate::crashing_store::CrashingStore;
use crate::fixture::{Fixture as _, InDatabase};
use crate::shop::{FakeServices, Shop, items, two};
use agora_order::{
    domain::{PaymentOutcome, rebuild},
    fakes::Failpoint,
    ports::Listing,
};
use agora_vocab::{OrderId, PageSize, PaymentId, ProductId, Quantity};
use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use time::Duration;
use uuid::Uuid;

/// Upper bound for the passes of a scenario.
const PASSES_MAX: i64 = 200;

async fn shop() -> (Shop, InDatabase) {
    let fixture = InDatabase::new().await;
    (Shop::new(fixture.orders(), FakeServices::new(), &Failpoint::never()), fixture)
}

async fn orders_of(shop: &Shop, fixture: &InDatabase) -> Vec<agora_order::domain::Order> {
    let all = Listing { user: Some(shop.ada), size: PageSize::MAX, before: None, offset: 0 };
    fixture.orders().page(&all).await.unwrap().items
}

fn paid_at_once(token: &str) -> Value {
    json!({ "payment": { "method": "card", "token": token } })
}

/// Runs another process after the crash of the first, once all leases have expired.
async fn recovered(shop: &Shop, fixture: &InDatabase) {
    fixture.pass(Duration::seconds(16)).await;
    shop.settle().await;
    fixture.pass(Duration::seconds(61)).await;
    shop.service.cancel_expired_leases().await.unwrap();
    shop.settle().await;
}

/// Asserts that the stored projection equals the order rebuilt from its history.
async fn history_agrees(shop: &Shop, fixture: &InDatabase) {
    for order in orders_of(shop, fixture).await {
        let rebuilt = rebuild(fixture.history(order.id).await).unwrap();
        assert_eq!(
            (rebuilt.progress, rebuilt.version, rebuilt.event_seq),
            (order.progress, order.version, order.event_seq)
        );
        let places: Vec<i64> = fixture.events(order.id).await.into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(places, (1..=order.event_seq).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_posts_with_one_key_make_one_order_and_hold_its_stock_once() {
    let (shop, fixture) = shop().await;
    let lamp = shop.fakes.catalog.offer(1999, 100);
    let answers = join_all((0..100).map(|_| async { shop.order("k", items(lamp, 1)).await })).await;
    let (made, waiting): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert!(!made.is_empty(), "{:?}", waiting[0].body);
    assert!(made.iter().all(|answer| answer.body == made[0].body));
    assert!(waiting.iter().all(|answer| answer.status == 409 && answer.header("retry-after") == "1"));
    assert_eq!(orders_of(&shop, &fixture).await.len(), 1);
    assert_eq!(shop.fakes.catalog.available(lamp), 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_orders_of_one_cart_make_one_order() {
    let (shop, fixture) = shop().await;
    let lamp = shop.fakes.catalog.offer(1999, 100);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let posts = (0..20).map(|n| {
        let shop = &shop;
        async move { shop.order(&format!("k{n}"), json!({})).await.status }
    });
    let made = join_all(posts).await.into_iter().filter(|status| *status == 201).count();
    assert_eq!((made, orders_of(&shop, &fixture).await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_buyers_of_ten_units_all_get_a_response_and_ten_get_a_unit() {
    let (shop, fixture) = shop().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let posts = (0..500).map(|n| {
        let shop = &shop;
        async move { shop.order(&format!("k{n}"), items(lamp, 1)).await.status }
    });
    let statuses = join_all(posts).await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    let unserved = count(503);
    assert_eq!(count(201) + count(409) + unserved, 500);
    assert_eq!((count(201), shop.fakes.catalog.available(lamp)), (10, 0));
    history_agrees(&shop, &fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_deliveries_of_one_payment_result_apply_once() {
    let (shop, fixture) = shop().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let order = shop.pending("k", lamp, 1).await;
    shop.begin(order, 1).await.expect(200);
    let results = (0..20).map(|_| shop.result(order, 1, (2, "captured")).into_future());
    let reply = join_all(results).await;
    for answer in reply {
        assert_eq!(answer.body, json!({ "status": "paid", "paymentStatus": "paid" }));
    }
    let kinds: Vec<String> = fixture.events(order).await.into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["order.created", "order.placed", "order.paid"]);
}

#[tokio::test]
async fn history_can_be_neither_changed_nor_deleted_even_by_its_owner() {
    let (shop, fixture) = shop().await;
    let order = shop.pending("k", shop.fakes.catalog.offer(1999, 10), 1).await;
    let mut connection = fixture.db.acquire().await.unwrap();
    for statement in ["update order_event set seq = seq + 1", "delete from order_event", "truncate order_event"] {
        let refused = sqlx::query(statement).execute(&mut *connection).await.unwrap_err();
        assert_eq!(agora_postgres::constraint(&refused), Some("order_event_append_only"), "{statement}");
    }
    assert_eq!(fixture.history(order).await.len(), 2);
}

#[tokio::test]
async fn an_order_of_a_cart_paid_at_once_survives_a_crash_after_every_step() {
    for pass in 1..PASSES_MAX {
        for retried in [true, false] {
            let (shop, fixture) = shop().await;
            let lamp = shop.fakes.catalog.offer(1999, 10);
            shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
            let failpoint = Failpoint::after(pass);
            let dying = shop.again(Arc::new(CrashingStore::new(fixture.orders(), failpoint.clone())), &failpoint);
            let first = dying.order("k", paid_at_once("tok_ok")).await;
            if !failpoint.crashed() {
                assert_eq!(first.body["status"], "paid");
                return;
            }
            if retried {
                fixture.pass(Duration::seconds(16)).await;
                let reply = shop.order("k", paid_at_once("tok_ok")).await.expect(201).body;
                assert_eq!(reply["status"], "paid", "pass {pass}");
            }
            recovered(&shop, &fixture).await;
            let orders = orders_of(&shop, &fixture).await;
            let (lines, left) = (shop.fakes.carts.lines(shop.ada), shop.fakes.catalog.available(lamp));
            match orders.as_slice() {
                [] => assert_eq!((retried, lines, left), (false, 1, 10), "pass {pass}"),
                [order] => {
                    assert_eq!(order.progress.status.as_str(), "paid", "pass {pass}");
                    assert_eq!((lines, left, shop.fakes.payments.captures(order.id)), (0, 9, 1), "pass {pass}");
                }
                more => panic!("{} orders, pass {pass}", more.len()),
            }
            history_agrees(&shop, &fixture).await;
        }
    }
    panic!("the scenario never ends by itself");
}

#[tokio::test]
async fn a_shortage_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, failpoint: Failpoint, fixture: &InDatabase| {
        let lamp = shop.fakes.catalog.offer(1999, 1);
        shop.fakes.carts.add(shop.ada, lamp, Quantity::parse(2).unwrap());
        let dying = shop.again(Arc::new(CrashingStore::new(fixture.orders(), failpoint.clone())), &failpoint);
        dying.order("k", json!({})).await;
        recovered(shop, fixture).await;
        assert_eq!(shop.fakes.carts.lines(shop.ada), 1, "pass {pass}");
        assert_eq!(shop.fakes.catalog.available(lamp), 1, "pass {pass}");
        let reply = shop.order("k", json!({})).await;
        assert_eq!((reply.status, &reply.body["code"]), (409, &json!("INSUFFICIENT_QUANTITY")), "pass {pass}");
    })
    .await;
}

#[tokio::test]
async fn a_declined_order_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, failpoint: Failpoint, fixture: &InDatabase| {
        let lamp = shop.fakes.catalog.offer(1999, 5);
        let mut body = items(lamp, 1);
        body["payment"] = paid_at_once("tok_declined")["payment"].take();
        let dying = shop.again(Arc::new(CrashingStore::new(fixture.orders(), failpoint.clone())), &failpoint);
        dying.order("k", body.clone()).await;
        recovered(shop, fixture).await;
        let reply = shop.order("k", body).await.expect(402);
        let order: OrderId = reply.body["orderId"].as_str().unwrap().parse().unwrap();
        assert_eq!(shop.status(order).await, two("pending", "failed"), "pass {pass}");
        assert_eq!(shop.fakes.catalog.available(lamp), 4, "pass {pass}");
    })
    .await;
}

/// An order with a payment in progress.
async fn begun(shop: &Shop, lamp: ProductId) -> (OrderId, PaymentId) {
    let order = shop.pending("k", lamp, 1).await;
    shop.begin(order, 1).await.expect(200);
    (order, PaymentId::new(Uuid::from_u128(1)))
}

#[tokio::test]
async fn a_captured_result_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, failpoint: Failpoint, fixture: &InDatabase| {
        let lamp = shop.fakes.catalog.offer(1999, 5);
        let (order, payment) = begun(shop, lamp).await;
        let result = shop.fakes.payments.resolve(order, payment, PaymentOutcome::Captured);
        let dying = shop.again(Arc::new(CrashingStore::new(fixture.orders(), failpoint.clone())), &failpoint);
        dying.result(order, 1, (result.uuid().as_u128(), "captured")).await;
        // Payment retries until it gets a response; without a retry, the order queries the result itself.
        if pass % 2 == 0 {
            fixture.pass(Duration::seconds(16)).await;
            let reply = shop.result(order, 1, (result.uuid().as_u128(), "captured")).await.expect(200).body;
            assert_eq!(reply["status"], "paid", "pass {pass}");
        }
        recovered(shop, fixture).await;
        assert_eq!(shop.status(order).await, two("paid", "paid"), "pass {pass}");
        assert_eq!(shop.fakes.catalog.hold(order, 1), Some("committed"), "pass {pass}");
    })
    .await;
}

#[tokio::test]
async fn a_cancel_of_a_paid_order_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, failpoint: Failpoint, fixture: &InDatabase| {
        let lamp = shop.fakes.catalog.offer(1999, 5);
        let (order, payment) = begun(shop, lamp).await;
        let result = shop.fakes.payments.resolve(order, payment, PaymentOutcome::Captured);
        shop.result(order, 1, (result.uuid().as_u128(), "captured")).await.expect(200);
        let dying = shop.again(Arc::new(CrashingStore::new(fixture.orders(), failpoint.clone())), &failpoint);
        let cancelled = dying.cancel(order).key("c").await.status == 200;
        if cancelled {
            dying.service.continue_sagas().await.ok();
        }
        recovered(shop, fixture).await;
        shop.cancel(order).key("c").await.expect(200);
        recovered(shop, fixture).await;
        assert_eq!(shop.status(order).await, two("cancelled", "refunded"), "pass {pass}");
        assert_eq!(shop.fakes.catalog.available(lamp), 5, "pass {pass}");
        assert_eq!(shop.fakes.payments.captures(order), 1, "pass {pass}");
    })
    .await;
}

#[tokio::test]
async fn an_expiry_and_the_late_capture_after_it_survive_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, failpoint: Failpoint, fixture: &InDatabase| {
        let lamp = shop.fakes.catalog.offer(1999, 5);
        let (order, payment) = begun(shop, lamp).await;
        shop.result(order, 1, (7, "failed")).await.expect(200);
        fixture.pass(Duration::seconds(901)).await;
        let dying = shop.again(Arc::new(CrashingStore::new(fixture.orders(), failpoint.clone())), &failpoint);
        dying.service.continue_sagas().await.ok();
        let result = shop.fakes.payments.resolve(order, payment, PaymentOutcome::Captured).uuid().as_u128();
        dying.result(order, 1, (result, "captured")).await;
        recovered(shop, fixture).await;
        shop.result(order, 1, (result, "captured")).await.expect(200);
        recovered(shop, fixture).await;
        assert_eq!(shop.status(order).await, two("paid", "paid"), "pass {pass}");
        assert_eq!(shop.fakes.catalog.available(lamp), 4, "pass {pass}");
    })
    .await;
}

/// Runs a scenario on a fresh database with a process that crashes at pass 1, then at pass 2 and so on, until the scenario
/// ends before the crash.
async fn crashing(scenario: impl AsyncFn(&Shop, i64, Failpoint, &InDatabase)) {
    for pass in 1..PASSES_MAX {
        let (shop, fixture) = shop().await;
        let failpoint = Failpoint::after(pass);
        scenario(&shop, pass, failpoint.clone(), &fixture).await;
        history_agrees(&shop, &fixture).await;
        if !failpoint.crashed() {
            assert!(pass > 4, "the scenario has almost no steps");
            return;
        }
    }
    panic!("the scenario never ends by itself");
}

/// Fills the tables with 20,000 orders in every stage, as after months.
const FILL: &str = "
    insert into orders (id, number, user_id, cart_id, cart_version, currency, total_minor, expires_at, created_at, status,
        payment_status, hold, declines, version, event_seq, updated_at, phase, saga, next_at, due_at)
    select gen_random_uuid(), 'B-' || n, gen_random_uuid(), gen_random_uuid(), n, 'EUR', 1999, now(), now(),
        case n % 10 when 0 then 'pending' else 'paid' end, case n % 10 when 0 then 'unpaid' else 'paid' end,
        1, 0, 3, 3, now(), case n % 10 when 0 then 'waiting' else 'done' end, '{}',
        case n % 10 when 0 then now() + interval '10 minutes' end, case n % 10 when 0 then now() + interval '10 minutes' end
    from generate_series(1, 20000) as n;
    insert into order_item (order_id, line, product_id, variant, name, quantity, currency, price_minor, total_minor, seller_id)
    select id, 1, gen_random_uuid(), '', 'Lamp', 1, 'EUR', 1999, 1999, gen_random_uuid() from orders where number like 'B-%';
    insert into order_event (order_id, seq, kind, data, at)
    select id, seq, 'order.placed', '{}', now() from orders, generate_series(1, 3) as seq where number like 'B-%';
    insert into inbox (consumer, event_id) select 'command', gen_random_uuid() from generate_series(1, 20000);
    insert into idempotency (scope, route, key, hash, state, answer)
    select 'u', 'r', n::text, '', 'done', '{}' from generate_series(1, 20000) as n;
    analyze";

/// The statements that every order goes through, and the types of their parameters.
const STATEMENTS: [(&str, &str); 8] = [
    (include_str!("../../sql/find_order.sql"), "uuid, text, uuid"),
    (
        include_str!("../../sql/change_order.sql"),
        "uuid, bigint, order_progress, saga_state, history_entry[], outbox_event[], dedup_record, text",
    ),
    (include_str!("../../sql/change_saga.sql"), "uuid, bigint, saga_state, dedup_record, text"),
    (include_str!("../../sql/postpone_due.sql"), "bigint"),
    (include_str!("../../sql/lease_due.sql"), "uuid, bigint, interval"),
    (include_str!("../../sql/release_lease.sql"), "uuid, uuid"),
    (include_str!("../../sql/page_of_user.sql"), "uuid, uuid, bigint, bigint"),
    (
        include_str!("../../sql/create_order.sql"),
        "uuid, order_head, order_progress, order_line[], saga_state, history_entry[], outbox_event[]",
    ),
];

#[tokio::test]
async fn no_statement_reads_a_filled_table_from_its_start() {
    let (_, fixture) = shop().await;
    let mut connection = fixture.db.acquire().await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut *connection).await.unwrap();
    sqlx::raw_sql("set plan_cache_mode = force_generic_plan").execute(&mut *connection).await.unwrap();
    for (number, (statement, types)) in STATEMENTS.iter().enumerate() {
        let prepare = format!("prepare s{number} ({types}) as {statement}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
        let nulls = vec!["null"; types.split(", ").count()].join(", ");
        let explain = format!("explain execute s{number} ({nulls})");
        let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
        let plan = lines.join("\n");
        for table in ["orders", "order_item", "order_event", "inbox", "idempotency"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{statement}\n{plan}");
        }
    }
}
