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

#[tokio::test]
async fn id12_a_change_of_preferences_changes_those_that_it_names_and_every_event_carries_all() {
    let shop = Shop::open().await;
    let (id, token) = shop.shopper("ada@example.com").await;
    let path = format!("/api/v1/users/{id}/preferences");
    let all = json!({ "promotions": true, "orderUpdates": true, "recommendations": true });
    assert_eq!(shop.app.get("/api/v1/users/me").with(&token).await.expect(200).body["preferences"], all);
    for (change, expected) in [
        (json!({ "promotions": false }), (false, true, true)),
        (json!({ "recommendations": false, "promotions": null }), (false, true, false)),
        (json!({}), (false, true, false)),
        (json!({ "promotions": true, "orderUpdates": false }), (true, false, false)),
    ] {
        let user = shop.app.put(&path, change).with(&token).await.expect(200).body;
        let (promotions, updates, recommendations) = expected;
        let expected = json!({ "promotions": promotions, "orderUpdates": updates, "recommendations": recommendations });
        assert_eq!(user["preferences"], expected);
        assert_eq!(user["name"], "Ada Lovelace", "the profile stays");
        let (kind, data) = shop.database.events().await.pop().unwrap();
        let data: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!((kind.as_str(), &data["preferences"]), ("user.updated", &expected));
    }
    let wrong = shop.app.put(&path, json!({ "promotions": "no" })).with(&token).await.expect(422);
    assert_eq!(fields(&wrong), BTreeSet::from(["promotions".to_owned()]));
    let own = "/api/v1/users/me/preferences";
    assert_eq!(shop.app.put(own, json!({})).with(&token).await.expect(200).body["id"], json!(id));
    let (_, eve) = shop.shopper("eve@example.com").await;
    shop.app.put(&path, json!({ "promotions": true })).with(&eve).await.expect(404);
}

/// Defect of an earlier project (docs/DEFECTS.md).
#[tokio::test]
async fn preferences_were_lost_at_registration() {
    let shop = Shop::open().await;
    let body = json!({ "email": "ada@example.com", "password": "correct horse battery", "preferences": { "promotions": false } });
    let user = shop.app.post("/api/v1/auth/register", body).await.expect(201).body;
    let expected = json!({ "promotions": false, "orderUpdates": true, "recommendations": true });
    assert_eq!(user["preferences"], expected);
    let (kind, data) = shop.database.events().await.pop().unwrap();
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!((kind.as_str(), &data["preferences"]), ("user.registered", &expected));
}

#[tokio::test]
async fn de17_the_router_serves_every_operation_of_the_document() {
    Shop::open().await.app.assert_serves_its_document().await;
}
