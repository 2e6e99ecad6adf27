//! Every route over HTTP, on the stores in memory with real hashing and signing.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up ends there")]

use std::{collections::BTreeSet, sync::Arc};

use agora_chassis::{Process, WatchedFile, WatchedSecret};
use agora_testkit::{FixedClock, TestApp, TestKeys, TestResponse, internal_token};
use agora_user::{Argon2Passwords, Issue, SignedTokens, fakes::InMemoryStore, service::UserService};
use agora_vocab::{Role, UserId};
use agora_web::TokenVerifier;
use argon2::Params;
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery";
const INTERNAL_SECRET: &str = "internal-secret";

struct Shop {
    app: TestApp,
    internal: TestApp,
    store: InMemoryStore,
    accounts: UserService,
    keys: TestKeys,
}

/// With the real clock, which token verifiers read.
fn shop() -> Shop {
    let process = Process::for_test("user");
    let keys = TestKeys::new();
    let store = InMemoryStore::new(process.clock());
    let (key, set) = (WatchedFile::fixed(keys.signing_key_pem()), WatchedFile::fixed(keys.jwks()));
    let issue = Issue { issuer: TestKeys::ISSUER.into(), audience: TestKeys::AUDIENCE.into(), lifetime_s: 900 };
    let accounts = UserService {
        users: Arc::new(store.clone()),
        sessions: Arc::new(store.clone()),
        addresses: Arc::new(store.clone()),
        passwords: Arc::new(Argon2Passwords::with(Params::new(64, 1, 1, None).unwrap(), 2, 64).unwrap()),
        tokens: Arc::new(SignedTokens::new(key, set.clone(), issue, process.clock(), process.ids())),
        ids: process.ids(),
    };
    let verifier = TokenVerifier::watch(set, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
    let routers = agora_user::routers(accounts.clone(), verifier, WatchedSecret::fixed(INTERNAL_SECRET));
    Shop { app: TestApp::new(routers.public), internal: TestApp::new(routers.internal), store, accounts, keys }
}

impl Shop {
    async fn register(&self, email: &str) -> Value {
        let body = json!({ "email": email, "password": PASSWORD, "firstname": "Ada", "lastname": "Lovelace" });
        self.app.post("/api/v1/auth/register", body).await.expect(201).body
    }

    async fn login(&self, email: &str) -> Value {
        let body = json!({ "email": email, "password": PASSWORD });
        self.app.post("/api/v1/auth/login", body).await.expect(200).body
    }

    async fn refresh(&self, token: &Value) -> TestResponse {
        self.app.post("/api/v1/auth/refresh", json!({ "refreshToken": token })).await
    }

    /// Registers and logs in; returns id and access token.
    async fn shopper(&self, email: &str) -> (String, String) {
        self.register(email).await;
        let tokens = self.login(email).await;
        (text(&tokens["user"]["id"]), text(&tokens["accessToken"]))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Names of the invalid fields.
fn fields(answer: &TestResponse) -> BTreeSet<String> {
    answer.body["details"].as_array().unwrap().iter().map(|detail| text(&detail["field"])).collect()
}

#[tokio::test]
async fn registration_returns_the_account_without_the_password() {
    let shop = shop();
    let body = json!({
        "email": " Ada@Example.com ", "password": PASSWORD, "firstname": "Ada", "lastname": "Lovelace",
        "username": "ada", "phone": "+44 20 1234567",
    });
    let answer = shop.app.post("/api/v1/auth/register", body).await.expect(201);
    let user = &answer.body;
    assert_eq!(answer.header("location"), format!("/api/v1/users/{}", text(&user["id"])));
    let names: BTreeSet<_> = user.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["id", "email", "firstname", "lastname", "username", "name", "phone", "roles", "status", "createdAt"];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(user["email"], "ada@example.com");
    assert_eq!(user["name"], "Ada Lovelace");
    assert_eq!(user["phone"], "+44201234567");
    assert_eq!(user["roles"], json!(["customer"]));
    assert_eq!(user["status"], "active");
    assert_eq!(text(&user["id"]).parse::<Uuid>().unwrap().get_version_num(), 7);
}

#[tokio::test]
async fn all_invalid_fields_are_named_at_once() {
    let shop = shop();
    let bad = json!({
        "email": "no address", "password": "short", "firstname": " ", "lastname": "x".repeat(101), "username": "a b",
        "name": "a\nb", "phone": "call me",
    });
    let answer = shop.app.post("/api/v1/auth/register", bad).await.expect(422);
    assert_eq!(answer.body["code"], "VALIDATION_FAILED");
    let all = ["email", "password", "firstname", "lastname", "username", "name", "phone"];
    assert_eq!(fields(&answer), all.map(str::to_owned).into());
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("short"), "what was refused is not echoed");
    assert!(shop.store.events().is_empty());
}

#[tokio::test]
async fn an_unreadable_body_is_400_and_an_invalid_one_422() {
    let shop = shop();
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
    let shop = shop();
    let body = |email: &str, username: &str| json!({ "email": email, "password": PASSWORD, "username": username });
    shop.app.post("/api/v1/auth/register", body("ada@example.com", "ada")).await.expect(201);
    let answer = shop.app.post("/api/v1/auth/register", body("ADA@example.com", "eve")).await.expect(409);
    assert_eq!(answer.body["code"], "EMAIL_TAKEN");
    let answer = shop.app.post("/api/v1/auth/register", body("eve@example.com", "Ada")).await.expect(409);
    assert_eq!(answer.body["code"], "USERNAME_TAKEN");
}

#[tokio::test]
async fn a_login_returns_both_tokens_and_the_access_token_is_accepted() {
    let shop = shop();
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
async fn an_unknown_user_a_bad_password_and_a_blocked_account_look_the_same() {
    let shop = shop();
    shop.register("ada@example.com").await;
    let blocked = shop.register("eve@example.com").await;
    shop.store.block(text(&blocked["id"]).parse::<Uuid>().map(UserId::new).unwrap());
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

/// Defect of two earlier projects (docs/DEFECTS.md): `POST /auth/register` or `GET /` returned the hash.
#[tokio::test]
async fn no_password_hash_is_in_any_response_or_event() {
    let shop = shop();
    let (id, token) = shop.shopper("ada@example.com").await;
    let hash = shop.store.hash(UserId::new(id.parse().unwrap())).unwrap();
    assert!(hash.as_str().starts_with("$argon2id$"));
    let tokens = shop.login("ada@example.com").await;
    let answers = [
        tokens.to_string(),
        shop.refresh(&tokens["refreshToken"]).await.body.to_string(),
        shop.app.get("/api/v1/users/me").with(&token).await.body.to_string(),
        shop.app.get(&format!("/api/v1/users/{id}")).with(&token).await.body.to_string(),
        shop.app.put("/api/v1/users/me", json!({ "name": "A" })).with(&token).await.body.to_string(),
        shop.app.get("/api/v1/auth/validate").with(&token).await.body.to_string(),
        serde_json::to_string(&shop.store.events()).unwrap(),
        format!("{:?}", shop.store),
    ];
    for answer in answers {
        assert!(!answer.contains("argon2") && !answer.contains(PASSWORD), "{answer}");
    }
}

/// Defect of an earlier project (docs/DEFECTS.md): tokens never expired.
#[tokio::test]
async fn tokens_expire() {
    let shop = shop();
    let (id, token) = shop.shopper("ada@example.com").await;
    let mut claims = TestKeys::claims(UserId::new(id.parse().unwrap()), &[Role::Customer]);
    claims["exp"] = json!(datetime!(2026-01-01 00:00 UTC).unix_timestamp());
    let answer = shop.app.get("/api/v1/users/me").with(&shop.keys.sign(&claims)).await.expect(401);
    assert_eq!(answer.body["error"], "Invalid token");
    let validated = shop.app.get("/api/v1/auth/validate").with(&token).await.expect(200).body;
    let left = validated["exp"].as_i64().unwrap() - now().unix_timestamp();
    assert!((880..=900).contains(&left), "{left}");
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_once_and_its_reuse_ends_the_family() {
    let shop = shop();
    shop.register("ada@example.com").await;
    let first = shop.login("ada@example.com").await;
    let second = shop.refresh(&first["refreshToken"]).await.expect(200).body;
    assert_ne!(first["refreshToken"], second["refreshToken"]);
    let access = text(&second["accessToken"]);
    shop.app.get("/api/v1/auth/validate").with(&access).await.expect(200);

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

#[tokio::test]
async fn a_logout_ends_the_session_and_repeats_harmlessly() {
    let shop = shop();
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
async fn every_protected_route_rejects_a_missing_or_invalid_token() {
    let shop = shop();
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

#[tokio::test]
async fn an_account_is_seen_and_changed_by_its_owner_and_by_admins_alone() {
    let shop = shop();
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
async fn a_partial_update_changes_what_it_names_and_nothing_else() {
    let shop = shop();
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
    let shop = shop();
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

fn london() -> Value {
    json!({ "recipient": "Ada Lovelace", "street": "Old Street 1", "city": "London", "postalCode": "W1", "country": "gb" })
}

#[tokio::test]
async fn an_address_book_is_kept_by_its_owner_alone() {
    let shop = shop();
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
    let shop = shop();
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
    let shop = shop();
    let (_, ada) = shop.shopper("ada@example.com").await;
    for _ in 0..100 {
        shop.app.post("/api/v1/users/me/addresses", london()).with(&ada).await.expect(201);
    }
    let full = shop.app.post("/api/v1/users/me/addresses", london()).with(&ada).await.expect(409);
    assert_eq!(full.body["code"], "ADDRESS_BOOK_FULL");
}

#[tokio::test]
async fn the_order_service_alone_reads_an_address_for_its_user() {
    let shop = shop();
    let (ada, token) = shop.shopper("ada@example.com").await;
    let (eve, _) = shop.shopper("eve@example.com").await;
    let added = shop.app.post("/api/v1/users/me/addresses", london()).with(&token).await.expect(201).body;
    let path = |owner: &str| format!("/internal/v1/users/{owner}/addresses/{}", text(&added["id"]));
    let order = internal_token(INTERNAL_SECRET, "order", "user", None);
    assert_eq!(shop.internal.get(&path(&ada)).internal(&order).await.expect(200).body, added);
    shop.internal.get(&path(&eve)).internal(&order).await.expect(404);
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

#[tokio::test]
async fn the_first_admin_is_created_once_and_the_password_follows_the_secret() {
    use agora_user::{Password, service::Ensured};
    let shop = shop();
    let email = agora_vocab::Email::parse("admin@example.com").unwrap();
    let ensure = |password: &str| {
        let password = Password::parse(password.to_owned()).unwrap();
        let (accounts, email) = (shop.accounts.clone(), email.clone());
        async move { accounts.ensure_admin(&email, &password).await.unwrap() }
    };
    assert!(!shop.accounts.has_admin(&email).await.unwrap());
    assert_eq!(ensure(PASSWORD).await, Ensured::Created);
    assert!(shop.accounts.has_admin(&email).await.unwrap());
    assert_eq!(ensure(PASSWORD).await, Ensured::Unchanged);
    let tokens = shop.login("admin@example.com").await;
    assert_eq!(tokens["user"]["roles"], json!(["customer", "admin"]));

    assert_eq!(ensure("another horse battery").await, Ensured::Changed);
    let old = json!({ "email": "admin@example.com", "password": PASSWORD });
    shop.app.post("/api/v1/auth/login", old).await.expect(401);
    let new = json!({ "email": "admin@example.com", "password": "another horse battery" });
    shop.app.post("/api/v1/auth/login", new).await.expect(200);
    shop.refresh(&tokens["refreshToken"]).await.expect(401);
}

#[tokio::test]
async fn an_earlier_account_with_the_admins_address_is_taken_over() {
    use agora_user::{Password, service::Ensured};
    let shop = shop();
    let (_, squatter) = shop.shopper("admin@example.com").await;
    let email = agora_vocab::Email::parse("admin@example.com").unwrap();
    let password = Password::parse("another horse battery".to_owned()).unwrap();
    assert!(!shop.accounts.has_admin(&email).await.unwrap(), "an account is no admin");
    assert_eq!(shop.accounts.ensure_admin(&email, &password).await.unwrap(), Ensured::Changed);
    shop.app.get("/api/v1/auth/validate").with(&squatter).await.expect(401);
    let old = json!({ "email": "admin@example.com", "password": PASSWORD });
    shop.app.post("/api/v1/auth/login", old).await.expect(401);
}

#[tokio::test]
async fn an_idle_session_expires_after_seven_days() {
    let clock = FixedClock::at(now());
    let mut shop = shop();
    shop.store = InMemoryStore::new(Arc::new(clock.clone()));
    let store = Arc::new(shop.store.clone());
    let accounts = UserService { users: store.clone(), sessions: store, ..shop.accounts.clone() };
    let process = Process::for_test("user");
    let verifier =
        TokenVerifier::watch(WatchedFile::fixed(shop.keys.jwks()), TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
    shop.app = TestApp::new(agora_user::routers(accounts, verifier, WatchedSecret::fixed(INTERNAL_SECRET)).public);
    shop.register("ada@example.com").await;
    let tokens = shop.login("ada@example.com").await;
    clock.advance(time::Duration::days(7) - time::Duration::SECOND);
    let next = shop.refresh(&tokens["refreshToken"]).await.expect(200).body;
    clock.advance(time::Duration::days(7));
    shop.refresh(&next["refreshToken"]).await.expect(401);
}

#[expect(clippy::disallowed_methods, reason = "tokens are verified by the real clock")]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
