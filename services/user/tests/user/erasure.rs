//! The erasure of accounts: what is left of a person, and of an administrator's power.

use agora_outbox::DedupKey;
use agora_testkit::{Request, refused};
use agora_user::{
    domain::{Device, Password, REFRESH_GRACE, TokenDigest},
    ports::{NewSession, UserError},
};
use agora_vocab::{Email, Role, SessionId, UserId};
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::{
    address_book::london,
    fixture::{PASSWORD, Shop, text},
};

const EMAIL: &str = "countess@example.com";
const USERS: &str = "/api/v1/admin/users";
/// What the tests store about the person, in lower case.
const PERSONAL: [&str; 10] = [
    EMAIL,
    "next-address@example.com",
    "augusta",
    "lovelace",
    "ada-l",
    "030987654",
    "old street 1",
    "192.0.2.77",
    "laptop/9.1",
    "$argon2id$",
];

fn admin(shop: &Shop) -> String {
    shop.keys.token(UserId::new(Uuid::nil()), &[Role::Admin])
}

fn erase_own(shop: &Shop, token: &str, password: &str) -> Request {
    shop.delete("/api/v1/users/me", &json!({ "password": password })).with(token)
}

fn erase(shop: &Shop, id: &str) -> Request {
    shop.app.delete(&format!("{USERS}/{id}")).with(&admin(shop))
}

fn login(shop: &Shop, email: &str) -> Request {
    let login = shop.app.post("/api/v1/auth/login", json!({ "email": email, "password": PASSWORD }));
    login.header("x-forwarded-for", "192.0.2.77").header("user-agent", "Laptop/9.1")
}

/// Registers a person of whom something is in every table that can hold it. Returns id, access and refresh token.
async fn known_person(shop: &Shop) -> (String, String, String) {
    let body = json!({ "email": EMAIL, "password": PASSWORD, "firstname": "Augusta", "lastname": "Lovelace" });
    shop.app.post("/api/v1/auth/register", body).await.expect(201);
    let tokens = login(shop, EMAIL).await.expect(200).body;
    let (id, token) = (text(&tokens["user"]["id"]), text(&tokens["accessToken"]));
    let profile = json!({ "phone": "030 987654", "username": "ada-l", "name": "Augusta Lovelace" });
    shop.app.put("/api/v1/users/me", profile).with(&token).key("profile").await.expect(200);
    shop.app.post("/api/v1/users/me/addresses", london()).with(&token).key("address").await.expect(201);
    let path = format!("/api/v1/users/{id}");
    shop.app.put(&path, json!({ "name": "Augusta L." })).with(&admin(shop)).key("by-admin").await.expect(200);
    let change = json!({ "newEmail": "next-address@example.com", "password": PASSWORD });
    shop.app.post("/api/v1/users/me/email", change).with(&token).await.expect(202);
    for announced in [true, false] {
        shop.app.post("/api/v1/auth/password-reset", json!({ "email": EMAIL })).await.expect(202);
        if announced {
            shop.service.announce_resets().await.unwrap();
        }
    }
    (id, token, text(&tokens["refreshToken"]))
}

/// Asserts that no table holds anything of the person.
async fn assert_nothing_left(shop: &Shop) {
    let dump = shop.database.dump().await;
    for personal in PERSONAL {
        let rows: Vec<&str> = dump.lines().filter(|row| row.contains(personal)).collect();
        assert!(rows.is_empty(), "{personal} is left: {rows:#?}");
    }
}

async fn count(shop: &Shop, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut *shop.database.db.acquire().await.unwrap()).await.unwrap()
}

/// Creates an administrator and returns an access token.
async fn administrator(shop: &Shop, email: &str) -> String {
    let password = Password::parse(PASSWORD).unwrap();
    shop.service.ensure_admin(&Email::parse(email).unwrap(), &password).await.unwrap();
    text(&shop.login(email).await["accessToken"])
}

#[tokio::test]
async fn an_erased_account_leaves_nothing_personal_in_any_table_and_frees_its_address_and_name() {
    let shop = Shop::open().await;
    let (id, token, refresh) = known_person(&shop).await;
    let dump = shop.database.dump().await;
    for personal in PERSONAL {
        assert!(dump.contains(personal), "{personal} is not stored: the test shows nothing");
    }
    refused(&erase_own(&shop, &token, "wrong horse").await, 422, "VALIDATION_FAILED", &["password"]);
    assert!(erase_own(&shop, &token, PASSWORD).await.expect(204).bytes.is_empty());
    assert_nothing_left(&shop).await;
    assert_eq!(shop.database.events().await, [("user.erased".to_owned(), json!({ "userId": id }).to_string())]);
    for table in [
        "select count(*) from refresh_token",
        "select count(*) from addresses",
        "select count(*) from password_reset",
        "select count(*) from email_change",
        "select count(*) from idempotency",
        "select count(*) from auth_session where ended_at is null",
    ] {
        assert_eq!(count(&shop, table).await, 0, "{table}");
    }
    assert_eq!(count(&shop, "select count(*) from blocked_auth").await, 1, "its access tokens are revoked");

    login(&shop, EMAIL).await.expect(401);
    shop.refresh(&json!(refresh)).await.expect(401);
    shop.app.get("/api/v1/auth/validate").with(&token).await.expect(401);
    let body = json!({ "email": EMAIL, "password": PASSWORD, "username": "ada-l" });
    let again = shop.app.post("/api/v1/auth/register", body).await.expect(201).body;
    assert_ne!(again["id"], json!(id));
    login(&shop, EMAIL).await.expect(200);
}

