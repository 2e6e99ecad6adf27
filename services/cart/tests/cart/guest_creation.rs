//! Creations of guests' carts that are repeated with their key.

use std::{sync::Arc, time::Duration};

use agora_api::cart as api;
use agora_cart::{
    cache::RedisGuestLimit,
    domain::TokenDigest,
    http,
    ports::{GuestCarts as _, NewGuestCart, StoreError},
    service::CartService,
};
use agora_chassis::{Process, SystemIds, WatchedFile, WatchedSecret};
use agora_outbox::{DedupKey, Outcome};
use agora_redis::{Config, Redis};
use agora_testkit::{TestApp, TestKeys, refused};
use agora_vocab::CartId;
use agora_web::TokenVerifier;
use futures::future::join_all;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::{
    fixture::{Database, fresh},
    shop::{GUEST_CARTS, SECRET, Shop},
};

/// A key as clients send it.
fn key() -> String {
    fresh().to_string()
}

/// The public port of a service on this database, whose secret is another one.
fn with_secret(shop: &Shop, secret: &str) -> TestApp {
    let tokens = agora_cart::crypto::GuestTokens::new(WatchedSecret::fixed(secret));
    let (carts, catalog) = (Arc::new(shop.database.carts.clone()), Arc::new(shop.catalog.clone()));
    let service = CartService::new(carts, catalog, Arc::new(tokens), Arc::new(SystemIds));
    let process = Process::for_test("cart");
    let jwks = WatchedFile::fixed(shop.keys.jwks());
    let verifier = TokenVerifier::watch(jwks, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
    TestApp::of("cart", http::routers(service, verifier, WatchedSecret::fixed(secret), &process).public)
}

/// Every value of both tables, as text.
async fn stored(database: &Database) -> String {
    const STORED: &str = "select (select coalesce(string_agg(c::text, ' '), '') from guest_cart as c) || ' ' || \
        (select coalesce(string_agg(i::text, ' '), '') from idempotency as i)";
    let mut connection = database.db.acquire().await.unwrap();
    sqlx::query_scalar(STORED).fetch_one(&mut *connection).await.unwrap()
}

#[tokio::test]
async fn ct1_a_repeated_creation_returns_the_cart_and_its_token_once_more() {
    let shop = Shop::open().await;
    let (key, other) = (key(), key());
    let first = shop.guest_with_key(&key).await.expect(201);
    let created: api::GuestCart = first.parse();
    shop.add_as_guest(&created.cart_token, shop.list_product(9), 2).await.expect(201);
    for request in [shop.guest_with_key(&key), shop.guest_with_key(&key).raw(Vec::new())] {
        let again = request.await.expect(201);
        assert_eq!(again.body, first.body, "the first answer, although the cart has changed");
        assert_eq!((again.header("location"), again.header("cache-control")), (first.header("location"), "no-store"));
    }
    let second: api::GuestCart = shop.guest_with_key(&other).await.expect(201).parse();
    assert_ne!((created.cart.id, &created.cart_token), (second.cart.id, &second.cart_token));
    assert_eq!(shop.view_as_guest(&created.cart_token).await.expect(200).body["items"][0]["quantity"], 2);
    assert_eq!(shop.database.number("select count(*) from guest_cart").await, 2);

    shop.merge(&created.cart_token).await.expect(200);
    assert_eq!(shop.guest_with_key(&key).await.expect(201).body, first.body, "also after its end");
    refused(&shop.view_as_guest(&created.cart_token).await, 404, "CART_NOT_FOUND", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ct1_concurrent_creations_with_one_key_are_one_cart() {
    let shop = Shop::open().await;
    let key = key();
    let answers = join_all((0..20).map(|_| async { shop.guest_with_key(&key).await.expect(201).body })).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(shop.database.number("select count(*) from guest_cart").await, 1);
    assert_eq!(shop.database.number("select count(*) from idempotency").await, 1);
    let token = answers[0]["cartToken"].as_str().unwrap();
    shop.view_as_guest(token).await.expect(200);
}

#[tokio::test]
async fn ct1_another_request_with_the_key_of_a_creation_is_refused() {
    let shop = Shop::open().await;
    let key = key();
    shop.guest_with_key(&key).await.expect(201);
    // No other body is valid: nothing of the key is looked at.
    assert_eq!(shop.public.post(GUEST_CARTS, json!({"user": 1})).key(&key).await.status, 422);
    let carts = &shop.database.carts;
    let request = |hash: u8| DedupKey::Request {
        scope: "guest-carts".into(),
        key: "k".into(),
        route: "POST /x".into(),
        hash: [hash; 32],
    };
    let new = |digest: u8| NewGuestCart { id: CartId::new(fresh()), token: TokenDigest([digest; 32]) };
    let first = new(1);
    assert_eq!(carts.create_guest_cart(&first, &request(1)).await.unwrap(), Outcome::Applied(first));
    assert_eq!(carts.create_guest_cart(&new(2), &request(1)).await.unwrap(), Outcome::Duplicate(first));
    assert_eq!(carts.created_guest_cart(&request(1)).await.unwrap(), Some(first));
    let other = carts.create_guest_cart(&new(3), &request(2)).await;
    assert!(matches!(other, Err(StoreError::KeyReused)), "{other:?}");
    assert!(matches!(carts.created_guest_cart(&request(2)).await, Err(StoreError::KeyReused)));
    assert_eq!(shop.database.number("select count(*) from guest_cart").await, 2);
}

#[tokio::test]
async fn ct1_a_short_key_of_a_creation_is_refused_because_another_visitor_may_send_it() {
    let shop = Shop::open().await;
    for short in ["k", "create-guest-cart-1", "123456789012345678901"] {
        let answer = shop.guest_with_key(short).await;
        refused(&answer, 400, "INVALID_IDEMPOTENCY_KEY", &[]);
        assert!(answer.body["detail"].as_str().unwrap().contains("22 random characters"), "{}", answer.body);
    }
    assert_eq!(shop.database.number("select count(*) from guest_cart").await, 0);
    shop.guest_with_key("1234567890123456789012").await.expect(201);
}

#[tokio::test]
async fn ct1_neither_the_token_nor_the_key_of_a_creation_is_stored() {
    let shop = Shop::open().await;
    let key = key();
    let created: api::GuestCart = shop.guest_with_key(&key).await.expect(201).parse();
    let text = stored(&shop.database).await;
    let (_, code) = created.cart_token.split_once('.').unwrap();
    for secret in [created.cart_token.as_str(), code, key.as_str()] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("guest-carts"), "{text}");

    // The stored result alone, under another key, gives no token.
    let thief = self::key();
    let copied = "insert into idempotency (scope, route, key, hash, state, answer) \
        select scope, route, encode(sha256('KEY'::bytea), 'hex'), hash, state, answer from idempotency";
    let mut connection = shop.database.db.acquire().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(copied.replace("KEY", &thief))).execute(&mut *connection).await.unwrap();
    drop(connection);
    let answer = shop.guest_with_key(&thief).await;
    refused(&answer, 409, "NOT_REPEATABLE", &[]);
    assert!(!String::from_utf8_lossy(&answer.bytes).contains(code));
}

#[tokio::test]
async fn ct1_a_creation_is_repeated_while_its_secret_is_the_current_or_the_next_one() {
    let shop = Shop::open().await;
    let key = key();
    let first = shop.guest_with_key(&key).await.expect(201).body;
    let [rotating, rotated] = [format!("next,{SECRET}"), "next".to_owned()].map(|secret| with_secret(&shop, &secret));
    assert_eq!(rotating.post(GUEST_CARTS, json!({})).key(&key).await.expect(201).body, first);
    refused(&rotated.post(GUEST_CARTS, json!({})).key(&key).await, 409, "NOT_REPEATABLE", &[]);
    let token = first["cartToken"].as_str().unwrap();
    rotated.get(crate::shop::GUEST_CART).header("x-cart-token", token).await.expect(200);
}

#[tokio::test]
async fn ct1_a_repetition_does_not_count_as_a_creation() {
    const STARTED_MAX: Duration = Duration::from_secs(30);
    let process = Process::for_test("cart");
    let redis = Redis::connect(&Config::fixed(&agora_testkit::redis().await, &fresh().to_string()), &process);
    let answered = async {
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(STARTED_MAX, answered).await.unwrap();
    let limit = Arc::new(RedisGuestLimit::new(redis, &process));
    let shop = Shop::open_with(|service| service.with_guest_limit(limit)).await;
    let from = |key: &str| shop.guest_with_key(key).header("x-forwarded-for", "203.0.113.7");
    let key = key();
    let first = from(&key).await.expect(201).body;
    for _ in 0..70 {
        assert_eq!(from(&key).await.expect(201).body, first);
    }
    for _ in 1..60 {
        from(&self::key()).await.expect(201);
    }
    refused(&from(&self::key()).await, 429, "TOO_MANY_GUEST_CARTS", &[]);
    assert_eq!(from(&key).await.expect(201).body, first, "also beyond the limit");
}
