//! Login, refresh, logout and validation over HTTP.

use std::{collections::BTreeSet, time::Duration};

use agora_testkit::TestKeys;
use agora_user::domain::{REFRESH_GRACE, SESSION_IDLE};
use agora_vocab::{Role, UserId};
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use crate::fixture::{ACCESS_LIFETIME_S, PASSWORD, Shop, text};

#[tokio::test]
async fn id3_a_login_returns_both_tokens_and_the_access_token_is_accepted() {
    let shop = Shop::open().await;
    let registered = shop.register("ada@example.com").await;
    let answer = shop
        .app
        .post("/api/v1/auth/login", json!({ "email": "Ada@example.com", "password": PASSWORD }))
        .await
        .expect(200);
    let tokens = &answer.body;
    assert_eq!(tokens["token"], tokens["accessToken"]);
    assert_eq!((&tokens["tokenType"], &tokens["expiresIn"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(tokens["user"], registered);
    assert_eq!(answer.header("cache-control"), "no-store");
    let access = text(&tokens["accessToken"]);
    assert_eq!(shop.app.get("/api/v1/users/me").with(&access).await.expect(200).body, registered);
    let validated = shop.app.get("/api/v1/auth/validate").with(&access).await.expect(200).body;
    assert_eq!((&validated["id"], &validated["email"]), (&registered["id"], &json!("ada@example.com")));
    assert_eq!(validated["roles"], json!(["customer"]));
    let names: BTreeSet<_> = validated.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["id", "email", "roles", "sid", "exp"]));
}

/// Defect of uMarketplace (docs/DEFECTS.md): 404 for an unknown user, 400 for a wrong password.
#[tokio::test]
async fn id2_an_unknown_user_a_bad_password_and_a_blocked_account_look_the_same() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let blocked = shop.register("eve@example.com").await;
    shop.database.block(text(&blocked["id"]).parse::<Uuid>().map(UserId::new).unwrap()).await;
    let attempts = [
        json!({ "email": "ada@example.com", "password": "wrong horse battery" }),
        json!({ "email": "ada@example.com", "password": "" }),
        json!({ "email": "ada@example.com", "password": "x".repeat(5000) }),
        json!({ "email": "unknown@example.com", "password": PASSWORD }),
        json!({ "email": "no address", "password": PASSWORD }),
        json!({ "email": "eve@example.com", "password": PASSWORD }),
    ];
    let mut seen = BTreeSet::new();
    for attempt in attempts {
        let mut body = shop.app.post("/api/v1/auth/login", attempt).await.expect(401).body;
        body["requestId"] = Value::Null;
        seen.insert(body.to_string());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen.first().unwrap().contains("INVALID_CREDENTIALS"));
}

/// Defect of an earlier project (docs/DEFECTS.md): tokens never expired.
#[tokio::test]
async fn tokens_expire() {
    let shop = Shop::open().await;
    let before = now();
    let (id, token) = shop.shopper("ada@example.com").await;
    let issued = before..=now();
    let mut claims = TestKeys::claims(UserId::new(id.parse().unwrap()), &[Role::Customer]);
    claims["exp"] = json!(datetime!(2026-01-01 00:00 UTC).unix_timestamp());
    let answer = shop.app.get("/api/v1/users/me").with(&shop.keys.sign(&claims)).await.expect(401);
    assert_eq!(answer.body["error"], "Invalid token");
    let validated = shop.app.get("/api/v1/auth/validate").with(&token).await.expect(200).body;
    let issued_at = validated["exp"].as_i64().unwrap() - i64::from(ACCESS_LIFETIME_S);
    assert!(issued.contains(&issued_at), "{issued_at} is not within {issued:?}");
}

#[tokio::test]
async fn id5_a_refresh_token_is_exchanged_once_and_its_reuse_ends_the_family() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let first = shop.login("ada@example.com").await;
    let second = shop.refresh(&first["refreshToken"]).await.expect(200).body;
    assert_ne!(first["refreshToken"], second["refreshToken"]);
    let access = text(&second["accessToken"]);
    shop.app.get("/api/v1/auth/validate").with(&access).await.expect(200);

    shop.database.pass(REFRESH_GRACE).await;
    let reused = shop.refresh(&first["refreshToken"]).await.expect(401);
    assert_eq!(reused.body["code"], "INVALID_REFRESH_TOKEN");
    let descendant = shop.refresh(&second["refreshToken"]).await.expect(401);
    let unknown = shop.refresh(&json!("never given")).await.expect(401);
    for answer in [&descendant, &unknown] {
        assert_eq!((&answer.body["code"], &answer.body["detail"]), (&reused.body["code"], &reused.body["detail"]));
    }
    shop.app.get("/api/v1/auth/validate").with(&access).await.expect(401);
    shop.login("ada@example.com").await;
}

