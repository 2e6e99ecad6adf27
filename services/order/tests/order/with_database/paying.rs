//! Tests of payments and of their results, early, late and repeated.

use agora_order::domain::PaymentOutcome;
use agora_vocab::{OrderId, UserId};
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use super::shop::{Shop, two};

#[tokio::test]
async fn pa9_begin_payment_and_its_result_make_the_order_paid() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let order = shop.pending("k", lamp, 2).await;

    let due = shop.begin(order, 1).await.expect(200).body;
    assert_eq!(due, json!({ "amount": { "amount": 3998, "currency": "EUR" } }));
    assert_eq!(shop.status(order).await, two("pending", "processing"));
    let state = shop.result(order, 1, (2, "captured")).await.expect(200).body;

    assert_eq!(state, json!({ "status": "paid", "paymentStatus": "paid" }));
    assert_eq!(shop.fakes.catalog.hold(order, 1), Some("committed"));
    assert_eq!(shop.store.events(order).await.last().unwrap(), &(3, "order.paid".to_owned()));
    let again = shop.result(order, 1, (2, "captured")).await.expect(200).body;
    assert_eq!(again, state, "a retry returns the same response");
    assert_eq!(shop.store.events(order).await.len(), 3);
}

#[tokio::test]
async fn or16_the_order_names_the_payment_that_was_captured() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let order = shop.pending("k", lamp, 1).await;
    let payment = async || shop.get(&format!("/api/v1/orders/{order}")).await.expect(200).body["paymentId"].clone();
    assert_eq!(payment().await, Value::Null);
    for (n, outcome) in [(1, "declined"), (2, "captured")] {
        shop.begin(order, n).await.expect(200);
        assert_eq!(payment().await, json!(shop.payment(n)), "the payment under way");
        shop.result(order, n, (n + 10, outcome)).await.expect(200);
    }
    let second = shop.fakes.payments.resolve(order, shop.payment(3), PaymentOutcome::Captured);
    shop.deliver(order, 3, (second, "captured")).await.expect(200);
    shop.settle().await;
    assert_eq!(payment().await, json!(shop.payment(2)), "a second capture replaces nothing");
    assert_eq!(shop.fakes.payments.outcome(shop.payment(3)), Some(PaymentOutcome::Refunded));
    assert_eq!(shop.status(order).await, two("paid", "paid"));
}

#[tokio::test]
async fn begin_payment_rejects_other_users_amounts_payments_and_statuses() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let order = shop.pending("k", lamp, 1).await;
    let path = format!("/internal/v1/orders/{order}/begin-payment");
    let begin = |user: UserId, amount: Value| {
        let mut body = json!({ "paymentId": shop.payment(1), "userId": user });
        body["amount"] = amount;
        shop.command(&path, body)
    };
    let eur = |amount: i64| json!({ "amount": amount, "currency": "EUR" });

    begin(UserId::new(Uuid::from_u128(9)), eur(1999)).await.expect(404);
    assert_eq!(begin(shop.ada, eur(1998)).await.expect(422).body["code"], "AMOUNT_MISMATCH");
    begin(shop.ada, eur(1999)).await.expect(200);
    begin(shop.ada, eur(1999)).await.expect(200);
    let other = shop.begin(order, 2).await.expect(409);
    assert_eq!((&other.body["code"], other.header("retry-after")), (&json!("PAYMENT_IN_PROGRESS"), "1"));
    shop.result(order, 1, (3, "failed")).await.expect(200);
    assert_eq!(shop.status(order).await, two("pending", "failed"));
    shop.store.pass(Duration::seconds(900)).await;
    assert_eq!(shop.begin(order, 2).await.expect(409).body["code"], "INVALID_TRANSITION");
    let unknown = OrderId::new(Uuid::from_u128(5));
    shop.begin(unknown, 1).await.expect(404);
    shop.result(unknown, 1, (3, "captured")).await.expect(404);
    shop.result(order, 1, (4, "pending")).await.expect(422);
}

