//! Events of the catalog and the order service.

use agora_cart::consumer::handle;
use agora_events::{
    Envelope,
    catalog::{ProductDeleted, ProductEvent},
    order::{Order, OrderEvent},
};
use agora_outbox::Failure;
use agora_testkit::refused;
use agora_vocab::OrderId;
use serde_json::{json, value::to_raw_value};

use crate::{
    fixture::{eur, fresh, order, product, user},
    shop::{Shop, envelope, product_event},
};

pub fn order_event(order_id: OrderId, from_cart: bool) -> Order {
    let cart_id = from_cart.then(|| agora_vocab::CartId::new(fresh()));
    Order {
        order_id,
        number: "A-1000001".into(),
        user_id: user(),
        cart_id,
        hold: 1,
        payment_id: None,
        status: String::new(),
        payment_status: String::new(),
        items: Vec::new(),
        total: eur(0),
        charges: None,
    }
}

#[tokio::test]
async fn order_events_end_checkouts_in_any_order_of_arrival() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    let (placed, rejected, without_cart) = (order(), order(), order());
    for id in [placed, rejected] {
        shop.add(chair, 1).await.expect(201);
        shop.begin_checkout(id).await.expect(200);
    }
    shop.deliver(&OrderEvent::Placed(order_event(placed, true))).await;
    shop.deliver(&OrderEvent::Cancelled(order_event(placed, true))).await;
    assert_eq!(shop.cancel_checkout(placed).await.expect(200).body["state"], "done");
    assert_eq!(shop.units().await, [0_u32; 0]);

    shop.deliver(&OrderEvent::Rejected(order_event(rejected, true))).await;
    shop.deliver(&OrderEvent::Placed(order_event(rejected, true))).await;
    assert_eq!(shop.units().await, [1]);
    shop.deliver(&OrderEvent::Rejected(order_event(without_cart, false))).await;
    shop.begin_checkout(without_cart).await.expect(200);
}

#[tokio::test]
async fn the_events_of_a_batch_take_effect_in_their_order() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    let (placed, cancelled) = (order(), order());
    for id in [placed, cancelled] {
        shop.add(chair, 1).await.expect(201);
        shop.begin_checkout(id).await.expect(200);
    }
    let batch = vec![
        envelope(&ProductEvent::Updated(product_event(chair, 3, eur(3)))),
        envelope(&OrderEvent::Placed(order_event(placed, true))),
        envelope(&OrderEvent::Cancelled(order_event(placed, true))),
        envelope(&OrderEvent::Cancelled(order_event(cancelled, true))),
        envelope(&OrderEvent::Placed(order_event(cancelled, true))),
        envelope(&ProductEvent::Updated(product_event(chair, 2, eur(2)))),
    ];
    for _ in 0..2 {
        handle(shop.service.clone(), batch.clone()).await.unwrap();
        assert_eq!(shop.cancel_checkout(placed).await.expect(200).body["state"], "done");
        assert_eq!(shop.cancel_checkout(cancelled).await.expect(200).body["state"], "returned");
        assert_eq!(shop.units().await, [1]);
    }
    shop.catalog.stop();
    assert_eq!(shop.cart().await.items[0].name, "Chair 3");
}

#[tokio::test]
async fn ct9_a_deleted_product_leaves_the_cart_and_is_listed_as_removed_until_the_next_change() {
    let shop = Shop::open().await;
    let (chair, table) = (shop.list_product(9), shop.list_product(9));
    shop.add(chair, 1).await.expect(201);
    shop.add(table, 2).await.expect(201);
    shop.deliver(&ProductEvent::Deleted(ProductDeleted { product_id: chair, version: 2 })).await;
    assert_eq!(shop.units().await, [2]);
    for _ in 0..2 {
        let cart = shop.cart().await;
        let removed: Vec<_> = cart.removed.iter().map(|line| (line.product_id, line.reason.as_str())).collect();
        assert_eq!(removed, [(chair, "deleted")], "once, although the event came twice, and until the shopper acts");
        assert_eq!((cart.removed[0].name.as_str(), cart.total), ("Chair 1", eur(2 * 1999)));
    }
    // A quote that was read before the deletion is stale.
    refused(&shop.add(chair, 1).await, 422, "UNKNOWN_PRODUCT", &["productId"]);
    shop.deliver(&ProductEvent::Updated(product_event(chair, 1, eur(1)))).await;
    refused(&shop.add(chair, 1).await, 422, "UNKNOWN_PRODUCT", &["productId"]);
    shop.add(table, 1).await.expect(201);
    assert_eq!(shop.cart().await.removed, [], "the shopper has seen it");
}

#[tokio::test]
async fn a_malformed_event_is_dead_lettered_and_an_unavailable_database_is_retried() {
    let shop = Shop::open().await;
    let good = envelope(&ProductEvent::Updated(product_event(product(), 1, eur(1))));
    let wrong = Envelope { data: to_raw_value(&json!({"type": "product-added"})).unwrap(), ..good.clone() };
    let put_aside = handle(shop.service.clone(), vec![good.clone(), wrong.clone()]).await;
    assert!(matches!(put_aside, Err(Failure::Poison(_))), "{put_aside:?}");
    handle(shop.service.clone(), vec![Envelope { kind: "product.painted".into(), ..wrong }]).await.unwrap();
    shop.database.server.stop().await;
    let later = handle(shop.service.clone(), vec![good]).await;
    assert!(matches!(later, Err(Failure::Again(_))), "{later:?}");
}
