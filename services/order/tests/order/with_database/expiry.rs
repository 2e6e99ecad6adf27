//! Tests of the end of the payment window.

use agora_order::{domain::PaymentOutcome, ports::OrderReads as _};
use agora_vocab::Quantity;
use serde_json::json;
use time::Duration;

use super::shop::{Shop, id, items, two};
use crate::fakes::Failpoint;

#[tokio::test]
async fn an_unpaid_order_expires_but_not_during_a_payment() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 5);
    let (unpaid, paying) = (shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await);
    shop.begin(paying, 1).await.expect(200);
    shop.fakes.payments.resolve(paying, shop.payment(1), PaymentOutcome::Captured);
    shop.store.pass(Duration::seconds(850)).await;
    shop.settle().await;
    assert_eq!(shop.status(unpaid).await, two("pending", "unpaid"));
    assert_eq!(shop.status(paying).await, two("paid", "paid"), "the saga queried the payment");
    shop.store.pass(Duration::seconds(50)).await;
    shop.settle().await;
    assert_eq!(shop.status(unpaid).await, two("expired", "unpaid"));
    assert_eq!(shop.fakes.catalog.available(lamp), 4);
    assert_eq!(shop.store.events(unpaid).await.last().unwrap().1, "order.expired");
}

#[tokio::test]
async fn an_order_with_its_own_payment_is_voided_before_it_expires() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    let mut body = items(lamp, 1);
    body["payment"] = json!({ "method": "card", "token": "tok_slow" });
    let order = id(&shop.order("k", body).await.expect(201).body);
    shop.store.pass(Duration::seconds(901)).await;
    shop.settle().await;
    assert_eq!(shop.status(order).await, two("expired", "failed"));
    let state = shop.store.orders.load(order).await.unwrap().unwrap().state;
    assert_eq!(state.saga.own.and_then(|own| own.token), None, "a token does not outlive its payment");
}

#[tokio::test]
async fn an_order_still_created_when_its_window_ends_is_cancelled_with_its_checkout() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 2);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    // Checkout and quote pass; the reservation crashes.
    let away = shop.cut_off(&Failpoint::after(4));
    let made = away.order("k", json!({})).await.expect(201).body;
    assert_eq!(made["status"], "created");
    shop.store.pass(Duration::seconds(901)).await;
    shop.settle().await;
    assert_eq!(shop.status(id(&made)).await, two("cancelled", "unpaid"));
    assert_eq!(shop.fakes.carts.lines(shop.ada), 1);
    assert_eq!(shop.fakes.catalog.hold(id(&made), 1), Some("tombstone"), "a late hold must not succeed");
}
