//! Registration over HTTP.

use std::collections::BTreeSet;

use agora_vocab::Email;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{PASSWORD, Shop, fields, text};

#[tokio::test]
async fn id1_registration_returns_the_account_without_the_password() {
    let shop = Shop::open().await;
    let body = json!({
        "email": " Ada@Example.com ", "password": PASSWORD, "firstname": "Ada", "lastname": "Lovelace",
        "username": "ada", "phone": "+44 20 1234567",
    });
    let answer = shop.app.post("/api/v1/auth/register", body).await.expect(201);
    let user = &answer.body;
    assert_eq!(answer.header("location"), format!("/api/v1/users/{}", text(&user["id"])));
    let names: BTreeSet<_> = user.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "id",
        "email",
        "firstname",
        "lastname",
        "username",
        "name",
        "phone",
        "roles",
        "status",
        "createdAt",
        "updatedAt",
        "preferences",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!(user["name"], "Ada Lovelace");
    assert_eq!(user["phone"], "+44201234567");
    assert_eq!(user["roles"], json!(["customer"]));
    assert_eq!(user["status"], "active");
    assert_eq!(text(&user["id"]).parse::<Uuid>().unwrap().get_version_num(), 7);
}

#[tokio::test]
async fn rs8_all_invalid_fields_are_named_at_once() {
    let shop = Shop::open().await;
    let bad = json!({
        "email": "no address", "password": "short", "firstname": " ", "lastname": "x".repeat(101), "username": "a b",
        "name": "a\nb", "phone": "call me",
    });
    let answer = shop.app.post("/api/v1/auth/register", bad).await.expect(422);
    assert_eq!(answer.body["code"], "VALIDATION_FAILED");
    let all = ["email", "password", "firstname", "lastname", "username", "name", "phone"];
    assert_eq!(fields(&answer), all.map(str::to_owned).into());
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("short"), "what was refused is not echoed");
    assert!(shop.database.events().await.is_empty());
}

#[tokio::test]
async fn an_unreadable_body_is_400_and_an_invalid_one_422() {
    let shop = Shop::open().await;
    let good = json!({ "email": "ada@example.com", "password": PASSWORD });
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let cases = [
        (with("roles", json!(["admin"])), 422, "roles"),
        (with("status", json!("active")), 422, "status"),
        (with("id", json!(Uuid::nil())), 422, "id"),
        (with("password", json!(12_345_678)), 422, "password"),
        (with("name", json!("4242 4242 4242 4242")), 422, "name"),
        (json!({ "email": "ada@example.com" }), 422, "password"),
    ];
    for (body, status, field) in cases {
        let answer = shop.app.post("/api/v1/auth/register", body).await.expect(status);
        assert_eq!(fields(&answer), BTreeSet::from([field.to_owned()]));
    }
    shop.app.post("/api/v1/auth/register", json!({})).raw("{").await.expect(400);
    shop.app.post("/api/v1/auth/register", json!({})).header("content-type", "text/plain").await.expect(415);
    shop.app.post("/api/v1/auth/register", json!({})).raw("x".repeat(2 << 20)).await.expect(413);
    shop.app.get("/api/v1/auth/register").await.expect(405);
    shop.app.get("/api/v1/auth/nothing").await.expect(404);
}

#[tokio::test]
async fn an_email_and_a_username_are_unique() {
    let shop = Shop::open().await;
    let body = |email: &str, username: &str| json!({ "email": email, "password": PASSWORD, "username": username });
    shop.app.post("/api/v1/auth/register", body("ada@example.com", "ada")).await.expect(201);
    let answer = shop.app.post("/api/v1/auth/register", body("ADA@example.com", "eve")).await.expect(409);
    assert_eq!(answer.body["code"], "EMAIL_TAKEN");
    let answer = shop.app.post("/api/v1/auth/register", body("eve@example.com", "Ada")).await.expect(409);
    assert_eq!(answer.body["code"], "USERNAME_TAKEN");
}

