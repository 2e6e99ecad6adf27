//! The public routes: changes of a cart and their rejections.

use agora_api::cart as api;
use agora_testkit::{internal_token, refused};
use agora_vocab::{Money, Role};
use serde_json::{Value, json};

use crate::{
    fixture::{eur, fresh, order, product, user},
    shop::{SECRET, Shop, line_at},
};

#[tokio::test]
async fn a_shopper_fills_changes_and_empties_a_cart() {
    let shop = Shop::open().await;
    let (chair, table) = (shop.list_product(9), shop.list_product(9));
    let empty = shop.cart().await;
    assert_eq!((empty.items.len(), empty.total, empty.version), (0, eur(0), 0));

    let added = shop.add(chair, 2).await.expect(201);
    assert_eq!(added.header("location"), "/api/v1/cart");
    assert_eq!(added.body["id"], json!(empty.id));
    shop.add(table, 1).await.expect(201);
    let cart = shop.cart().await;
    assert_eq!(cart.total, eur(3 * 1999));
    let item = &cart.items[0];
    assert_eq!((item.product_id, item.quantity, item.price), (chair, 2, eur(1999)));
    assert_eq!((item.name.as_str(), item.available, item.price_changed), ("Chair 1", true, false));
    assert_eq!(item.image_url.as_deref(), Some("https://example.com/chair.png"));

    let line = line_at(&added.body["items"][0]["id"]);
    let changed = shop.public.patch(&line, json!({"quantity": 5})).with(&shop.token).await.expect(200);
    assert_eq!(changed.parse::<api::Cart>(), shop.cart().await);
    assert_eq!(shop.units().await, [5, 1]);
    shop.public.delete(&line).with(&shop.token).await.expect(204);
    assert_eq!(shop.units().await, [1]);
    assert_eq!(shop.public.delete(&line).with(&shop.token).await.status, 404);
    assert_eq!(shop.cart().await.version, 4);
}

#[tokio::test]
async fn every_route_needs_a_token() {
    let shop = Shop::open().await;
    let line = format!("/api/v1/cart/items/{}", fresh());
    for request in [
        shop.public.get("/api/v1/cart"),
        shop.public.post("/api/v1/cart/items", json!({"productId": fresh(), "quantity": 1})),
        shop.public.patch(&line, json!({"quantity": 1})),
        shop.public.delete(&line),
    ] {
        assert_eq!(request.clone().await.expect(401).body["error"], "No token provided");
        assert_eq!(request.with("nonsense").await.expect(401).body["error"], "Invalid token");
    }
    for token in [internal_token(SECRET, "gateway", "cart", None), internal_token("other", "order", "cart", None)] {
        let take = shop.internal.post("/internal/v1/begin-checkout", json!({"orderId": fresh(), "userId": fresh()}));
        assert_eq!(take.internal(&token).header("x-command-id", &fresh().to_string()).await.status, 401);
    }
    let take = shop.internal.post("/internal/v1/begin-checkout", json!({"orderId": fresh(), "userId": fresh()}));
    refused(&take.internal(&shop.order_token).await, 400, "INVALID_COMMAND_ID", &[]);
}

/// Defect of A (docs/DEFECTS.md): a quantity could be negative or above the stock when lines were merged, and a change was not checked at all.
#[tokio::test]
async fn ct3_quantities_are_checked_when_added_merged_and_changed() {
    let shop = Shop::open().await;
    let chair = shop.list_product(5);
    let line = shop.add(chair, 3).await.expect(201).body["items"][0]["id"].clone();
    let line = line_at(&line);
    let change = |body: Value| shop.public.patch(&line, body).with(&shop.token);
    for quantity in [json!(0), json!(-5), json!(10_000), json!(1.5), json!("2"), json!(null)] {
        let body = json!({"productId": chair, "quantity": quantity});
        let add = shop.public.post("/api/v1/cart/items", body).with(&shop.token);
        refused(&add.await, 422, "VALIDATION_FAILED", &["quantity"]);
        refused(&change(json!({"quantity": quantity})).await, 422, "VALIDATION_FAILED", &["quantity"]);
    }
    for answer in [shop.add(chair, 3).await, change(json!({"quantity": 6})).await] {
        refused(&answer, 409, "INSUFFICIENT_QUANTITY", &["quantity"]);
        let seen = [&answer.body["productId"], &answer.body["requested"], &answer.body["available"]];
        assert_eq!(seen, [&json!(chair), &json!(6), &json!(5)]);
    }
    refused(&change(json!({"qty": 1})).await, 422, "VALIDATION_FAILED", &["qty"]);
    refused(&change(json!({})).await, 422, "VALIDATION_FAILED", &["quantity"]);
    assert_eq!(shop.units().await, [3]);
    assert_eq!(shop.cart().await.version, 1);
}

