//! A new password by a link in a mail.

use agora_testkit::{Request, refused};
use agora_vocab::Secret;
use agora_web::derived_token;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{INTERNAL_SECRET, PASSWORD, Shop, text};

const NEW: &str = "a better password";

async fn request(shop: &Shop, email: &str) {
    let answer = shop.app.post("/api/v1/auth/password-reset", json!({ "email": email })).await.expect(202);
    assert!(answer.bytes.is_empty(), "the answer tells nothing");
}

fn confirm(shop: &Shop, token: &str, password: &str) -> Request {
    shop.app.post("/api/v1/auth/password-reset/confirm", json!({ "token": token, "newPassword": password }))
}

/// The tokens of the mails that are requested, as the notification service derives them.
async fn mailed(shop: &Shop) -> Vec<String> {
    shop.service.announce_resets().await.unwrap();
    let events = shop.database.events().await.into_iter();
    let requests = events.filter(|(kind, _)| kind == "user.password-reset-requested");
    let token = |(_, data): (String, String)| {
        let data: Value = serde_json::from_str(&data).unwrap();
        let id: Uuid = data["resetId"].as_str().unwrap().parse().unwrap();
        assert!(!data.to_string().contains(derived_token(&secret(), "password-reset", id).split_once('.').unwrap().1));
        derived_token(&secret(), "password-reset", id)
    };
    requests.map(token).collect()
}

fn secret() -> Secret {
    Secret::new(INTERNAL_SECRET)
}

#[tokio::test]
async fn id16_a_link_sets_a_new_password_once_and_ends_all_sessions() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let before = shop.login("ada@example.com").await;
    request(&shop, "Ada@example.com").await;
    request(&shop, "ada@example.com").await;
    let tokens = mailed(&shop).await;
    assert_eq!(tokens.len(), 2);
    refused(&confirm(&shop, &tokens[0], "short").await, 422, "VALIDATION_FAILED", &["newPassword"]);

    confirm(&shop, &tokens[1], NEW).await.expect(204);
    for used in &tokens {
        refused(&confirm(&shop, used, "another password").await, 422, "VALIDATION_FAILED", &["token"]);
    }
    let login = |password: &str| {
        shop.app.post("/api/v1/auth/login", json!({ "email": "ada@example.com", "password": password }))
    };
    login(PASSWORD).await.expect(401);
    login(NEW).await.expect(200);
    assert_eq!(shop.refresh(&before["refreshToken"]).await.status, 401);
    let (_, data) = shop.database.events().await.into_iter().find(|(kind, _)| kind == "user.revoked").unwrap();
    assert!(data.contains("password-changed"), "{data}");
}

#[tokio::test]
async fn an_unknown_or_blocked_account_gets_no_mail_and_the_same_answer() {
    let shop = Shop::open().await;
    let eve = text(&shop.register("eve@example.com").await["id"]);
    shop.database.block(eve.parse().unwrap()).await;
    request(&shop, "eve@example.com").await;
    request(&shop, "unknown@example.com").await;
    assert_eq!(mailed(&shop).await, [""; 0]);
    let none = shop.app.post("/api/v1/auth/password-reset", json!({ "email": "none" })).await;
    refused(&none, 422, "VALIDATION_FAILED", &["email"]);
}

#[tokio::test]
async fn a_forged_or_old_token_sets_no_password() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    request(&shop, "ada@example.com").await;
    let token = mailed(&shop).await.remove(0);
    let id: Uuid = token.split_once('.').unwrap().0.parse().unwrap();
    let forged = derived_token(&Secret::new("another secret"), "password-reset", id);
    let unknown = derived_token(&secret(), "password-reset", Uuid::nil());
    for wrong in [forged.as_str(), unknown.as_str(), "", "x.y"] {
        refused(&confirm(&shop, wrong, NEW).await, 422, "VALIDATION_FAILED", &["token"]);
    }
    shop.database.expire_resets().await;
    refused(&confirm(&shop, &token, NEW).await, 422, "VALIDATION_FAILED", &["token"]);
    shop.login("ada@example.com").await;
}

#[tokio::test]
async fn requests_for_one_account_are_limited_whether_or_not_it_exists() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    for email in ["ada@example.com", "unknown@example.com"] {
        for _ in 0..3 {
            request(&shop, email).await;
        }
        let fourth = shop.app.post("/api/v1/auth/password-reset", json!({ "email": email })).await;
        refused(&fourth, 429, "TOO_MANY_ATTEMPTS", &[]);
    }
}

#[tokio::test]
async fn requests_are_deleted_a_day_after_they_have_expired() {
    const AGES: &str = "insert into password_reset (id, email, expires_at)
        select gen_random_uuid(), 'of ' || age, now() - age * interval '1 hour' from unnest(array[25, 23, -1]) as age";
    let shop = Shop::open().await;
    let mut connection = shop.database.db.acquire().await.unwrap();
    sqlx::query(AGES).execute(&mut *connection).await.unwrap();
    assert_eq!(shop.service.resets.delete_old().await.unwrap(), 1);
    assert_eq!(shop.service.resets.delete_old().await.unwrap(), 0);
    let left: Vec<String> = sqlx::query_scalar("select email from password_reset order by expires_at")
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    assert_eq!(left, ["of 23", "of -1"]);
}
