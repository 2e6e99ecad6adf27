//! Accounts and their profiles over HTTP.

use std::collections::BTreeSet;

use agora_vocab::{Role, UserId};
use serde_json::json;
use uuid::Uuid;

use crate::{
    address_book::london,
    fixture::{Shop, fields},
};

#[tokio::test]
async fn id9_an_account_is_seen_and_changed_by_its_owner_and_by_admins_alone() {
    let shop = Shop::open().await;
    let (ada, _) = shop.shopper("ada@example.com").await;
    let (_, eve) = shop.shopper("eve@example.com").await;
    let path = format!("/api/v1/users/{ada}");
    shop.app.get(&path).with(&eve).await.expect(404);
    shop.app.put(&path, json!({ "name": "Stolen" })).with(&eve).await.expect(404);
    shop.app.get(&format!("/api/v1/users/{}", Uuid::nil())).with(&eve).await.expect(404);
    shop.app.get("/api/v1/users/7").with(&eve).await.expect(400);

    let admin = shop.keys.token(UserId::new(Uuid::nil()), &[Role::Admin]);
    assert_eq!(shop.app.get(&path).with(&admin).await.expect(200).body["name"], "Ada Lovelace");
    let changed = shop.app.put(&path, json!({ "name": "Countess" })).with(&admin).await.expect(200);
    assert_eq!(changed.body["name"], "Countess");
    shop.app.get(&format!("/api/v1/users/{}", Uuid::nil())).with(&admin).await.expect(404);
}

/// Defect of an earlier project (docs/DEFECTS.md): a partial update reset the other fields.
#[tokio::test]
async fn id10_a_partial_update_changes_what_it_names_and_nothing_else() {
    let shop = Shop::open().await;
    let (id, token) = shop.shopper("ada@example.com").await;
    let path = format!("/api/v1/users/{id}");
    let before = shop.app.get(&path).with(&token).await.expect(200).body;
    let after = shop.app.put(&path, json!({ "phone": "030 123456" })).with(&token).await.expect(200).body;
    assert_eq!(after["phone"], "030123456");
    let mut expected = before;
    expected["phone"] = json!("030123456");
    assert_eq!(after, expected);
    for (body, field) in [
        (json!({ "roles": ["admin"] }), "roles"),
        (json!({ "email": "eve@example.com" }), "email"),
        (json!({ "status": "active" }), "status"),
        (json!({ "username": "!" }), "username"),
    ] {
        let answer = shop.app.put(&path, body).with(&token).await.expect(422);
        assert_eq!(fields(&answer), BTreeSet::from([field.to_owned()]));
    }
    assert_eq!(shop.app.get(&path).with(&token).await.expect(200).body, expected);
}

#[tokio::test]
async fn a_repeated_request_returns_the_first_response() {
    let shop = Shop::open().await;
    let (_, token) = shop.shopper("ada@example.com").await;
    let put = |name: &str| shop.app.put("/api/v1/users/me", json!({ "name": name })).with(&token);
    let first = put("First").key("k").await.expect(200).body;
    put("Second").await.expect(200);
    assert_eq!(put("First").key("k").await.expect(200).body, first);
    assert_eq!(put("Third").key("k").await.expect(422).body["code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(shop.app.get("/api/v1/users/me").with(&token).await.expect(200).body["name"], "Second");
    let add = || shop.app.post("/api/v1/users/me/addresses", london()).with(&token).key("k");
    assert_eq!(add().await.expect(201).body, add().await.expect(201).body);
    put("Fourth").key("white space").await.expect(400);
}