#[tokio::test]
async fn an_erasure_by_an_administrator_is_complete_idempotent_and_leaves_other_users_alone() {
    let shop = Shop::open().await;
    let (_, eve) = shop.shopper("eve@example.com").await;
    shop.app.put("/api/v1/users/me", json!({ "name": "Eve" })).with(&eve).key("k").await.expect(200);
    let mut elsewhere = london();
    elsewhere["recipient"] = json!("Eve");
    elsewhere["street"] = json!("New Street 2");
    shop.app.post("/api/v1/users/me/addresses", elsewhere).with(&eve).await.expect(201);
    let of_eve = async || {
        let dump = shop.database.dump().await;
        let words = ["eve@example.com", "new street 2", ",eve,"];
        words.map(|word| dump.lines().filter(|row| row.contains(word)).count())
    };
    let before = of_eve().await;
    assert!(before.iter().all(|rows| *rows > 0), "{before:?}");

    let (id, token, _) = known_person(&shop).await;
    let by_shopper = shop.app.delete(&format!("{USERS}/{id}")).with(&eve).await;
    refused(&by_shopper, 403, "FORBIDDEN", &[]);
    for _ in 0..3 {
        erase(&shop, &id).await.expect(204);
    }
    erase_own(&shop, &token, PASSWORD).await.expect(204);
    erase(&shop, &Uuid::from_u128(7).to_string()).await.expect(404);
    refused(&erase(&shop, &Uuid::nil().to_string()).await, 409, "OWN_ACCOUNT", &[]);
    // The names of the fixture are those of Eve, too.
    let dump = shop.database.dump().await;
    for personal in PERSONAL.into_iter().filter(|word| !["lovelace", "$argon2id$"].contains(word)) {
        assert!(!dump.contains(personal), "{personal} is left");
    }
    assert_eq!(of_eve().await, before);
    let erased = shop.database.events().await.into_iter().filter(|(kind, _)| kind == "user.erased").count();
    assert_eq!(erased, 1);
    shop.app.get("/api/v1/auth/validate").with(&eve).await.expect(200);
}

#[tokio::test]
async fn an_erased_account_is_found_and_changed_by_no_route() {
    let shop = Shop::open().await;
    let (id, token, _) = known_person(&shop).await;
    erase(&shop, &id).await.expect(204);
    let admin = admin(&shop);
    let list = shop.app.get(USERS).with(&admin).await.expect(200).body;
    assert_eq!(list["items"], json!([]));
    let path = format!("/api/v1/users/{id}");
    shop.app.get(&path).with(&admin).await.expect(404);
    shop.app.put(&path, json!({ "name": "Augusta" })).with(&admin).key("late").await.expect(404);
    shop.app.put(&format!("{path}/preferences"), json!({ "promotions": true })).with(&admin).await.expect(404);
    let status = format!("{USERS}/{id}/status");
    shop.app.put(&status, json!({ "status": "active" })).with(&admin).await.expect(404);
    // An access token is accepted here until the list of revoked sessions is read.
    shop.app.put("/api/v1/users/me", json!({ "name": "Augusta" })).with(&token).await.expect(404);
    shop.app.post("/api/v1/users/me/addresses", london()).with(&token).key("late").await.expect(404);
    shop.app.post("/api/v1/users/me/export", json!({ "password": PASSWORD })).with(&token).await.expect(401);
    let change = json!({ "newEmail": "next-address@example.com", "password": PASSWORD });
    shop.app.post("/api/v1/users/me/email", change).with(&token).await.expect(401);
    shop.app.post("/api/v1/auth/password-reset", json!({ "email": EMAIL })).await.expect(202);
    shop.service.announce_resets().await.unwrap();
    assert_nothing_left(&shop).await;
}

