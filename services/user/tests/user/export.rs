//! The export of an account.

use std::collections::BTreeSet;

use agora_testkit::{Request, refused};
use agora_vocab::Email;
use serde_json::{Value, json};

use crate::{
    address_book::london,
    fixture::{PASSWORD, Shop, text},
};

const EMAIL: &str = "ada@example.com";

fn export(shop: &Shop, token: &str, password: &str) -> Request {
    shop.app.post("/api/v1/users/me/export", json!({ "password": password })).with(token)
}

#[tokio::test]
async fn an_export_has_everything_that_is_stored_about_its_user_and_no_hash_or_token() {
    let shop = Shop::open().await;
    shop.register(EMAIL).await;
    let login = json!({ "email": EMAIL, "password": PASSWORD });
    let login = shop.app.post("/api/v1/auth/login", login).header("x-forwarded-for", "192.0.2.7");
    let tokens = login.header("user-agent", "Laptop/2.0").await.expect(200).body;
    let ended = shop.login(EMAIL).await;
    let logout = json!({ "refreshToken": ended["refreshToken"] });
    shop.app.post("/api/v1/auth/logout", logout).await.expect(204);
    let token = text(&tokens["accessToken"]);
    let profile = json!({ "phone": "030 1234567", "username": "ada-l" });
    shop.app.put("/api/v1/users/me", profile).with(&token).await.expect(200);
    shop.app.put("/api/v1/users/me/preferences", json!({ "promotions": false })).with(&token).await.expect(200);
    let address = shop.app.post("/api/v1/users/me/addresses", london()).with(&token).await.expect(201).body;
    let change = json!({ "newEmail": "countess@example.com", "password": PASSWORD });
    shop.app.post("/api/v1/users/me/email", change).with(&token).await.expect(202);
    for announced in [true, false] {
        shop.app.post("/api/v1/auth/password-reset", json!({ "email": EMAIL })).await.expect(202);
        if announced {
            shop.service.announce_resets().await.unwrap();
        }
    }
    let (_, eve) = shop.shopper("eve@example.com").await;
    let mut foreign = london();
    foreign["street"] = json!("Evil Street 2");
    shop.app.post("/api/v1/users/me/addresses", foreign).with(&eve).await.expect(201);

    let answer = export(&shop, &token, PASSWORD).await.expect(200);
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"account.json\"");
    assert_eq!((answer.header("cache-control"), answer.header("content-type")), ("no-store", "application/json"));
    let body = &answer.body;
    let names: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "exportedAt",
        "account",
        "updatedAt",
        "addresses",
        "sessions",
        "hasMoreSessions",
        "emailChange",
        "passwordResets",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(body["account"], shop.app.get("/api/v1/users/me").with(&token).await.expect(200).body);
    assert_eq!(body["account"]["preferences"]["promotions"], false);
    assert_eq!(body["addresses"], json!([address]));
    let sessions = body["sessions"].as_array().unwrap();
    let shown: Vec<_> = sessions.iter().map(|session| (&session["endReason"], &session["userAgent"])).collect();
    assert_eq!(shown, [(&json!("logout"), &Value::Null), (&Value::Null, &json!("Laptop/2.0"))]);
    assert_eq!((&sessions[1]["ip"], &sessions[1]["current"]), (&json!("192.0.2.7"), &json!(true)));
    assert_eq!(body["emailChange"]["newEmail"], "countess@example.com");
    assert_eq!(body["passwordResets"].as_array().unwrap().len(), 2, "announced or not");

    let stored = shop.database.users().credentials(&Email::parse(EMAIL).unwrap()).await.unwrap().unwrap();
    let shown = body.to_string();
    for secret in [stored.hash.as_str(), "argon2", tokens["refreshToken"].as_str().unwrap(), &token, "Evil", "eve@"] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn an_export_needs_the_present_password_and_guesses_are_limited() {
    let shop = Shop::open().await;
    let (_, token) = shop.shopper(EMAIL).await;
    refused(&export(&shop, &token, "wrong horse").await, 422, "VALIDATION_FAILED", &["password"]);
    export(&shop, "forged", PASSWORD).await.expect(401);
    shop.app.get("/api/v1/users/me/export").with(&token).await.expect(405);
    let mut last = 0;
    for _ in 0..10 {
        last = export(&shop, &token, "wrong horse").await.status;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn an_export_shows_the_thousand_newest_sessions_and_says_that_there_are_more() {
    const MANY: &str = "insert into auth_session (id, user_id, issued_at, expires_at)
        select gen_random_uuid(), u.id, now() - interval '1 hour', now() + interval '1 day'
        from users as u, generate_series(1, 999)";
    let shop = Shop::open().await;
    let (_, token) = shop.shopper(EMAIL).await;
    sqlx::query(MANY).execute(&mut *shop.database.db.acquire().await.unwrap()).await.unwrap();
    let body = export(&shop, &token, PASSWORD).await.expect(200).body;
    assert_eq!((body["sessions"].as_array().unwrap().len(), &body["hasMoreSessions"]), (1_000, &json!(false)));
    shop.login(EMAIL).await;
    let body = export(&shop, &token, PASSWORD).await.expect(200).body;
    assert_eq!((body["sessions"].as_array().unwrap().len(), &body["hasMoreSessions"]), (1_000, &json!(true)));
    assert_eq!(body["sessions"][0]["endedAt"], Value::Null);
}
