//! Events of the order service.

use agora_catalog::consumer::handle;
use agora_events::{
    Envelope,
    order::{Order, OrderEvent},
};
use agora_outbox::Failure;
use agora_testkit::refused;
use agora_vocab::{Currency, Money, OrderId, UserId};
use serde_json::json;
use uuid::Uuid;

use crate::{
    fixture::fresh,
    shop::{Shop, order_id},
};

fn order(order_id: OrderId, hold: i32) -> Order {
    Order {
        order_id,
        number: "A-1000001".into(),
        user_id: UserId::new(Uuid::from_u128(2)),
        cart_id: None,
        hold,
        payment_id: None,
        status: String::new(),
        payment_status: String::new(),
        items: Vec::new(),
        total: Money::zero(Currency::EUR),
        charges: None,
    }
}

/// Defects of A and B (docs/DEFECTS.md): stock was never decremented; a working event consumer would have decremented it twice.
#[tokio::test]
async fn ca19_an_order_decrements_stock_once_by_command_event_or_both() {
    let shop = Shop::open().await;
    let id = shop.product("A", 10).await.id;
    let lines = || json!([{"productId": id, "quantity": 3}]);
    let (by_both, by_event) = (order_id(), order_id());
    shop.reserve(by_both, 1, lines()).await.expect(200);
    shop.command("/internal/v1/commit", json!({"orderId": by_both, "hold": 1})).await.expect(200);
    shop.reserve(by_event, 1, lines()).await.expect(200);
    for id in [by_both, by_event] {
        shop.deliver(OrderEvent::Paid(order(id, 1))).await;
        shop.deliver(OrderEvent::Paid(order(id, 1))).await;
    }
    assert_eq!(shop.stock(id).await, 4);

    shop.deliver(OrderEvent::Cancelled(order(by_both, 1))).await;
    shop.deliver(OrderEvent::Cancelled(order(by_both, 1))).await;
    assert_eq!(shop.stock(id).await, 7);

    // The units of the order that was paid are sold, not reserved: inventory cannot be set below reserved units.
    let none_left = shop.public.put(&format!("/api/v1/products/{id}/inventory"), json!({"quantity": 0}));
    none_left.with(&shop.admin).await.expect(200);
}

#[tokio::test]
async fn a_batch_of_events_has_the_effect_of_its_events_in_turn() {
    let shop = Shop::open().await;
    let id = shop.product("A", 20).await.id;
    let orders = [order_id(), order_id(), order_id(), order_id()];
    for order in &orders[..3] {
        shop.reserve(*order, 1, json!([{"productId": id, "quantity": 3}])).await.expect(200);
    }
    shop.command("/internal/v1/commit", json!({"orderId": orders[0], "hold": 1})).await.expect(200);
    let [by_command, by_event, cancelled, unknown] = orders.map(|id| order(id, 1));
    shop.deliver_all(&[
        OrderEvent::Placed(by_command.clone()),
        OrderEvent::Paid(by_command),
        OrderEvent::Paid(by_event),
        OrderEvent::Paid(cancelled.clone()),
        OrderEvent::Cancelled(cancelled),
        OrderEvent::Rejected(unknown),
    ])
    .await;
    assert_eq!(shop.stock(id).await, 14, "two orders of 3 units are sold, one is returned");
    refused(&shop.reserve(orders[3], 1, json!([{"productId": id, "quantity": 1}])).await, 409, "CANCELLED", &[]);
}

/// Defect of B (docs/DEFECTS.md): the consumer read other fields than the producer wrote, and reported no error.
#[tokio::test]
async fn a_malformed_event_is_dead_lettered_and_an_unknown_kind_is_skipped() {
    let shop = Shop::open().await;
    let envelope = |kind: &str| -> Envelope {
        let json = json!({
            "id": fresh(), "type": kind, "version": 1, "time": "2026-01-02T03:04:05Z", "key": "k", "seq": 1, "epoch": 0,
            "data": {"eventType": "order-placed"},
        });
        serde_json::from_str(&json.to_string()).unwrap()
    };
    let wrong = handle(shop.service.clone(), vec![envelope("order.paid")]).await;
    assert!(matches!(wrong, Err(Failure::Poison(_))), "{wrong:?}");
    handle(shop.service.clone(), vec![envelope("order.gift-wrapped")]).await.unwrap();
    shop.database.server.stop().await;
    let (kind, data) = Envelope::parts(&OrderEvent::Paid(order(order_id(), 1))).unwrap();
    let later = handle(shop.service.clone(), vec![Envelope { data, ..envelope(kind) }]).await;
    assert!(matches!(later, Err(Failure::Again(_))), "{later:?}");
}
