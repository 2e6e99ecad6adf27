//! Accounts in the hands of administrators, and a user's own sessions and password.

use agora_testkit::refused;
use agora_vocab::{Role, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{PASSWORD, Shop, text};

const USERS: &str = "/api/v1/admin/users";
const SESSIONS: &str = "/api/v1/users/me/sessions";

fn admin(shop: &Shop) -> String {
    shop.keys.token(UserId::new(Uuid::nil()), &[Role::Admin])
}

async fn set_status(shop: &Shop, id: &str, status: &str) -> Value {
    let path = format!("{USERS}/{id}/status");
    shop.app.put(&path, json!({ "status": status })).with(&admin(shop)).await.expect(200).body
}

fn blocked_in(data: &str) -> Value {
    serde_json::from_str::<Value>(data).unwrap()["blocked"].clone()
}

#[tokio::test]
async fn id11_administrators_list_all_accounts_in_pages_without_their_hashes() {
    let shop = Shop::open().await;
    for n in 0..5 {
        shop.register(&format!("user-{n}@example.com")).await;
    }
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shop.app.get(&format!("{USERS}?limit=2{cursor}")).with(&admin(&shop)).await.expect(200).body;
        assert!(!page.to_string().contains("argon2"));
        found.extend(page["items"].as_array().unwrap().iter().map(|user| text(&user["email"])));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, [4, 3, 2, 1, 0].map(|n| format!("user-{n}@example.com")));

    let blocked = text(&shop.register("eve@example.com").await["id"]);
    set_status(&shop, &blocked, "blocked").await;
    let page = shop.app.get(&format!("{USERS}?status=blocked")).with(&admin(&shop)).await.expect(200).body;
    assert_eq!(page["items"][0]["id"], json!(blocked));
    assert_eq!(page["items"].as_array().unwrap().len(), 1);

    let (_, shopper) = shop.shopper("ada@example.com").await;
    refused(&shop.app.get(USERS).with(&shopper).await, 403, "FORBIDDEN", &[]);
    refused(
        &shop.app.get(&format!("{USERS}?status=gone")).with(&admin(&shop)).await,
        400,
        "INVALID_QUERY",
        &["status"],
    );
    refused(
        &shop.app.get(&format!("{USERS}?limit=101")).with(&admin(&shop)).await,
        422,
        "VALIDATION_FAILED",
        &["limit"],
    );
}

#[tokio::test]
async fn gw3_administrators_read_the_users_of_given_ids_with_one_request() {
    let shop = Shop::open().await;
    let (ada, eve) = (shop.register("ada@example.com").await, shop.register("eve@example.com").await);
    let (ada, eve) = (text(&ada["id"]), text(&eve["id"]));
    let path = format!("{USERS}?ids={eve},{},{ada}", Uuid::from_u128(7));
    let page = shop.app.get(&path).with(&admin(&shop)).await.expect(200).body;
    let found: Vec<_> = page["items"].as_array().unwrap().iter().map(|user| text(&user["id"])).collect();
    assert_eq!(found, [eve, ada.clone()]);
    assert!(!page.to_string().contains("argon2"));
    for query in [format!("ids={ada}&status=active"), "ids=x".to_owned()] {
        let answer = shop.app.get(&format!("{USERS}?{query}")).with(&admin(&shop)).await;
        refused(&answer, 400, "INVALID_QUERY", &["ids"]);
    }
    let (_, shopper) = shop.shopper("bob@example.com").await;
    refused(&shop.app.get(&path).with(&shopper).await, 403, "FORBIDDEN", &[]);
}

#[tokio::test]
async fn id14_a_blocked_user_cannot_log_in_or_refresh_until_the_account_is_active_again() {
    let shop = Shop::open().await;
    let id = text(&shop.register("ada@example.com").await["id"]);
    let tokens = shop.login("ada@example.com").await;
    assert_eq!(set_status(&shop, &id, "blocked").await["status"], "blocked");
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    refused(&shop.app.post("/api/v1/auth/login", body).await, 401, "INVALID_CREDENTIALS", &[]);
    assert_eq!(shop.refresh(&tokens["refreshToken"]).await.status, 401);
    let access = text(&tokens["accessToken"]);
    assert_eq!(shop.app.get("/api/v1/auth/validate").with(&access).await.status, 401);
    let events = shop.database.events().await;
    let kinds: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["user.registered", "user.login", "user.updated", "user.revoked"]);
    assert_eq!([0, 2].map(|n| blocked_in(&events[n].1)), [json!(false), json!(true)]);

    set_status(&shop, &id, "active").await;
    assert_eq!(blocked_in(&shop.database.events().await.last().unwrap().1), false);
    assert_eq!(shop.refresh(&tokens["refreshToken"]).await.status, 401, "its sessions stay ended");
    shop.login("ada@example.com").await;

    let (_, shopper) = shop.shopper("eve@example.com").await;
    let path = format!("{USERS}/{id}/status");
    refused(&shop.app.put(&path, json!({ "status": "blocked" })).with(&shopper).await, 403, "FORBIDDEN", &[]);
    let wrong = shop.app.put(&path, json!({ "status": "gone" })).with(&admin(&shop)).await;
    refused(&wrong, 422, "VALIDATION_FAILED", &["status"]);
    let own = format!("{USERS}/{}/status", Uuid::nil());
    refused(&shop.app.put(&own, json!({ "status": "blocked" })).with(&admin(&shop)).await, 409, "OWN_ACCOUNT", &[]);
    shop.app.put(&own, json!({ "status": "active" })).with(&admin(&shop)).await.expect(404);
}

