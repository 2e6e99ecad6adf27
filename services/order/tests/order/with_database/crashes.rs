//! Each scenario with a simulated crash at every call to the store and to another service, before and after its effect.

use agora_order::domain::PaymentOutcome;
use agora_vocab::{OrderId, PaymentId, ProductId, Quantity};
use serde_json::{Value, json};
use time::Duration;

use super::{
    shop::{Shop, items, two},
    store::TestStore,
};
use crate::fakes::Failpoint;

/// Upper bound for the passes of a scenario.
const PASSES_MAX: i64 = 200;

fn paid_at_once(token: &str) -> Value {
    json!({ "payment": { "method": "card", "token": token } })
}

/// Runs another process after the crash of the first, once all leases have expired.
pub async fn recovered(shop: &Shop) {
    shop.store.pass(Duration::seconds(16)).await;
    shop.settle().await;
    shop.store.pass(Duration::seconds(61)).await;
    shop.service.cancel_expired_leases().await.unwrap();
    shop.settle().await;
}

#[tokio::test]
async fn an_order_of_a_cart_paid_at_once_survives_a_crash_after_every_step() {
    let store = TestStore::new().await;
    for pass in 1..PASSES_MAX {
        for retried in [true, false] {
            let shop = Shop::on(store.clone());
            let lamp = shop.fakes.catalog.offer(1999, 10);
            shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
            let failpoint = Failpoint::after(pass);
            let dying = shop.crashing(&failpoint);
            let first = dying.order("k", paid_at_once("tok_ok")).await;
            if !failpoint.crashed() {
                assert_eq!(first.body["status"], "paid");
                return;
            }
            if retried {
                shop.store.pass(Duration::seconds(16)).await;
                let reply = shop.order("k", paid_at_once("tok_ok")).await.expect(201).body;
                assert_eq!(reply["status"], "paid", "pass {pass}");
            }
            recovered(&shop).await;
            let orders = shop.orders().await;
            let (lines, left) = (shop.fakes.carts.lines(shop.ada), shop.fakes.catalog.available(lamp));
            match orders.as_slice() {
                [] => assert_eq!((retried, lines, left), (false, 1, 10), "pass {pass}"),
                [order] => {
                    assert_eq!(order.progress.status.as_str(), "paid", "pass {pass}");
                    assert_eq!((lines, left, shop.fakes.payments.captures(order.id)), (0, 9, 1), "pass {pass}");
                }
                more => panic!("{} orders, pass {pass}", more.len()),
            }
            shop.assert_histories_agree().await;
        }
    }
    panic!("the scenario never ends by itself");
}

#[tokio::test]
async fn or19_a_shortage_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, failpoint: &Failpoint| {
        let lamp = shop.fakes.catalog.offer(1999, 1);
        shop.fakes.carts.add(shop.ada, lamp, Quantity::parse(2).unwrap());
        let dying = shop.crashing(failpoint);
        dying.order("k", json!({})).await;
        recovered(shop).await;
        assert_eq!(shop.fakes.carts.lines(shop.ada), 1, "pass {pass}");
        assert_eq!(shop.fakes.catalog.available(lamp), 1, "pass {pass}");
        let reply = shop.order("k", json!({})).await;
        assert_eq!((reply.status, &reply.body["code"]), (409, &json!("INSUFFICIENT_QUANTITY")), "pass {pass}");
    })
    .await;
}

#[tokio::test]
async fn a_declined_order_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, failpoint: &Failpoint| {
        let lamp = shop.fakes.catalog.offer(1999, 5);
        let mut body = items(lamp, 1);
        body["payment"] = paid_at_once("tok_declined")["payment"].take();
        let dying = shop.crashing(failpoint);
        dying.order("k", body.clone()).await;
        recovered(shop).await;
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
    (order, shop.payment(1))
}

#[tokio::test]
async fn a_captured_result_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, failpoint: &Failpoint| {
        let lamp = shop.fakes.catalog.offer(1999, 5);
        let (order, payment) = begun(shop, lamp).await;
        let result = shop.fakes.payments.resolve(order, payment, PaymentOutcome::Captured);
        let dying = shop.crashing(failpoint);
        dying.deliver(order, 1, (result, "captured")).await;
        // Payment retries until it gets a response; without a retry, the order queries the result itself.
        if pass % 2 == 0 {
            shop.store.pass(Duration::seconds(16)).await;
            let reply = shop.deliver(order, 1, (result, "captured")).await.expect(200).body;
            assert_eq!(reply["status"], "paid", "pass {pass}");
        }
        recovered(shop).await;
        assert_eq!(shop.status(order).await, two("paid", "paid"), "pass {pass}");
        assert_eq!(shop.fakes.catalog.hold(order, 1), Some("committed"), "pass {pass}");
    })
    .await;
}

#[tokio::test]
async fn a_cancel_of_a_paid_order_survives_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, failpoint: &Failpoint| {
        let lamp = shop.fakes.catalog.offer(1999, 5);
        let (order, payment) = begun(shop, lamp).await;
        let result = shop.fakes.payments.resolve(order, payment, PaymentOutcome::Captured);
        shop.deliver(order, 1, (result, "captured")).await.expect(200);
        let dying = shop.crashing(failpoint);
        let cancelled = dying.cancel(order).key("c").await.status == 200;
        if cancelled {
            dying.service.continue_sagas().await.ok();
        }
        recovered(shop).await;
        shop.cancel(order).key("c").await.expect(200);
        recovered(shop).await;
        assert_eq!(shop.status(order).await, two("cancelled", "refunded"), "pass {pass}");
        assert_eq!(shop.fakes.catalog.available(lamp), 5, "pass {pass}");
        assert_eq!(shop.fakes.payments.captures(order), 1, "pass {pass}");
    })
    .await;
}

#[tokio::test]
async fn an_expiry_and_the_late_capture_after_it_survive_a_crash_after_every_step() {
    crashing(async |shop: &Shop, pass: i64, failpoint: &Failpoint| {
        let lamp = shop.fakes.catalog.offer(1999, 5);
        let (order, payment) = begun(shop, lamp).await;
        shop.result(order, 1, (7, "failed")).await.expect(200);
        shop.store.pass(Duration::seconds(901)).await;
        let dying = shop.crashing(failpoint);
        dying.service.continue_sagas().await.ok();
        let result = shop.fakes.payments.resolve(order, payment, PaymentOutcome::Captured);
        dying.deliver(order, 1, (result, "captured")).await;
        recovered(shop).await;
        shop.deliver(order, 1, (result, "captured")).await.expect(200);
        recovered(shop).await;
        assert_eq!(shop.status(order).await, two("paid", "paid"), "pass {pass}");
        assert_eq!(shop.fakes.catalog.available(lamp), 4, "pass {pass}");
    })
    .await;
}

/// Runs a scenario with a process that crashes at pass 1, then with another user and a process that crashes at pass 2 and so
/// on, until the scenario ends before the crash.
pub async fn crashing(scenario: impl AsyncFn(&Shop, i64, &Failpoint)) {
    let store = TestStore::new().await;
    for pass in 1..PASSES_MAX {
        let (shop, failpoint) = (Shop::on(store.clone()), Failpoint::after(pass));
        scenario(&shop, pass, &failpoint).await;
        shop.assert_histories_agree().await;
        if !failpoint.crashed() {
            assert!(pass > 4, "the scenario has almost no steps");
            return;
        }
    }
    panic!("the scenario never ends by itself");
}