#[tokio::test]
async fn what_is_written_at_the_time_of_an_erasure_is_erased_or_refused() {
    for _ in 0..6 {
        // A new one each time: the limits of attempts would be reached.
        let shop = Shop::open().await;
        let (id, token, refresh) = known_person(&shop).await;
        let (app, key) = (&shop.app, "race");
        let book = "/api/v1/users/me/addresses";
        let change = json!({ "newEmail": "next-address@example.com", "password": PASSWORD });
        let requests = [
            app.put("/api/v1/users/me", json!({ "name": "Augusta" })).with(&token).key(key),
            app.post(book, london()).with(&token).key(key),
            app.post(book, london()).with(&token).key("another"),
            app.post("/api/v1/users/me/email", change).with(&token),
            app.post("/api/v1/auth/refresh", json!({ "refreshToken": refresh })),
            login(&shop, EMAIL),
            erase(&shop, &id),
            login(&shop, EMAIL),
            app.put(&format!("/api/v1/users/{id}"), json!({ "phone": "030987654" })).with(&admin(&shop)).key(key),
        ];
        let writes = join_all(requests.into_iter().map(IntoFuture::into_future));
        let (answers, announced) = tokio::join!(writes, shop.service.announce_resets());
        announced.unwrap();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses[6], 204, "{statuses:?}");
        let expected = [200, 201, 202, 204, 401, 404, 422];
        assert!(statuses.iter().all(|status| expected.contains(status)), "{statuses:?}");
        shop.service.announce_resets().await.unwrap();
        assert_nothing_left(&shop).await;
        let last = shop.database.events().await.into_iter().filter(|(_, data)| data.contains(&id)).collect::<Vec<_>>();
        assert_eq!(last.len(), 1, "{last:?}");
        shop.refresh(&json!(refresh)).await.expect(401);
    }
}

#[tokio::test]
async fn of_many_erasures_at_once_one_takes_effect() {
    let shop = Shop::open().await;
    let (id, token, _) = known_person(&shop).await;
    let own = (0..4).map(|_| erase_own(&shop, &token, PASSWORD));
    let by_admin = (0..4).map(|_| erase(&shop, &id));
    for answer in join_all(own.chain(by_admin).map(IntoFuture::into_future)).await {
        assert_eq!(answer.status, 204);
    }
    assert_eq!(shop.database.events().await.len(), 1);
    assert_nothing_left(&shop).await;
}

#[tokio::test]
async fn the_last_administrator_cannot_be_erased() {
    let shop = Shop::open().await;
    let first = administrator(&shop, "first@example.com").await;
    refused(&erase_own(&shop, &first, PASSWORD).await, 409, "LAST_ADMIN", &[]);
    let id = text(&shop.app.get("/api/v1/users/me").with(&first).await.expect(200).body["id"]);
    refused(&erase(&shop, &id).await, 409, "LAST_ADMIN", &[]);
    shop.login("first@example.com").await;

    let second = administrator(&shop, "second@example.com").await;
    let other = text(&shop.app.get("/api/v1/users/me").with(&second).await.expect(200).body["id"]);
    shop.database.block(other.parse().unwrap()).await;
    refused(&erase_own(&shop, &first, PASSWORD).await, 409, "LAST_ADMIN", &[]);
    administrator(&shop, "second@example.com").await;
    erase_own(&shop, &first, PASSWORD).await.expect(204);
}

#[tokio::test]
async fn of_two_administrators_who_are_erased_at_once_one_is_left() {
    for _ in 0..4 {
        let shop = Shop::open().await;
        let (first, second) =
            (administrator(&shop, "a@example.com").await, administrator(&shop, "b@example.com").await);
        let both = [erase_own(&shop, &first, PASSWORD), erase_own(&shop, &second, PASSWORD)];
        let answers = join_all(both.into_iter().map(IntoFuture::into_future)).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409]);
        let left = "select count(*) from users where 'admin' = any (roles) and status = 'active'";
        assert_eq!(count(&shop, left).await, 1);
    }
}

#[tokio::test]
async fn a_session_does_not_start_for_an_account_that_was_erased_or_has_another_address() {
    let shop = Shop::open().await;
    let (id, ..) = known_person(&shop).await;
    let found = shop.database.users().credentials(&Email::parse(EMAIL).unwrap()).await.unwrap().unwrap();
    erase(&shop, &id).await.expect(204);
    let session = NewSession {
        id: SessionId::new(Uuid::from_u128(9)),
        user: found.user.id,
        email: found.user.email,
        token: TokenDigest([7; 32]),
        device: Device::default(),
    };
    let started = shop.database.sessions().start(&session, &DedupKey::None).await;
    assert!(matches!(started, Err(UserError::NoOwner)), "{started:?}");
    let other = shop.register("eve@example.com").await;
    let stale = NewSession { user: text(&other["id"]).parse().unwrap(), ..session };
    let started = shop.database.sessions().start(&stale, &DedupKey::None).await;
    assert!(matches!(started, Err(UserError::NoOwner)), "{started:?}");
    assert_eq!(count(&shop, "select count(*) from auth_session where ended_at is null").await, 0);
}

#[tokio::test]
async fn refresh_tokens_are_refused_after_the_erasure_whether_or_not_they_were_exchanged() {
    let shop = Shop::open().await;
    let (id, _, refresh) = known_person(&shop).await;
    let next = shop.refresh(&json!(refresh)).await.expect(200).body;
    shop.database.pass(REFRESH_GRACE).await;
    erase(&shop, &id).await.expect(204);
    for token in [&json!(refresh), &next["refreshToken"]] {
        shop.refresh(token).await.expect(401);
    }
    assert_nothing_left(&shop).await;
}
