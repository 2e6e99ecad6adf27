//! Regression tests for defects of the two predecessor code bases; docs/DEFECTS.md lists them.

use agora_order::domain::rebuild;
use agora_vocab::{ProductId, Quantity, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::shop::{Shop, id, items, two};

/// Creates `count` orders and returns their bodies.
async fn orders(shop: &Shop, product: ProductId, count: usize) -> Vec<Value> {
    let mut made = Vec::new();
    for n in 0..count {
        made.push(shop.order(&format!("k{n}"), items(product, 1)).await.expect(201).body);
    }
    made
}

#[tokio::test]
async fn one_customers_order_emptied_anothers_cart() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 10);
    let eve = UserId::new(Uuid::from_u128(66));
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    shop.fakes.carts.add(eve, lamp, Quantity::ONE);
    shop.order("k", json!({})).await.expect(201);
    assert_eq!((shop.fakes.carts.lines(shop.ada), shop.fakes.carts.lines(eve)), (0, 1));
    shop.order("k2", json!({})).await.expect(422);
}

#[tokio::test]
async fn four_parallel_posts_made_four_orders_of_one_cart() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 10);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let posts = ["a", "b", "c", "d"].map(|key| shop.order(key, json!({})).into_future());
    let made = futures::future::join_all(posts).await.iter().filter(|answer| answer.status == 201).count();
    assert_eq!((made, shop.store.order_ids().await.len()), (1, 1));
}

#[tokio::test]
async fn order_numbers_were_random_and_collided() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    let numbers: Vec<String> = orders(&shop, lamp, 50).await.iter().map(|order| order["number"].to_string()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[tokio::test]
async fn stock_was_never_lowered() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 10);
    shop.order("k", items(lamp, 3)).await.expect(201);
    assert_eq!(shop.fakes.catalog.available(lamp), 7);
}

#[tokio::test]
async fn repeated_products_lost_decrements() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 10);
    let line = |quantity: u32| json!({ "productId": lamp, "quantity": quantity });
    let order = shop.order("k", json!({ "items": [line(3), line(4)] })).await.expect(201).body;
    assert_eq!(shop.fakes.catalog.available(lamp), 3);
    assert_eq!((order["items"].as_array().unwrap().len(), &order["items"][0]["quantity"]), (1, &json!(7)));
    shop.order("k2", json!({ "items": [line(2), line(2)] })).await.expect(409);
    assert_eq!(shop.fakes.catalog.available(lamp), 3);
}

#[tokio::test]
async fn one_item_that_failed_left_the_others_stock_lowered_and_no_order() {
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(100, 10), shop.fakes.catalog.offer(100, 1));
    let body = json!({ "items": [{ "productId": lamp, "quantity": 5 }, { "productId": chair, "quantity": 2 }] });
    shop.order("k", body).await.expect(409);
    assert_eq!((shop.fakes.catalog.available(lamp), shop.fakes.catalog.available(chair)), (10, 1));
}

#[tokio::test]
async fn any_user_could_set_any_status_text() {
    let shop = Shop::open().await;
    let order = shop.pending("k", shop.fakes.catalog.offer(100, 10), 1).await;
    let path = format!("/api/v1/orders/{order}");
    shop.app().patch(&path, json!({ "status": "banana" })).await.expect(401);
    shop.app().patch(&path, json!({ "status": "banana" })).with(&shop.token(shop.ada)).await.expect(403);
    shop.advance(order, "banana").await.expect(409);
    assert_eq!(shop.status(order).await, two("pending", "unpaid"));
}

#[tokio::test]
async fn an_order_was_looked_up_by_the_users_id() {
    let shop = Shop::open().await;
    let made = orders(&shop, shop.fakes.catalog.offer(100, 10), 2).await;
    for order in &made {
        let read = shop.get(&format!("/api/v1/orders/{}", id(order))).await.expect(200).body;
        assert_eq!(read, *order);
    }
    shop.get(&format!("/api/v1/orders/{}", shop.ada)).await.expect(404);
}

#[tokio::test]
async fn a_header_named_the_user_without_verification() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 10);
    let order = shop.pending("k", lamp, 1).await;
    let ada = shop.ada.to_string();
    let path = format!("/api/v1/orders/{order}");
    shop.app().get(&path).header("x-user-id", &ada).await.expect(401);
    let eve = shop.token(UserId::new(Uuid::from_u128(66)));
    shop.app().get(&path).header("x-user-id", &ada).with(&eve).await.expect(404);
}

#[tokio::test]
async fn empty_orders_and_half_units_passed_and_there_was_no_total_and_no_status() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    shop.order("a", json!({ "items": [] })).await.expect(422);
    shop.order("b", json!({ "items": [{ "productId": lamp, "quantity": 1.5 }] })).await.expect(422);
    let order = shop.order("c", items(lamp, 2)).await.expect(201).body;
    assert_eq!((&order["total"]["amount"], &order["status"]), (&json!(3998), &json!("pending")));
}

#[tokio::test]
async fn or5_every_order_was_listed_to_every_user_without_paging() {
    let shop = Shop::open().await;
    orders(&shop, shop.fakes.catalog.offer(100, 50), 25).await;
    shop.app().get("/api/v1/orders").await.expect(401);
    shop.app().get("/api/v1/admin/orders").with(&shop.token(shop.ada)).await.expect(403);
    let first = shop.app().get("/api/v1/admin/orders").with(&shop.admin()).await.expect(200).body;
    assert_eq!(first["items"].as_array().unwrap().len(), 20);
    assert!(first["nextCursor"].is_string());
}

#[tokio::test]
async fn events_were_unordered_per_order_and_could_be_lost() {
    let shop = Shop::open().await;
    let order = shop.pending("k", shop.fakes.catalog.offer(100, 10), 1).await;
    shop.cancel(order).await.expect(200);
    let events = shop.store.events(order).await;
    assert_eq!(events.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2, 3]);
    let rebuilt = rebuild(shop.store.history(order).await).unwrap();
    assert_eq!(rebuilt.progress.status.as_str(), "cancelled");
}