/// Defect of two earlier projects (docs/DEFECTS.md): `POST /auth/register` or `GET /` returned the hash.
#[tokio::test]
async fn no_password_hash_is_in_any_response_or_event() {
    let shop = Shop::open().await;
    let (id, token) = shop.shopper("ada@example.com").await;
    let email = Email::parse("ada@example.com").unwrap();
    let stored = shop.database.users().credentials(&email).await.unwrap().unwrap();
    assert!(stored.hash.as_str().starts_with("$argon2id$"));
    let tokens = shop.login("ada@example.com").await;
    let answers = [
        tokens.to_string(),
        shop.refresh(&tokens["refreshToken"]).await.body.to_string(),
        shop.app.get("/api/v1/users/me").with(&token).await.body.to_string(),
        shop.app.get(&format!("/api/v1/users/{id}")).with(&token).await.body.to_string(),
        shop.app.put("/api/v1/users/me", json!({ "name": "A" })).with(&token).await.body.to_string(),
        shop.app.get("/api/v1/auth/validate").with(&token).await.body.to_string(),
        format!("{:?}", shop.database.events().await),
        format!("{stored:?}"),
    ];
    for answer in answers {
        assert!(!answer.contains("argon2") && !answer.contains(PASSWORD), "{answer}");
    }
}

#[tokio::test]
async fn registrations_from_one_address_are_limited_and_those_behind_a_proxy_are_not() {
    let shop = Shop::open().await;
    let register = |n: usize, ip: &'static str| {
        let body = json!({ "email": format!("ada{n}.{}@example.com", ip.replace('.', "-")), "password": PASSWORD });
        shop.app.post("/api/v1/auth/register", body).header("x-forwarded-for", ip)
    };
    for n in 0..20 {
        register(n, "203.0.113.7").await.expect(201);
    }
    let refused = register(20, "203.0.113.7").await.expect(429);
    assert_eq!(refused.body["code"], "TOO_MANY_ATTEMPTS");
    assert!((1..=10).contains(&refused.header("retry-after").parse::<u32>().unwrap()));
    register(0, "203.0.113.8").await.expect(201);
    for n in 0..25 {
        register(n, "10.0.0.1").await.expect(201);
    }
}

#[tokio::test]
async fn an_address_of_mail_is_at_a_host_name() {
    let shop = Shop::open().await;
    for email in ["ada@127.0.0.1", "ada@[127.0.0.1]", "4111111111111111@example.com"] {
        let answer = shop.app.post("/api/v1/auth/register", json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!((answer.status, fields(&answer)), (422, BTreeSet::from(["email".to_owned()])), "{email}");
    }
}

#[tokio::test]
async fn rs9_texts_that_look_like_sql_are_stored_as_they_were_sent_and_open_nothing() {
    let shop = Shop::open().await;
    let texts = [
        "'); drop table users; --",
        "' or '1'='1",
        "\\'; select pg_sleep(30); --",
        "Robert'; delete from auth_session where 'a' = 'a",
        "$1",
        "%",
        "null",
        "\"users\"",
    ];
    for (n, text) in texts.into_iter().enumerate() {
        let body =
            json!({ "email": format!("user-{n}@example.com"), "password": PASSWORD, "firstname": text, "name": text });
        let user = shop.app.post("/api/v1/auth/register", body).await.expect(201).body;
        assert_eq!((&user["firstname"], &user["name"]), (&json!(text), &json!(text)));
        for (email, password) in [(text, PASSWORD), ("user-0@example.com", text)] {
            let login = json!({ "email": email, "password": password });
            shop.app.post("/api/v1/auth/login", login).await.expect(401);
        }
        shop.app.post("/api/v1/auth/refresh", json!({ "refreshToken": text })).await.expect(401);
        let address = json!({ "recipient": text, "street": text, "city": text, "postalCode": "1", "country": "DE" });
        let tokens = shop.login(&format!("user-{n}@example.com")).await;
        let added = shop.app.post("/api/v1/users/me/addresses", address);
        let added = added.with(&crate::fixture::text(&tokens["accessToken"])).await.expect(201).body;
        assert_eq!(added["street"], text);
    }
    let users: i64 = sqlx::query_scalar("select count(*) from users")
        .fetch_one(&mut *shop.database.db.acquire().await.unwrap())
        .await
        .unwrap();
    assert_eq!(usize::try_from(users).unwrap(), texts.len());
}
