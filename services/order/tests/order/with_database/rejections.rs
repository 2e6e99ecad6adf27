//! Tests of invalid, malformed and unauthorised requests.

use agora_vocab::UserId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    placing::address,
    shop::{Shop, items, two},
};

/// Status, code and fields of a rejection.
async fn refused(shop: &Shop, body: Value) -> (u16, String, Vec<String>) {
    let answer = shop.order(&Uuid::from_u128(rand(&body)).to_string(), body).await;
    let fields = answer.body["details"].as_array().cloned().unwrap_or_default();
    let fields = fields.iter().map(|detail| detail["field"].as_str().unwrap().to_owned()).collect();
    (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned(), fields)
}

/// A number derived from the body, for a unique key.
fn rand(body: &Value) -> u128 {
    body.to_string().bytes().fold(7, |sum: u128, byte| sum.wrapping_mul(31).wrapping_add(u128::from(byte)))
}

#[tokio::test]
async fn every_invalid_field_of_a_new_order_is_reported() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let one = json!([{ "productId": lamp, "quantity": 1 }]);
    let cases = [
        (json!({ "items": [] }), "items"),
        (json!({ "items": [{ "productId": lamp, "quantity": 0 }] }), "items[0].quantity"),
        (json!({ "items": [{ "productId": lamp, "quantity": -5 }] }), "items[0].quantity"),
        (json!({ "items": [{ "productId": lamp, "quantity": 1.5 }] }), "items[0].quantity"),
        (json!({ "items": [{ "productId": lamp, "quantity": 10_000 }] }), "items[0].quantity"),
        (json!({ "items": [{ "productId": "7", "quantity": 1 }] }), "items[0].productId"),
        (json!({ "items": [{ "productId": lamp, "quantity": 1, "price": 1 }] }), "items[0].price"),
        (json!({ "items": one, "total": 1 }), "total"),
        (json!({ "items": one, "userId": shop.ada }), "userId"),
        (
            json!({ "items": one, "shippingAddress": { "street": "", "city": "B", "country": "DE" } }),
            "shippingAddress.street",
        ),
        (json!({ "items": one, "shippingAddress": address(), "addressId": Uuid::nil() }), "addressId"),
        (json!({ "items": one, "addressId": Uuid::nil() }), "addressId"),
        (json!({ "items": one, "payment": { "method": "cash", "token": "t" } }), "payment.method"),
        (json!({ "items": one, "payment": { "method": "card", "token": "" } }), "payment.token"),
        (json!({ "items": one, "payment": { "method": "card", "token": "4242424242424242" } }), "payment.token"),
    ];
    for (body, field) in cases {
        let (status, _, fields) = refused(&shop, body.clone()).await;
        assert_eq!((status, fields), (422, vec![field.to_owned()]), "{body}");
    }
    assert_eq!(shop.fakes.catalog.available(lamp), 10, "nothing half done");
}

#[tokio::test]
async fn malformed_unkeyed_and_unauthenticated_requests_return_their_codes() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let token = shop.token(shop.ada);
    let post = || shop.app().post("/api/v1/orders", items(lamp, 1));
    post().key("k").await.expect(401);
    assert_eq!(post().with(&token).await.expect(400).body["code"], "IDEMPOTENCY_KEY_REQUIRED");
    post().with(&token).key(&"k".repeat(256)).await.expect(400);
    post().with(&token).key("k").raw("{").await.expect(400);
    post().with(&token).key("k").header("content-type", "text/plain").await.expect(415);
    post().with(&token).key("k").raw(" ".repeat(2 << 20)).await.expect(413);
    shop.get("/api/v1/orders/7").await.expect(400);
    shop.get("/api/v1/orders?limit=0").await.expect(422);
    shop.get("/api/v1/orders?limit=101").await.expect(422);
    shop.get("/api/v1/orders?limit=ten").await.expect(400);
    shop.get("/api/v1/orders?cursor=%25").await.expect(400);
    shop.get("/api/v1/orders?colour=red").await.expect(400);
    shop.app().put("/api/v1/orders", json!({})).with(&token).await.expect(405);
}

#[tokio::test]
async fn gw10_internal_routes_require_a_token_of_the_payment_service() {
    let shop = Shop::open().await;
    let order = shop.pending("k", shop.fakes.catalog.offer(1999, 1), 1).await;
    let path = format!("/internal/v1/orders/{order}/begin-payment");
    let body = json!({ "paymentId": shop.payment(1), "userId": shop.ada });
    shop.command(&path, body.clone()).internal("forged").await.expect(401);
    shop.app().post(&path, body).with(&shop.admin()).await.expect(404);
}

#[tokio::test]
async fn or4_another_users_order_is_not_found_on_every_route() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 100);
    let order = shop.pending("k", lamp, 1).await;
    let eve = shop.token(UserId::new(Uuid::from_u128(66)));
    let path = format!("/api/v1/orders/{order}");
    shop.app().get(&path).with(&eve).await.expect(404);
    shop.app().delete(&path).with(&eve).await.expect(404);
    shop.app().patch(&path, json!({ "status": "shipped" })).with(&eve).await.expect(403);
    let list = shop.app().get("/api/v1/orders").with(&eve).await.expect(200).body;
    assert_eq!(list["items"], json!([]));
    assert_eq!(shop.status(order).await, two("pending", "unpaid"));
    shop.app().get(&path).with(&shop.admin()).await.expect(200);
}
