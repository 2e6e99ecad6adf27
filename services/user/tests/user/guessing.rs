//! Many wrong passwords at once, and passwords typed in another way.

use std::collections::BTreeMap;

use agora_testkit::TestResponse;
use agora_vocab::Email;
use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher as _};
use serde_json::json;

use crate::fixture::{PASSWORD, Shop};

async fn guess(shop: &Shop, email: &str, ip: Option<&str>) -> TestResponse {
    let request = shop.app.post("/api/v1/auth/login", json!({ "email": email, "password": "wrong horse" }));
    match ip {
        Some(ip) => request.header("x-forwarded-for", ip).await,
        None => request.await,
    }
}

/// How often each status came.
async fn statuses(guesses: impl IntoIterator<Item = impl Future<Output = TestResponse>>) -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    for answer in futures::future::join_all(guesses).await {
        *statuses.entry(answer.status).or_default() += 1;
        if answer.status == 429 {
            assert_eq!(answer.body["code"], "TOO_MANY_ATTEMPTS");
            assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
        }
    }
    statuses
}

#[tokio::test]
async fn guesses_at_one_account_are_limited_whether_it_exists_or_not() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    shop.register("eve@example.com").await;
    for email in ["ada@example.com", "unknown@example.com"] {
        let seen = statuses((0..400).map(|_| guess(&shop, email, None))).await;
        assert_eq!(seen, BTreeMap::from([(401, 10), (429, 390)]), "{email}");
    }
    let right = json!({ "email": "ada@example.com", "password": PASSWORD });
    shop.app.post("/api/v1/auth/login", right.clone()).await.expect(429);
    shop.login("eve@example.com").await;
    shop.app.post("/api/v1/auth/login", right).header("x-forwarded-for", "203.0.113.9").await.expect(200);
}

#[tokio::test]
async fn guesses_from_one_address_are_limited_over_all_accounts() {
    let shop = Shop::open().await;
    shop.register("eve@example.com").await;
    let guesses = (0..60).map(|n| (format!("user{n}@example.com"), Some("203.0.113.7")));
    let guesses: Vec<_> = guesses.collect();
    let seen = statuses(guesses.iter().map(|(email, ip)| guess(&shop, email, *ip))).await;
    assert_eq!(seen.get(&429), Some(&40), "{seen:?}");
    let login = json!({ "email": "eve@example.com", "password": PASSWORD });
    shop.app.post("/api/v1/auth/login", login).header("x-forwarded-for", "203.0.113.8").await.expect(200);
}

#[tokio::test]
async fn a_login_that_succeeds_is_no_guess() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    for _ in 0..30 {
        shop.login("ada@example.com").await;
    }
}

#[tokio::test]
async fn a_password_is_the_same_however_its_characters_are_composed_and_earlier_hashes_still_verify() {
    const DECOMPOSED: &str = "pa\u{308}ssword\u{a0}1";
    const COMPOSED: &str = "p\u{e4}ssword 1";
    let shop = Shop::open().await;
    let login = |password: &'static str| {
        shop.app.post("/api/v1/auth/login", json!({ "email": "ada@example.com", "password": password }))
    };
    let body = json!({ "email": "ada@example.com", "password": DECOMPOSED });
    shop.app.post("/api/v1/auth/register", body).await.expect(201);
    login(COMPOSED).await.expect(200);
    login(DECOMPOSED).await.expect(200);
    login("password 1").await.expect(401);

    // As an earlier version stored it: hashed as it was typed.
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
    let earlier = argon2.hash_password_with_salt(DECOMPOSED.as_bytes(), b"a salt of a test").unwrap().to_string();
    shop.database.store_hash("ada@example.com", &earlier).await;
    login(COMPOSED).await.expect(401);
    login(DECOMPOSED).await.expect(200);
    login(COMPOSED).await.expect(200);
    let email = Email::parse("ada@example.com").unwrap();
    let stored = shop.database.users().credentials(&email).await.unwrap().unwrap();
    assert_ne!(stored.hash.as_str(), earlier, "hashed anew at the login with it");
}
