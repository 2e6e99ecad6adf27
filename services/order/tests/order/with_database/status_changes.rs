//! Tests of cancellations and of status changes by an admin.

use agora_order::domain::PaymentOutcome;
use serde_json::json;

use super::shop::{Shop, two};

#[tokio::test]
async fn or7_a_pending_order_is_cancelled_at_once_and_its_stock_freed() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 2).await;
    let cancelled = shop.cancel(order).await.expect(200).body;
    assert_eq!(cancelled["status"], "cancelled");
    shop.settle().await;
    assert_eq!(shop.fakes.catalog.available(lamp), 5);
    assert_eq!(shop.cancel(order).await.expect(409).body["code"], "INVALID_TRANSITION");
    assert_eq!(shop.store.events(order).await.last().unwrap().1, "order.cancelled");
}

#[tokio::test]
async fn a_cancel_with_a_key_and_its_rejection_are_idempotent() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 2).await;
    let first = shop.cancel(order).key("c").await.expect(200).body;
    shop.settle().await;
    assert_eq!(shop.cancel(order).key("c").await.expect(200).body, first);
    shop.cancel(order).key("d").await.expect(409);
    shop.cancel(order).key("d").await.expect(409);
}

#[tokio::test]
async fn a_paid_order_is_cancelled_refunded_and_its_stock_comes_back() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 2).await;
    shop.begin(order, 1).await.expect(200);
    shop.cancel(order).await.expect(409);
    let result = shop.fakes.payments.resolve(order, shop.payment(1), PaymentOutcome::Captured);
    shop.deliver(order, 1, (result, "captured")).await.expect(200);
    assert_eq!(shop.cancel(order).await.expect(200).body["paymentStatus"], "paid");
    shop.settle().await;
    assert_eq!(shop.status(order).await, two("cancelled", "refunded"));
    assert_eq!(shop.fakes.catalog.available(lamp), 5);
    assert_eq!(shop.fakes.payments.outcome(shop.payment(1)), Some(PaymentOutcome::Refunded));
}

#[tokio::test]
async fn or6_an_admin_can_only_request_allowed_transitions() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 1).await;
    shop.advance(order, "processing").await.expect(409);
    shop.advance(order, "paid").await.expect(409);
    shop.begin(order, 1).await.expect(200);
    shop.result(order, 1, (2, "captured")).await.expect(200);
    for status in ["shipped", "completed", "pending", "refunded", "banana", ""] {
        let refused = shop.advance(order, status).await.expect(409);
        assert_eq!(refused.body["code"], "INVALID_TRANSITION", "{status}");
    }
    for status in ["processing", "shipped", "completed"] {
        assert_eq!(shop.advance(order, status).await.expect(200).body["status"], status);
    }
    shop.cancel(order).await.expect(409);
    shop.advance(order, "cancelled").await.expect(409);
    let path = format!("/api/v1/orders/{order}");
    shop.app().patch(&path, json!({ "state": "x" })).with(&shop.admin()).await.expect(422);
}
