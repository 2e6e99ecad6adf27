//! Address books over HTTP, of both ports.

use agora_testkit::internal_token;
use serde_json::{Value, json};

use crate::fixture::{INTERNAL_SECRET, Shop, fields, text};

#[tokio::test]
async fn an_address_book_is_kept_by_its_owner_alone() {
    let shop = Shop::open().await;
    let (_, ada) = shop.shopper("ada@example.com").await;
    let (_, eve) = shop.shopper("eve@example.com").await;
    let book = "/api/v1/users/me/addresses";
    assert_eq!(shop.app.get(book).with(&ada).await.expect(200).body, json!({ "items": [], "total": 0 }));
    let added = shop.app.post(book, london()).with(&ada).await.expect(201);
    let entry = added.header("location").to_owned();
    assert_eq!(entry, format!("{book}/{}", text(&added.body["id"])));
    let mut expected = london();
    expected["id"] = added.body["id"].clone();
    expected["country"] = json!("GB");
    assert_eq!(added.body, expected);
    assert_eq!(shop.app.get(&entry).with(&ada).await.expect(200).body, expected);
    assert_eq!(shop.app.get(book).with(&ada).await.expect(200).body["items"], json!([expected]));

    let moved = json!({ "street": "New Street 2", "city": "Oxford", "state": "Oxfordshire", "country": "GB" });
    for (method, body) in [("GET", ""), ("PUT", &*moved.to_string()), ("DELETE", "")] {
        let request = shop.app.request(method.parse().unwrap(), &entry).header("content-type", "application/json");
        request.raw(body).with(&eve).await.expect(404);
    }
    let replaced = shop.app.put(&entry, moved).with(&ada).await.expect(200).body;
    assert_eq!((&replaced["city"], &replaced["postalCode"]), (&json!("Oxford"), &Value::Null));
    shop.app.delete(&entry).with(&ada).await.expect(204);
    shop.app.delete(&entry).with(&ada).await.expect(404);
    shop.app.get(&entry).with(&ada).await.expect(404);
    shop.app.get(&format!("{book}/7")).with(&ada).await.expect(400);
}

#[tokio::test]
async fn an_invalid_address_is_rejected_field_by_field() {
    let shop = Shop::open().await;
    let (_, ada) = shop.shopper("ada@example.com").await;
    let bad = json!({
        "recipient": "x".repeat(201), "street": "", "city": "a\u{0007}b", "state": "x".repeat(101),
        "postalCode": "x".repeat(21), "country": "XX",
    });
    let answer = shop.app.post("/api/v1/users/me/addresses", bad).with(&ada).await.expect(422);
    let all = ["recipient", "street", "city", "state", "postalCode", "country"];
    assert_eq!(fields(&answer), all.map(str::to_owned).into());
}

#[tokio::test]
async fn an_address_book_is_limited_to_a_hundred_entries() {
    let shop = Shop::open().await;
    let (_, ada) = shop.shopper("ada@example.com").await;
    for _ in 0..100 {
        shop.app.post("/api/v1/users/me/addresses", london()).with(&ada).await.expect(201);
    }
    let full = shop.app.post("/api/v1/users/me/addresses", london()).with(&ada).await.expect(409);
    assert_eq!(full.body["code"], "ADDRESS_BOOK_FULL");
}

#[tokio::test]
async fn gw9_the_order_service_alone_reads_an_address_for_its_user() {
    let shop = Shop::open().await;
    let (ada, token) = shop.shopper("ada@example.com").await;
    let (eve, _) = shop.shopper("eve@example.com").await;
    let added = shop.app.post("/api/v1/users/me/addresses", london()).with(&token).await.expect(201).body;
    let path = |owner: &str| format!("/internal/v1/users/{owner}/addresses/{}", text(&added["id"]));
    let for_user = |user: &str| internal_token(INTERNAL_SECRET, "order", "user", Some(user.parse().unwrap()));
    let order = for_user(&ada);
    assert_eq!(shop.internal.get(&path(&ada)).internal(&order).await.expect(200).body, added);
    shop.internal.get(&path(&eve)).internal(&for_user(&eve)).await.expect(404);
    let nobody = internal_token(INTERNAL_SECRET, "order", "user", None);
    for token in [&for_user(&eve), &nobody] {
        let refused = shop.internal.get(&path(&ada)).internal(token).await.expect(403);
        assert_eq!(refused.body["code"], "WRONG_SUBJECT");
    }
    shop.internal.get(&path(&ada)).await.expect(401);
    shop.internal.get(&path(&ada)).with(&token).await.expect(401);
    for (secret, caller, callee) in
        [("guessed", "order", "user"), (INTERNAL_SECRET, "cart", "user"), (INTERNAL_SECRET, "order", "catalog")]
    {
        let token = internal_token(secret, caller, callee, None);
        shop.internal.get(&path(&ada)).internal(&token).await.expect(401);
    }
    shop.app.get(&path(&ada)).internal(&order).await.expect(404);
}

pub fn london() -> Value {
    json!({ "recipient": "Ada Lovelace", "street": "Old Street 1", "city": "London", "postalCode": "W1", "country": "gb" })
}
