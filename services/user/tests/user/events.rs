//! The events of accounts, as other services read them.

use agora_events::{Event as _, user::UserEvent};
use serde_json::{Value, json};

use crate::fixture::{PASSWORD, Shop, text};

const EMAIL: &str = "ada@example.com";

#[tokio::test]
async fn id15_registration_login_change_and_password_reset_are_one_event_each_however_often_requests_are_repeated() {
    let shop = Shop::open().await;
    let body = json!({ "email": EMAIL, "password": PASSWORD, "firstname": "Ada", "lastname": "Lovelace" });
    let user = shop.app.post("/api/v1/auth/register", body.clone()).await.expect(201).body;
    shop.app.post("/api/v1/auth/register", body).await.expect(409);
    let wrong = json!({ "email": EMAIL, "password": "wrong horse battery" });
    shop.app.post("/api/v1/auth/login", wrong).await.expect(401);
    let login = shop.login(EMAIL).await;
    let token = text(&login["accessToken"]);
    for _ in 0..3 {
        let change = shop.app.put("/api/v1/users/me", json!({ "name": "Countess" })).with(&token).key("k");
        change.await.expect(200);
    }
    shop.app.put("/api/v1/users/me", json!({ "name": "" })).with(&token).await.expect(422);
    shop.app.post("/api/v1/auth/password-reset", json!({ "email": EMAIL })).await.expect(202);
    shop.app.post("/api/v1/auth/password-reset", json!({ "email": "unknown@example.com" })).await.expect(202);
    for _ in 0..3 {
        shop.service.announce_resets().await.unwrap();
    }

    let events: Vec<(String, Value)> = shop
        .database
        .events()
        .await
        .into_iter()
        .map(|(kind, data)| (kind, serde_json::from_str(&data).unwrap()))
        .collect();
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["user.registered", "user.login", "user.updated", "user.password-reset-requested"]);
    for (kind, data) in &events {
        assert!(UserEvent::KINDS.contains(&kind.as_str()), "{kind}");
        assert_eq!((&data["userId"], &data["email"]), (&user["id"], &json!(EMAIL)), "{kind}: {data}");
    }
    assert_eq!((&events[0].1["name"], &events[2].1["name"]), (&json!("Ada Lovelace"), &json!("Countess")));
    let validated = shop.app.get("/api/v1/auth/validate").with(&token).await.expect(200).body;
    assert_eq!((&events[1].1["sessionId"], &events[1].1["loginMethod"]), (&validated["sid"], &json!("password")));
    let mut connection = shop.database.db.acquire().await.unwrap();
    let placed: Vec<(String, i64)> =
        sqlx::query_as("select topic, seq from outbox order by seq").fetch_all(&mut *connection).await.unwrap();
    assert_eq!(placed, [1, 2, 3, 4].map(|seq| ("user-events".to_owned(), seq)));
}
