//! Carts of visitors without a login.

use std::{sync::Arc, time::Duration};

use agora_api::cart as api;
use agora_cart::cache::RedisGuestLimit;
use agora_chassis::Process;
use agora_redis::{Config, Redis};
use agora_testkit::{Request, refused};
use agora_vocab::Money;
use serde_json::{Value, json};

use crate::{
    fixture::{eur, fresh, product},
    shop::{GUEST_CART, GUEST_CARTS, Shop},
};

fn line_at(id: &Value) -> String {
    format!("{GUEST_CART}/items/{}", id.as_str().unwrap())
}

fn units(cart: &Value) -> Vec<u64> {
    cart["items"].as_array().unwrap().iter().map(|item| item["quantity"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_visitor_without_a_login_fills_changes_and_empties_a_cart() {
    let shop = Shop::open().await;
    let (chair, table) = (shop.list_product(9), shop.list_product(9));
    let created = shop.public.post(GUEST_CARTS, json!({})).await.expect(201);
    assert_eq!((created.header("location"), created.header("cache-control")), (GUEST_CART, "no-store"));
    let api::GuestCart { cart_token: token, cart: empty } = created.parse();
    assert_eq!((empty.items.len(), empty.total, empty.version), (0, eur(0), 0));
    let viewed = shop.view_as_guest(&token).await.expect(200);
    assert_eq!((viewed.parse::<api::Cart>(), viewed.header("cache-control")), (empty.clone(), "no-store"));
    assert!(!String::from_utf8_lossy(&viewed.bytes).contains(&token), "no other answer has the token");

    let added = shop.add_as_guest(&token, chair, 2).await.expect(201);
    assert_eq!((added.header("location"), added.header("cache-control")), (GUEST_CART, "no-store"));
    assert_eq!(added.body["id"], json!(empty.id));
    shop.add_as_guest(&token, chair, 1).await.expect(201);
    shop.add_as_guest(&token, table, 1).await.expect(201);
    shop.catalog.list_product(table, 2, eur(2500), 0);
    let cart: api::Cart = shop.view_as_guest(&token).await.expect(200).parse();
    assert_eq!((cart.total, cart.version), (eur(3 * 1999 + 2500), 3));
    let seen: Vec<_> = cart.items.iter().map(|i| (i.quantity, i.price, i.available, i.price_changed)).collect();
    assert_eq!(seen, [(3, eur(1999), true, false), (1, eur(2500), false, true)], "current prices and availability");

    let line = line_at(&added.body["items"][0]["id"]);
    let change = |n: i64| shop.public.patch(&line, json!({"quantity": n})).header("x-cart-token", &token);
    assert_eq!(units(&change(5).await.expect(200).body), [5, 1]);
    let remove = || shop.public.delete(&line).header("x-cart-token", &token);
    assert_eq!(remove().await.expect(204).header("cache-control"), "no-store");
    refused(&remove().await, 404, "NOT_FOUND", &[]);
    assert_eq!(units(&shop.view_as_guest(&token).await.expect(200).body), [1]);
    assert_eq!(shop.cart().await.version, 0, "no user's cart has changed");
    assert_eq!(shop.database.number("select count(*) from outbox").await, 0, "a guest's cart has no events");
}

#[tokio::test]
async fn the_token_of_a_guest_is_stored_as_its_hash_only() {
    let shop = Shop::open().await;
    let (token, other) = (shop.guest().await, shop.guest().await);
    assert_eq!((token.len(), token == other), (43, false), "256 bits");
    shop.add_as_guest(&token, shop.list_product(9), 1).key("k").await.expect(201);
    let mut connection = shop.database.db.acquire().await.unwrap();
    let hashes: i64 = sqlx::query_scalar("select count(*) from guest_cart where token_hash = sha256($1::text::bytea)")
        .bind(&token)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let stored = "select (select string_agg(c::text, ' ') from guest_cart as c) || ' ' || \
        (select string_agg(i::text, ' ') from idempotency as i)";
    let stored: String = sqlx::query_scalar(stored).fetch_one(&mut *connection).await.unwrap();
    assert_eq!((hashes, stored.contains(&token)), (1, false));
}

#[tokio::test]
async fn a_wrong_or_expired_token_finds_no_cart_and_a_missing_one_is_asked_for() {
    let shop = Shop::open().await;
    let (chair, token) = (shop.list_product(9), shop.guest().await);
    let added = shop.add_as_guest(&token, chair, 1).key("k").await.expect(201);
    let line = line_at(&added.body["items"][0]["id"]);
    let requests = |token: &str| -> [Request; 4] {
        [
            shop.view_as_guest(token),
            shop.add_as_guest(token, chair, 1).key("k"),
            shop.public.patch(&line, json!({"quantity": 1})).header("x-cart-token", token),
            shop.public.delete(&line).header("x-cart-token", token),
        ]
    };
    let (lower, longer) = (token.to_lowercase(), format!("{token}A"));
    for wrong in ["", "wrong", lower.as_str(), longer.as_str()] {
        for request in requests(wrong) {
            let answer = request.await;
            refused(&answer, 404, "CART_NOT_FOUND", &[]);
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
    let without = [
        shop.public.get(GUEST_CART),
        shop.public.post(&format!("{GUEST_CART}/items"), json!({"productId": chair, "quantity": 1})),
        shop.public.patch(&line, json!({"quantity": 1})),
        shop.public.delete(&line),
    ];
    for request in without {
        // The login of a user does not stand for a token.
        refused(&request.with(&shop.token).await, 400, "CART_TOKEN_REQUIRED", &[]);
    }
    shop.database.execute("update guest_cart set updated_at = now() - interval '29 days'").await;
    shop.view_as_guest(&token).await.expect(200);
    shop.database.execute("update guest_cart set updated_at = now() - interval '31 days'").await;
    for request in requests(&token).into_iter().chain([shop.merge(&token)]) {
        refused(&request.await, 404, "CART_NOT_FOUND", &[]);
    }
}

#[tokio::test]
async fn a_guest_has_the_limits_and_the_validation_of_a_user() {
    let shop = Shop::open().await;
    let (chair, token) = (shop.list_product(5), shop.guest().await);
    shop.catalog.list_variant(chair, "red", 2, None);
    let post = |body: Value| shop.public.post(&format!("{GUEST_CART}/items"), body).header("x-cart-token", &token);
    refused(&shop.add_as_guest(&token, product(), 1).await, 422, "UNKNOWN_PRODUCT", &["productId"]);
    refused(&shop.add_as_guest(&token, chair, 4).await, 409, "INSUFFICIENT_QUANTITY", &["quantity"]);
    let blue = json!({"productId": chair, "quantity": 1, "variant": "blue"});
    refused(&post(blue).await, 422, "UNKNOWN_VARIANT", &["variant"]);
    let long = json!({"productId": chair, "quantity": 0, "variant": "x".repeat(65)});
    refused(&post(long).await, 422, "VALIDATION_FAILED", &["quantity", "variant"]);
    refused(&post(json!({"productId": chair, "quantity": 10_000})).await, 422, "VALIDATION_FAILED", &["quantity"]);
    refused(&post(json!({"productId": "7", "quantity": 1})).await, 422, "VALIDATION_FAILED", &["productId"]);
    assert_eq!(shop.public.post(GUEST_CARTS, json!({"user": 1})).await.status, 422);
    assert_eq!(post(json!({"x": "y".repeat(8 << 10)})).await.status, 413, "8 KiB without a login");

    let yen = product();
    shop.catalog.list_product(yen, 1, Money { amount: 5, currency: "JPY".parse().unwrap() }, 9);
    let added = shop.add_as_guest(&token, chair, 2).await.expect(201);
    refused(&shop.add_as_guest(&token, yen, 1).await, 422, "CURRENCY_MISMATCH", &["productId"]);
    for _ in 1..100 {
        shop.add_as_guest(&token, shop.list_product(1), 1).await.expect(201);
    }
    refused(&shop.add_as_guest(&token, shop.list_product(1), 1).await, 422, "CART_FULL", &[]);

    shop.catalog.stop();
    let line = line_at(&added.body["items"][0]["id"]);
    let change = |n: i64| shop.public.patch(&line, json!({"quantity": n})).header("x-cart-token", &token);
    refused(&change(3).await, 503, "UNAVAILABLE", &[]);
    assert_eq!(units(&change(1).await.expect(200).body)[0], 1, "fewer units need no catalog");
    assert!(!shop.view_as_guest(&token).await.expect(200).parse::<api::Cart>().items[0].available);
}

#[tokio::test]
async fn a_repeated_key_of_a_guest_adds_once_and_is_another_key_for_another_guest() {
    let shop = Shop::open().await;
    let (chair, token, other) = (shop.list_product(9), shop.guest().await, shop.guest().await);
    let first = shop.add_as_guest(&token, chair, 2).key("k").await.expect(201);
    assert_eq!(shop.add_as_guest(&token, chair, 2).key("k").await.expect(201).body, first.body);
    refused(&shop.add_as_guest(&token, chair, 3).key("k").await, 422, "IDEMPOTENCY_KEY_REUSED", &[]);
    shop.catalog.stop();
    assert_eq!(shop.add_as_guest(&token, chair, 2).key("k").await.expect(201).body, first.body, "without the catalog");
    assert_eq!(units(&shop.view_as_guest(&token).await.expect(200).body), [2]);
    refused(&shop.add_as_guest(&other, chair, 2).key("k").await, 503, "UNAVAILABLE", &[]);
    assert_eq!(units(&shop.view_as_guest(&other).await.expect(200).body), [0_u64; 0]);
}

#[tokio::test]
async fn a_line_is_accessible_to_its_guest_only() {
    let shop = Shop::open().await;
    let (chair, token, thief) = (shop.list_product(9), shop.guest().await, shop.guest().await);
    let added = shop.add_as_guest(&token, chair, 2).await.expect(201);
    let line = line_at(&added.body["items"][0]["id"]);
    refused(
        &shop.public.patch(&line, json!({"quantity": 1})).header("x-cart-token", &thief).await,
        404,
        "NOT_FOUND",
        &[],
    );
    refused(&shop.public.delete(&line).header("x-cart-token", &thief).await, 404, "NOT_FOUND", &[]);
    let as_user = line.replace(GUEST_CART, "/api/v1/cart");
    refused(&shop.public.delete(&as_user).with(&shop.token).await, 404, "NOT_FOUND", &[]);
    assert_eq!(units(&shop.view_as_guest(&token).await.expect(200).body), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_adds_of_a_guest_are_one_line_with_the_sum() {
    let shop = Shop::open().await;
    let (chair, token) = (shop.list_product(99), shop.guest().await);
    let adds = (0..11).map(|_| async { shop.add_as_guest(&token, chair, 1).await.expect(201) });
    futures::future::join_all(adds).await;
    let cart: api::Cart = shop.view_as_guest(&token).await.expect(200).parse();
    assert_eq!((cart.version, cart.items.len(), cart.items[0].quantity), (11, 1, 11));
}

#[tokio::test]
async fn the_sweep_deletes_carts_of_guests_30_days_after_their_last_change_in_batches() {
    let shop = Shop::open().await;
    let (chair, token, changed) = (shop.list_product(9), shop.guest().await, shop.guest().await);
    shop.add(chair, 1).await.expect(201);
    shop.database
        .execute(
            "insert into guest_cart (id, token_hash) select gen_random_uuid(), sha256(n::text::bytea) \
             from generate_series(1, 2500) as n;
             update guest_cart set created_at = now() - interval '31 days', updated_at = now() - interval '29 days'",
        )
        .await;
    assert_eq!(shop.service.sweep().await.unwrap(), 0);
    shop.database.execute("update guest_cart set updated_at = now() - interval '31 days'").await;
    refused(&shop.add_as_guest(&changed, chair, 1).await, 404, "CART_NOT_FOUND", &[]);
    shop.database.execute("update guest_cart set updated_at = now() - interval '29 days' where version = 0").await;
    shop.add_as_guest(&changed, chair, 1).await.expect(201);
    shop.database.execute("update guest_cart set updated_at = now() - interval '31 days' where version = 0").await;
    assert_eq!(shop.service.sweep().await.unwrap(), 2501);
    refused(&shop.view_as_guest(&token).await, 404, "CART_NOT_FOUND", &[]);
    assert_eq!(units(&shop.view_as_guest(&changed).await.expect(200).body), [1]);
    assert_eq!(shop.units().await, [1], "a user's cart does not expire");
}

/// Creates carts from an address until one is refused; returns how many there were.
async fn created_from(shop: &Shop, address: &str) -> usize {
    for number in 0..100 {
        let answer = shop.public.post(GUEST_CARTS, json!({})).header("x-forwarded-for", address).await;
        if answer.status != 201 {
            refused(&answer, 429, "TOO_MANY_GUEST_CARTS", &[]);
            assert!((1..=60).contains(&answer.header("retry-after").parse::<u32>().unwrap()));
            return number;
        }
    }
    100
}

#[tokio::test]
async fn an_address_creates_a_limited_number_of_carts_also_while_redis_is_away() {
    const STARTED_MAX: Duration = Duration::from_secs(30);
    let process = Process::for_test("cart");
    let there = Redis::connect(&Config::fixed(&agora_testkit::redis().await, &fresh().to_string()), &process);
    let answered = async {
        while there.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(STARTED_MAX, answered).await.unwrap();
    let away = Redis::connect(&Config::fixed("redis://127.0.0.1:1", &fresh().to_string()), &process);
    for redis in [there, away] {
        let limit = Arc::new(RedisGuestLimit::new(redis, &process));
        let shop = Shop::open_with(|service| service.with_guest_limit(limit)).await;
        assert_eq!(created_from(&shop, "203.0.113.7").await, 60);
        assert_eq!(created_from(&shop, "2001:db8:1:2::3").await, 60);
        assert_eq!(created_from(&shop, "2001:db8:1:2::4").await, 0, "a client has all addresses of its network");
        assert_eq!(created_from(&shop, "10.0.0.1").await, 100, "a proxy's, with all clients behind it");
        let token = shop.guest().await;
        shop.add_as_guest(&token, shop.list_product(1), 1).header("x-forwarded-for", "203.0.113.7").await.expect(201);
    }
}