/// Defect of A (docs/DEFECTS.md): every rejected request returned 500.
#[tokio::test]
async fn rejections_have_specific_codes() {
    let shop = Shop::open().await;
    let chair = shop.list_product(5);
    let post = |body: Value| shop.public.post("/api/v1/cart/items", body).with(&shop.token);
    refused(&shop.add(product(), 1).await, 422, "UNKNOWN_PRODUCT", &["productId"]);
    let long = json!({"productId": chair, "quantity": 0, "variant": "x".repeat(65)});
    refused(&post(long).await, 422, "VALIDATION_FAILED", &["quantity", "variant"]);
    let bad = json!({"productId": chair, "quantity": 1, "variant": "a\u{0}"});
    refused(&post(bad).await, 422, "VALIDATION_FAILED", &["variant"]);
    refused(&post(json!({"productId": "7", "quantity": 1})).await, 422, "VALIDATION_FAILED", &["productId"]);
    assert_eq!(post(json!({})).raw("{").await.status, 400);
    assert_eq!(post(json!({})).header("content-type", "text/plain").await.status, 415);
    assert_eq!(shop.public.delete("/api/v1/cart/items/7").with(&shop.token).await.status, 400);
    assert_eq!(shop.public.delete("/api/v1/cart").with(&shop.token).await.status, 405);

    let yen = product();
    shop.catalog.list_product(yen, 1, Money { amount: 5, currency: "JPY".parse().unwrap() }, 9);
    shop.add(chair, 1).await.expect(201);
    refused(&shop.add(yen, 1).await, 422, "CURRENCY_MISMATCH", &["productId"]);
    for _ in 1..100 {
        shop.add(shop.list_product(1), 1).await.expect(201);
    }
    refused(&shop.add(shop.list_product(1), 1).await, 422, "CART_FULL", &[]);
    assert_eq!(shop.units().await.len(), 100);
}

#[tokio::test]
async fn the_line_of_another_user_is_not_found() {
    let shop = Shop::open().await;
    let line = shop.add(shop.list_product(5), 3).await.expect(201).body["items"][0]["id"].clone();
    let thief = shop.keys.token(user(), &[Role::Customer, Role::Admin]);
    let line = line_at(&line);
    assert_eq!(shop.public.patch(&line, json!({"quantity": 1})).with(&thief).await.status, 404);
    assert_eq!(shop.public.delete(&line).with(&thief).await.status, 404);
    assert_eq!(shop.units().await, [3]);
}

#[tokio::test]
async fn a_repeated_key_adds_once() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    let first = shop.add(chair, 2).key("k").await.expect(201);
    assert_eq!(shop.add(chair, 2).key("k").await.expect(201).body, first.body);
    refused(&shop.add(chair, 3).key("k").await, 422, "IDEMPOTENCY_KEY_REUSED", &[]);
    assert_eq!(shop.units().await, [2]);
}

#[tokio::test]
async fn an_unavailable_database_is_503_with_retry_after_and_without_internals() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    let line = shop.add(chair, 1).await.expect(201).body["items"][0]["id"].clone();
    let line = line_at(&line);
    shop.database.server.stop().await;
    for request in [
        shop.public.get("/api/v1/cart").with(&shop.token),
        shop.add(chair, 1),
        shop.public.patch(&line, json!({"quantity": 1})).with(&shop.token),
        shop.public.delete(&line).with(&shop.token),
        shop.begin_checkout(order()),
        shop.cancel_checkout(order()),
    ] {
        let answer = request.await;
        refused(&answer, 503, "UNAVAILABLE", &[]);
        assert!(!answer.header("retry-after").is_empty());
        let body = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert!(!body.contains("connection") && !body.contains("database"), "{body}");
    }
}

#[tokio::test]
async fn a_variant_that_the_product_does_not_have_is_refused() {
    let shop = Shop::open().await;
    let chair = shop.list_product(5);
    shop.catalog.list_variant(chair, "red", 2, None);
    let add = |variant: &str, quantity: i64| {
        let body = json!({"productId": chair, "quantity": quantity, "variant": variant});
        shop.public.post("/api/v1/cart/items", body).with(&shop.token)
    };
    refused(&add("purple", 1).await, 422, "UNKNOWN_VARIANT", &["variant"]);
    refused(&add("red", 3).await, 409, "INSUFFICIENT_QUANTITY", &["quantity"]);
    add(" red ", 2).await.expect(201);
    refused(&add("", 4).await, 409, "INSUFFICIENT_QUANTITY", &["quantity"]);
    add("", 3).await.expect(201);
    let cart = shop.cart().await;
    assert_eq!(
        cart.items.iter().map(|item| (item.variant.as_str(), item.available)).collect::<Vec<_>>(),
        [("red", true), ("", true)]
    );
    shop.catalog.list_variant(chair, "red", 1, None);
    assert!(!shop.cart().await.items[0].available, "one red unit is left");
}

#[tokio::test]
async fn ca16_a_variant_has_its_own_price_in_the_cart() {
    let shop = Shop::open().await;
    let chair = shop.list_product(5);
    let price = shop.catalog.price_of(chair);
    let own = Money { amount: price.amount + 250, ..price };
    shop.catalog.list_variant(chair, "red", 2, Some(own));
    for variant in ["red", ""] {
        let body = json!({"productId": chair, "quantity": 1, "variant": variant});
        shop.public.post("/api/v1/cart/items", body).with(&shop.token).await.expect(201);
    }
    let cart = shop.cart().await;
    assert_eq!(cart.items.iter().map(|item| item.price).collect::<Vec<_>>(), [own, price]);
    assert_eq!(cart.total.amount, own.amount + price.amount);
    assert!(cart.items.iter().all(|item| !item.price_changed));

    let dearer = Money { amount: own.amount + 1, ..own };
    shop.catalog.list_product(chair, 2, price, 5);
    shop.catalog.list_variant(chair, "red", 2, Some(dearer));
    let changed = &shop.cart().await.items[0];
    assert_eq!((changed.price, changed.price_changed), (dearer, true));
    let path = format!("/api/v1/cart/items/{}", changed.id);
    shop.public.patch(&path, json!({"quantity": 2})).with(&shop.token).await.expect(200);
    assert!(!shop.cart().await.items[0].price_changed, "the user has seen the price");

    shop.catalog.stop();
    let prices: Vec<_> = shop.cart().await.items.iter().map(|item| item.price).collect();
    assert_eq!(prices, [dearer, price], "the last known ones");
}

#[tokio::test]
async fn de17_the_router_serves_every_operation_of_the_document() {
    Shop::open().await.public.assert_serves_its_document().await;
}