/// Two tabs refresh at once, or the first response is lost.
#[tokio::test]
async fn a_refresh_that_is_repeated_at_once_gives_the_same_token_and_ends_no_session() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let first = shop.login("ada@example.com").await;
    let tabs = (0..4).map(|_| shop.refresh(&first["refreshToken"]));
    let answers = futures::future::join_all(tabs).await;
    let tokens: BTreeSet<_> =
        answers.into_iter().map(|answer| text(&answer.expect(200).body["refreshToken"])).collect();
    assert_eq!(tokens.len(), 1);
    let second = json!(tokens.first());
    let third = shop.refresh(&second).await.expect(200).body;
    let late = shop.refresh(&first["refreshToken"]).await.expect(401);
    assert_eq!(late.body["code"], "INVALID_REFRESH_TOKEN", "its successor was used: two holders");
    shop.refresh(&third["refreshToken"]).await.expect(401);
}

#[tokio::test]
async fn a_logout_ends_the_session_and_repeats_harmlessly() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let tokens = shop.login("ada@example.com").await;
    let logout = json!({ "refreshToken": tokens["refreshToken"] });
    for _ in 0..2 {
        shop.app.post("/api/v1/auth/logout", logout.clone()).await.expect(204);
    }
    shop.app.post("/api/v1/auth/logout", json!({ "refreshToken": "never given" })).await.expect(204);
    shop.refresh(&tokens["refreshToken"]).await.expect(401);
    let ended = shop.app.get("/api/v1/auth/validate").with(&text(&tokens["accessToken"])).await.expect(401);
    assert_eq!(ended.body["error"], "Invalid token");
}

#[tokio::test]
async fn an_idle_session_expires_after_seven_days() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let tokens = shop.login("ada@example.com").await;
    assert_eq!(SESSION_IDLE, Duration::from_hours(7 * 24));
    // The test itself takes less than an hour.
    shop.database.pass(Duration::from_hours(7 * 24 - 1)).await;
    let next = shop.refresh(&tokens["refreshToken"]).await.expect(200).body;
    shop.database.pass(SESSION_IDLE).await;
    shop.refresh(&next["refreshToken"]).await.expect(401);
}

#[tokio::test]
async fn every_protected_route_rejects_a_missing_or_invalid_token() {
    let shop = Shop::open().await;
    let id = Uuid::nil();
    for (method, path) in [
        ("GET", "/api/v1/auth/validate".to_owned()),
        ("GET", "/api/v1/users/me".to_owned()),
        ("PUT", "/api/v1/users/me".to_owned()),
        ("GET", format!("/api/v1/users/{id}")),
        ("PUT", format!("/api/v1/users/{id}")),
        ("GET", "/api/v1/users/me/addresses".to_owned()),
        ("POST", "/api/v1/users/me/addresses".to_owned()),
        ("GET", format!("/api/v1/users/me/addresses/{id}")),
        ("PUT", format!("/api/v1/users/me/addresses/{id}")),
        ("DELETE", format!("/api/v1/users/me/addresses/{id}")),
        ("POST", "/api/v1/users/me/email".to_owned()),
        ("POST", "/api/v1/users/me/export".to_owned()),
        ("DELETE", "/api/v1/users/me".to_owned()),
        ("DELETE", format!("/api/v1/admin/users/{id}")),
    ] {
        let method = method.parse().unwrap();
        let request = shop.app.request(method, &path).header("content-type", "application/json").raw("{}");
        let missing = request.clone().await.expect(401);
        assert_eq!(missing.body["error"], "No token provided", "{path}");
        let wrong = request.clone().with("forged").await.expect(401);
        assert_eq!(wrong.body["error"], "Invalid token", "{path}");
        // Defect of an earlier project (docs/DEFECTS.md): `x-user-id` was trusted from any client.
        request.header("x-user-id", &id.to_string()).await.expect(401);
    }
}

/// Unix time in seconds.
#[expect(clippy::disallowed_methods, reason = "tokens are issued and verified by the real clock")]
fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
