//! Tests of the event consumer and the background worker.

use agora_events::{Envelope, Event, catalog, payment};
use agora_order::worker;
use agora_outbox::Failure;
use agora_testkit::message_id;
use agora_vocab::{CommandId, Currency, Money, OrderId, RefundId};
use serde_json::{json, value::to_raw_value};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::shop::{Shop, id, items, two};

pub fn envelope<E: Event>(n: u64, event: &E) -> Envelope {
    agora_testkit::envelope(message_id(n), "key", event)
}

fn paid(shop: &Shop, order: OrderId, result: u32) -> payment::Payment {
    payment::Payment {
        payment_id: shop.payment(1),
        order_id: order,
        user_id: shop.ada,
        amount: Money { amount: 100, currency: Currency::EUR },
        result_id: CommandId::new(shop.number(result)),
    }
}

#[tokio::test]
async fn a_captured_event_sets_the_order_paid_once() {
    let shop = Shop::open().await;
    let order = shop.pending("k", shop.fakes.catalog.offer(100, 5), 1).await;
    shop.begin(order, 1).await.expect(200);
    let captured = payment::PaymentEvent::Captured(paid(&shop, order, 2));
    for n in 0..2 {
        shop.consume(vec![envelope(n, &captured)]).await.unwrap();
        shop.settle().await;
    }
    shop.result(order, 1, (2, "captured")).await.expect(200);
    assert_eq!(shop.status(order).await, two("paid", "paid"));
    assert_eq!(shop.store.events(order).await.len(), 3);
}

#[tokio::test]
async fn every_payment_event_is_handled() {
    use payment::PaymentEvent::{Captured, Declined, Failed, Refunded, Voided};
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 9);
    let refund = |order, part: i64, result: u32| {
        let euros = |amount| Money { amount, currency: Currency::EUR };
        Refunded(payment::Refund {
            refund_id: RefundId::new(Uuid::from_u128(8)),
            payment_id: shop.payment(1),
            order_id: order,
            user_id: shop.ada,
            amount: euros(part),
            refunded: euros(part),
            captured: euros(100),
            result_id: CommandId::new(shop.number(result)),
        })
    };
    for (n, make) in (0..).zip([Declined, Failed, Voided]) {
        let order = shop.pending(&format!("k{n}"), lamp, 1).await;
        shop.begin(order, 1).await.expect(200);
        let event = make(paid(&shop, order, 50 + n));
        shop.consume(vec![envelope(n.into(), &event)]).await.unwrap();
        assert_eq!(shop.status(order).await, two("pending", "failed"));
    }
    let order = shop.pending("refunded", lamp, 1).await;
    shop.begin(order, 1).await.expect(200);
    let steps = [
        (Captured(paid(&shop, order, 90)), two("paid", "paid")),
        (refund(order, 40, 1040), two("paid", "partially_refunded")),
        (refund(order, 100, 1100), two("refunded", "refunded")),
    ];
    for (n, (event, expected)) in (100..).zip(steps) {
        shop.consume(vec![envelope(n, &event)]).await.unwrap();
        shop.settle().await;
        assert_eq!(shop.status(order).await, expected);
    }
}

#[tokio::test]
async fn an_expired_reservation_is_reserved_again_before_commit() {
    let shop = Shop::open().await;
    let order = shop.pending("k", shop.fakes.catalog.offer(100, 5), 1).await;
    shop.fakes.catalog.expire(order, 1);
    let expired = catalog::ReservationExpired { order_id: order, hold: 1 };
    let expired = catalog::InventoryEvent::ReservationExpired(expired);
    shop.consume(vec![envelope(1, &expired)]).await.unwrap();
    shop.begin(order, 1).await.expect(200);
    shop.result(order, 1, (2, "captured")).await.expect(200);
    assert_eq!(shop.status(order).await, two("paid", "paid"));
    assert_eq!(shop.fakes.catalog.hold(order, 2), Some("committed"));
}

#[tokio::test]
async fn unknown_events_are_skipped_and_malformed_ones_are_poison() {
    let shop = Shop::open().await;
    let unknown = payment::PaymentEvent::Captured(paid(&shop, OrderId::new(Uuid::from_u128(404)), 2));
    let future = Envelope { kind: "payment.teleported".into(), ..envelope(1, &unknown) };
    let malformed = Envelope { data: to_raw_value(&json!({ "paymentId": 7 })).unwrap(), ..envelope(2, &unknown) };
    shop.consume(vec![future]).await.unwrap();
    assert!(matches!(shop.consume(vec![malformed]).await, Err(Failure::Poison(_))));
    assert!(matches!(shop.consume(vec![envelope(3, &unknown)]).await, Err(Failure::Poison(_))));
}

#[tokio::test]
async fn the_worker_continues_sagas_and_stops_at_shutdown() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = id(&shop.order("k", items(lamp, 2)).await.expect(201).body);
    let shutdown = CancellationToken::new();
    let working = worker::run(shop.service.clone(), shutdown.clone());
    let shopping = async {
        shop.cancel(order).await.expect(200);
        shop.fakes.catalog.until_available(lamp, 5).await;
        shutdown.cancel();
    };
    let (worked, ()) = tokio::join!(working, shopping);
    worked.unwrap();
    assert_eq!(shop.status(order).await, two("cancelled", "unpaid"));
}