#[tokio::test]
async fn id6_a_user_sees_each_session_with_its_device_and_ends_one_or_all() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let login = async |agent: &str| {
        let body = json!({ "email": "ada@example.com", "password": PASSWORD });
        let request = shop.app.post("/api/v1/auth/login", body).header("x-forwarded-for", "192.0.2.7");
        request.header("user-agent", agent).await.expect(200).body
    };
    let (phone, laptop) = (login("Phone/1.0").await, login("Laptop/2.0").await);
    let token = text(&laptop["accessToken"]);
    let list = async || {
        let body = shop.app.get(SESSIONS).with(&token).await.expect(200).body;
        body["items"].as_array().unwrap().clone()
    };
    let sessions = list().await;
    let shown: Vec<_> = sessions
        .iter()
        .map(|session| (session["userAgent"].as_str().unwrap(), session["current"].as_bool().unwrap()))
        .collect();
    assert_eq!(shown, [("Laptop/2.0", true), ("Phone/1.0", false)]);
    assert_eq!(sessions[1]["ip"], "192.0.2.7");
    assert_eq!(sessions[1]["usedAt"], Value::Null);
    shop.refresh(&phone["refreshToken"]).await.expect(200);
    assert!(list().await[1]["usedAt"].is_string());

    let path = format!("{SESSIONS}/{}", text(&sessions[1]["id"]));
    let (_, eve) = shop.shopper("eve@example.com").await;
    shop.app.delete(&path).with(&eve).await.expect(404);
    shop.app.delete(&path).with(&token).await.expect(204);
    shop.app.delete(&path).with(&token).await.expect(404);
    assert_eq!(list().await.len(), 1);
    assert_eq!(shop.refresh(&phone["refreshToken"]).await.status, 401);

    shop.app.delete(SESSIONS).with(&token).await.expect(204);
    assert_eq!(shop.refresh(&laptop["refreshToken"]).await.status, 401);
    assert_eq!(list().await.len(), 0);
}

#[tokio::test]
async fn id16_a_changed_password_ends_all_other_sessions() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let (other, mine) = (shop.login("ada@example.com").await, shop.login("ada@example.com").await);
    let token = text(&mine["accessToken"]);
    let change = |present: &str, new: &str| {
        let body = json!({ "currentPassword": present, "newPassword": new });
        shop.app.post("/api/v1/users/me/password", body).with(&token)
    };
    refused(&change("wrong", "a better password").await, 422, "VALIDATION_FAILED", &["currentPassword"]);
    refused(&change(PASSWORD, "short").await, 422, "VALIDATION_FAILED", &["newPassword"]);
    shop.refresh(&other["refreshToken"]).await.expect(200);

    change(PASSWORD, "a better password").await.expect(204);
    let body = |password: &str| json!({ "email": "ada@example.com", "password": password });
    shop.app.post("/api/v1/auth/login", body(PASSWORD)).await.expect(401);
    shop.app.post("/api/v1/auth/login", body("a better password")).await.expect(200);
    assert_eq!(shop.refresh(&other["refreshToken"]).await.status, 401);
    shop.refresh(&mine["refreshToken"]).await.expect(200);
    let events = shop.database.events().await;
    let (_, data) = events.iter().find(|(kind, _)| kind == "user.revoked").unwrap();
    assert!(data.contains("password-changed") && !data.contains("argon2"), "{data}");
}

#[tokio::test]
async fn a_present_password_cannot_be_guessed_without_end() {
    let shop = Shop::open().await;
    let (_, token) = shop.shopper("ada@example.com").await;
    let body = json!({ "currentPassword": "wrong", "newPassword": "a better password" });
    let mut last = 0;
    for _ in 0..11 {
        last = shop.app.post("/api/v1/users/me/password", body.clone()).with(&token).await.status;
    }
    assert_eq!(last, 429);
}