#[tokio::test]
async fn a_full_refund_sets_refunded_and_releases_no_stock() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 2).await;
    shop.begin(order, 1).await.expect(200);
    shop.result(order, 1, (2, "captured")).await.expect(200);
    shop.result(order, 1, (3, "partially_refunded")).await.expect(200);
    assert_eq!(shop.status(order).await, two("paid", "partially_refunded"));
    let reply = shop.result(order, 1, (4, "refunded")).await.expect(200).body;
    assert_eq!(reply, json!({ "status": "refunded", "paymentStatus": "refunded" }));
    shop.settle().await;
    assert_eq!(shop.fakes.catalog.available(lamp), 3);
}

#[tokio::test]
async fn after_three_declines_the_order_is_cancelled() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 2).await;
    for n in 1..=3 {
        assert_eq!(shop.status(order).await.0, "pending");
        shop.begin(order, n).await.expect(200);
        shop.result(order, n, (100 + n, "declined")).await.expect(200);
    }
    assert_eq!(shop.status(order).await, two("cancelled", "failed"));
    assert_eq!(shop.fakes.catalog.available(lamp), 5);
}

#[tokio::test]
async fn a_capture_after_expiry_reserves_again_or_is_refunded() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    let (first, second) = (shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await);
    for (order, n) in [(first, 1), (second, 2)] {
        shop.begin(order, n).await.expect(200);
        shop.result(order, n, (10 + n, "failed")).await.expect(200);
    }
    shop.store.pass(Duration::seconds(900)).await;
    shop.settle().await;
    assert_eq!(shop.status(first).await, two("expired", "failed"));
    shop.pending("c", lamp, 1).await;

    let late = |order, n: u32| {
        let result = shop.fakes.payments.resolve(order, shop.payment(n), PaymentOutcome::Captured);
        shop.deliver(order, n, (result, "captured"))
    };
    late(first, 1).await.expect(200);
    late(second, 2).await.expect(200);
    shop.settle().await;

    assert_eq!(shop.status(first).await, two("paid", "paid"));
    assert_eq!(shop.fakes.catalog.hold(first, 2), Some("committed"));
    assert_eq!(shop.status(second).await, two("expired", "refunded"));
    assert_eq!(shop.fakes.catalog.available(lamp), 0);
}

#[tokio::test]
async fn a_capture_with_an_expired_reservation_reserves_again_or_is_refunded() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    let (first, second) = (shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await);
    for (order, n) in [(first, 1), (second, 2)] {
        shop.begin(order, n).await.expect(200);
        shop.fakes.catalog.expire(order, 1);
    }
    shop.pending("c", lamp, 1).await;
    for (order, n) in [(first, 1), (second, 2)] {
        let result = shop.fakes.payments.resolve(order, shop.payment(n), PaymentOutcome::Captured);
        shop.deliver(order, n, (result, "captured")).await.expect(200);
    }
    shop.settle().await;
    assert_eq!(shop.status(first).await, two("paid", "paid"));
    assert_eq!(shop.status(second).await, two("cancelled", "refunded"));
}

#[tokio::test]
async fn a_second_capture_for_a_paid_or_cancelled_order_is_refunded() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    let (paid, cancelled) = (shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await);
    for (order, n) in [(paid, 1), (cancelled, 2)] {
        shop.begin(order, n).await.expect(200);
        shop.result(order, n, (10 + n, "voided")).await.expect(200);
    }
    shop.begin(paid, 3).await.expect(200);
    shop.result(paid, 3, (13, "captured")).await.expect(200);
    shop.cancel(cancelled).await.expect(200);
    for (order, n) in [(paid, 1), (cancelled, 2)] {
        let result = shop.fakes.payments.resolve(order, shop.payment(n), PaymentOutcome::Captured);
        shop.deliver(order, n, (result, "captured")).await.expect(200);
    }
    shop.settle().await;
    assert_eq!(shop.fakes.payments.outcome(shop.payment(1)), Some(PaymentOutcome::Refunded));
    assert_eq!(shop.fakes.payments.outcome(shop.payment(2)), Some(PaymentOutcome::Refunded));
    assert_eq!(shop.status(paid).await, two("paid", "paid"));
    assert_eq!(shop.status(cancelled).await, two("cancelled", "refunded"));
}
