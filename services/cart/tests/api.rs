//! The cart over HTTP on the fakes: every route with its responses and errors, and the contract tests on the fakes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

#[path = "support/contract.rs"]
mod contract;

use std::sync::Arc;

use agora_api::cart as api;
use agora_cart::{
    fakes::{FakeCatalog, InMemoryCarts},
    handle, http,
    service::CartService,
};
use agora_chassis::{Process, SystemIds, WatchedFile, WatchedSecret};
use agora_events::{
    Envelope, Event,
    catalog::{Product, ProductDeleted, ProductEvent},
    order::{Order, OrderEvent},
};
use agora_testkit::{Request, TestApp, TestKeys, TestResponse, internal_token};
use agora_vocab::{Money, OrderId, ProductId, Role, SellerId, UserId};
use agora_web::TokenVerifier;
use contract::{eur, fresh, order, product, user};
use serde_json::{Value, json, value::to_raw_value};
use time::OffsetDateTime;

const SECRET: &str = "only-for-tests";

/// The service under test and one user.
struct Shop {
    public: TestApp,
    internal: TestApp,
    carts: InMemoryCarts,
    catalog: FakeCatalog,
    service: CartService,
    keys: TestKeys,
    me: UserId,
    token: String,
    order_token: String,
}

impl Shop {
    fn open() -> Self {
        let (carts, catalog) = (InMemoryCarts::default(), FakeCatalog::default());
        let service = CartService::new(Arc::new(carts.clone()), Arc::new(catalog.clone()), Arc::new(SystemIds));
        let (keys, process, me) = (TestKeys::new(), Process::for_test("cart"), user());
        let jwks = WatchedFile::fixed(keys.jwks());
        let verifier = TokenVerifier::watch(jwks, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let routers = http::routers(service.clone(), verifier, WatchedSecret::fixed(SECRET));
        Self {
            public: TestApp::new(routers.public),
            internal: TestApp::new(routers.internal),
            carts,
            catalog,
            service,
            token: keys.token(me, &[Role::Customer]),
            keys,
            me,
            order_token: internal_token(SECRET, "order", "cart", None),
        }
    }

    /// Adds a product at 19.99 EUR with this stock to the catalog.
    fn list_product(&self, stock: i64) -> ProductId {
        let id = product();
        self.catalog.list_product(id, 1, eur(1999), stock);
        id
    }

    fn add(&self, product: ProductId, quantity: i64) -> Request {
        let body = json!({"productId": product, "quantity": quantity});
        self.public.post("/api/v1/cart/items", body).with(&self.token)
    }

    async fn cart(&self) -> api::Cart {
        self.public.get("/api/v1/cart").with(&self.token).await.expect(200).parse()
    }

    async fn units(&self) -> Vec<u32> {
        self.cart().await.items.iter().map(|item| item.quantity).collect()
    }

    fn command(&self, path: &str, body: Value) -> Request {
        self.internal.post(path, body).internal(&self.order_token).header("x-command-id", &fresh().to_string())
    }

    fn begin_checkout(&self, order: OrderId) -> Request {
        self.command("/internal/v1/begin-checkout", json!({"orderId": order, "userId": self.me}))
    }

    fn cancel_checkout(&self, order: OrderId) -> Request {
        self.command("/internal/v1/cancel-checkout", json!({"orderId": order}))
    }

    /// Delivers the event twice, as the broker may.
    async fn deliver<E: Event>(&self, event: &E) {
        let envelope = envelope(event);
        handle(self.service.clone(), vec![envelope.clone()]).await.unwrap();
        handle(self.service.clone(), vec![envelope]).await.unwrap();
    }
}

/// Path of the line.
fn line_at(id: &Value) -> String {
    format!("/api/v1/cart/items/{}", id.as_str().unwrap())
}

fn envelope<E: Event>(event: &E) -> Envelope {
    let (kind, data) = Envelope::parts(event).unwrap();
    Envelope {
        id: fresh(),
        kind: kind.to_owned(),
        version: 1,
        time: OffsetDateTime::UNIX_EPOCH,
        key: "k".into(),
        seq: 1,
        epoch: 0,
        trace: None,
        correlation_id: None,
        causation_id: None,
        data,
    }
}

fn product_event(id: ProductId, version: i64, price: Money) -> Product {
    Product {
        product_id: id,
        version,
        name: format!("Chair {version}"),
        description: String::new(),
        sku: None,
        price,
        category: None,
        brand: None,
        supplier: None,
        image_url: None,
        seller_id: SellerId::HOUSE,
    }
}

fn order_event(order_id: OrderId, from_cart: bool) -> Order {
    let cart_id = from_cart.then(|| agora_vocab::CartId::new(fresh()));
    Order {
        order_id,
        number: "A-1000001".into(),
        user_id: user(),
        cart_id,
        hold: 1,
        payment_id: None,
        status: String::new(),
        payment_status: String::new(),
        items: Vec::new(),
        total: eur(0),
    }
}

/// Asserts a problem response with this status, this code and these fields.
fn refused(answer: &TestResponse, status: u16, code: &str, fields: &[&str]) {
    let body = String::from_utf8_lossy(&answer.bytes).into_owned();
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{body}");
    let problem: agora_api::Problem = answer.parse();
    assert_eq!(problem.code, code, "{body}");
    let named: Vec<&str> = problem.details.iter().map(|detail| detail.field.as_str()).collect();
    assert_eq!(named, fields, "{body}");
}

#[tokio::test]
async fn the_fakes_pass_the_contract_tests() {
    contract::all_hold(&InMemoryCarts::default()).await;
}

#[tokio::test]
async fn a_shopper_fills_changes_and_empties_a_cart() {
    let shop = Shop::open();
    let (chair, table) = (shop.list_product(9), shop.list_product(9));
    let empty = shop.cart().await;
    assert_eq!((empty.items.len(), empty.total, empty.version), (0, eur(0), 0));

    let added = shop.add(chair, 2).await.expect(201);
    assert_eq!(added.header("location"), "/api/v1/cart");
    assert_eq!(added.body["id"], json!(empty.id));
    shop.add(table, 1).await.expect(201);
    let cart = shop.cart().await;
    assert_eq!(cart.total, eur(3 * 1999));
    let item = &cart.items[0];
    assert_eq!((item.product_id, item.quantity, item.price), (chair, 2, eur(1999)));
    assert_eq!((item.name.as_str(), item.available, item.price_changed), ("Chair 1", true, false));
    assert_eq!(item.image_url.as_deref(), Some("https://example.com/chair.png"));

    let line = line_at(&added.body["items"][0]["id"]);
    let changed = shop.public.patch(&line, json!({"quantity": 5})).with(&shop.token).await.expect(200);
    assert_eq!(changed.parse::<api::Cart>(), shop.cart().await);
    assert_eq!(shop.units().await, [5, 1]);
    shop.public.delete(&line).with(&shop.token).await.expect(204);
    assert_eq!(shop.units().await, [1]);
    assert_eq!(shop.public.delete(&line).with(&shop.token).await.status, 404);
    assert_eq!(shop.cart().await.version, 4);
}

#[tokio::test]
async fn every_route_needs_a_token() {
    let shop = Shop::open();
    let line = format!("/api/v1/cart/items/{}", fresh());
    for request in [
        shop.public.get("/api/v1/cart"),
        shop.public.post("/api/v1/cart/items", json!({"productId": fresh(), "quantity": 1})),
        shop.public.patch(&line, json!({"quantity": 1})),
        shop.public.delete(&line),
    ] {
        assert_eq!(request.clone().await.expect(401).body["error"], "No token provided");
        assert_eq!(request.with("nonsense").await.expect(401).body["error"], "Invalid token");
    }
    for token in [internal_token(SECRET, "gateway", "cart", None), internal_token("other", "order", "cart", None)] {
        let take = shop.internal.post("/internal/v1/begin-checkout", json!({"orderId": fresh(), "userId": fresh()}));
        assert_eq!(take.internal(&token).header("x-command-id", &fresh().to_string()).await.status, 401);
    }
    let take = shop.internal.post("/internal/v1/begin-checkout", json!({"orderId": fresh(), "userId": fresh()}));
    refused(&take.internal(&shop.order_token).await, 400, "INVALID_COMMAND_ID", &[]);
}

/// Defect of A (docs/DEFECTS.md): a quantity could be negative or above the stock when lines were merged, and a change was not checked at all.
#[tokio::test]
async fn quantities_are_checked_when_added_merged_and_changed() {
    let shop = Shop::open();
    let chair = shop.list_product(5);
    let line = shop.add(chair, 3).await.expect(201).body["items"][0]["id"].clone();
    let line = line_at(&line);
    let change = |body: Value| shop.public.patch(&line, body).with(&shop.token);
    for quantity in [json!(0), json!(-5), json!(10_000), json!(1.5), json!("2"), json!(null)] {
        let body = json!({"productId": chair, "quantity": quantity});
        let add = shop.public.post("/api/v1/cart/items", body).with(&shop.token);
        refused(&add.await, 422, "VALIDATION_FAILED", &["quantity"]);
        refused(&change(json!({"quantity": quantity})).await, 422, "VALIDATION_FAILED", &["quantity"]);
    }
    for answer in [shop.add(chair, 3).await, change(json!({"quantity": 6})).await] {
        refused(&answer, 409, "INSUFFICIENT_QUANTITY", &["quantity"]);
        let seen = [&answer.body["productId"], &answer.body["requested"], &answer.body["available"]];
        assert_eq!(seen, [&json!(chair), &json!(6), &json!(5)]);
    }
    refused(&change(json!({"qty": 1})).await, 422, "VALIDATION_FAILED", &["qty"]);
    refused(&change(json!({})).await, 422, "VALIDATION_FAILED", &["quantity"]);
    assert_eq!(shop.units().await, [3]);
    assert_eq!(shop.cart().await.version, 1);
}

/// Defect of A (docs/DEFECTS.md): every rejected request returned 500.
#[tokio::test]
async fn rejections_have_specific_codes() {
    let shop = Shop::open();
    let chair = shop.list_product(5);
    let post = |body: Value| shop.public.post("/api/v1/cart/items", body).with(&shop.token);
    refused(&shop.add(product(), 1).await, 422, "UNKNOWN_PRODUCT", &["productId"]);
    let long = json!({"productId": chair, "quantity": 0, "variant": "x".repeat(65)});
    refused(&post(long).await, 422, "VALIDATION_FAILED", &["quantity", "variant"]);
    let bad = json!({"productId": chair, "quantity": 1, "variant": "a\u{0}"});
    refused(&post(bad).await, 422, "VALIDATION_FAILED", &["variant"]);
    refused(&post(json!({"productId": "7", "quantity": 1})).await, 422, "VALIDATION_FAILED", &["productId"]);
    assert_eq!(post(json!({})).raw("{").await.status, 400);
    assert_eq!(post(json!({})).header("content-type", "text/plain").await.status, 415);
    assert_eq!(shop.public.delete("/api/v1/cart/items/7").with(&shop.token).await.status, 400);
    assert_eq!(shop.public.delete("/api/v1/cart").with(&shop.token).await.status, 405);

    let yen = product();
    shop.catalog.list_product(yen, 1, Money { amount: 5, currency: "JPY".parse().unwrap() }, 9);
    shop.add(chair, 1).await.expect(201);
    refused(&shop.add(yen, 1).await, 422, "CURRENCY_MISMATCH", &["productId"]);
    for _ in 1..100 {
        shop.add(shop.list_product(1), 1).await.expect(201);
    }
    refused(&shop.add(shop.list_product(1), 1).await, 422, "CART_FULL", &[]);
    assert_eq!(shop.units().await.len(), 100);
}

#[tokio::test]
async fn the_line_of_another_user_is_not_found() {
    let shop = Shop::open();
    let line = shop.add(shop.list_product(5), 3).await.expect(201).body["items"][0]["id"].clone();
    let thief = shop.keys.token(user(), &[Role::Customer, Role::Admin]);
    let line = line_at(&line);
    assert_eq!(shop.public.patch(&line, json!({"quantity": 1})).with(&thief).await.status, 404);
    assert_eq!(shop.public.delete(&line).with(&thief).await.status, 404);
    assert_eq!(shop.units().await, [3]);
}

#[tokio::test]
async fn a_repeated_key_adds_once() {
    let shop = Shop::open();
    let chair = shop.list_product(9);
    let first = shop.add(chair, 2).key("k").await.expect(201);
    assert_eq!(shop.add(chair, 2).key("k").await.expect(201).body, first.body);
    refused(&shop.add(chair, 3).key("k").await, 422, "IDEMPOTENCY_KEY_REUSED", &[]);
    assert_eq!(shop.units().await, [2]);
}

#[tokio::test]
async fn a_cart_shows_current_prices_and_stock() {
    let shop = Shop::open();
    let (dearer, sold_out, gone) = (shop.list_product(9), shop.list_product(9), shop.list_product(9));
    for id in [dearer, sold_out, gone] {
        shop.add(id, 2).await.expect(201);
    }
    shop.catalog.list_product(dearer, 2, eur(2500), 9);
    shop.catalog.list_product(sold_out, 1, eur(1999), 1);
    shop.catalog.withdraw(gone);
    let cart = shop.cart().await;
    let seen: Vec<_> = cart.items.iter().map(|i| (i.price.amount, i.available, i.price_changed)).collect();
    assert_eq!(seen, [(2500, true, true), (1999, false, false), (1999, false, false)]);
    assert_eq!(cart.total, eur(2 * (2500 + 1999 + 1999)));

    shop.add(dearer, 1).await.expect(201);
    assert!(!shop.cart().await.items[0].price_changed, "the shopper has seen it now");
}

/// Defect of A (docs/DEFECTS.md): the cart could not be viewed without the product service, and waited for it without a limit.
#[tokio::test]
async fn without_the_catalog_a_cart_is_shown_from_copies_and_adding_fails() {
    let shop = Shop::open();
    let chair = shop.list_product(9);
    let first = shop.add(chair, 2).key("k").await.expect(201).body;
    let line = first["items"][0]["id"].clone();
    shop.deliver(&ProductEvent::Updated(product_event(chair, 2, eur(2100)))).await;
    shop.deliver(&ProductEvent::Updated(product_event(chair, 1, eur(1)))).await;
    shop.catalog.set_unavailable(true);

    let cart = shop.cart().await;
    let item = &cart.items[0];
    assert_eq!((item.name.as_str(), item.price, item.price_changed), ("Chair 2", eur(2100), true));
    assert!(!item.available, "stock is unknown");
    let change = |units: u32| shop.public.patch(&line_at(&line), json!({"quantity": units})).with(&shop.token);
    for answer in [shop.add(chair, 1).await, change(3).await] {
        refused(&answer, 503, "UNAVAILABLE", &[]);
        assert!(!answer.header("retry-after").is_empty());
    }
    assert_eq!(shop.add(chair, 2).key("k").await.expect(201).body, first, "a repetition needs no catalog");
    assert_eq!(change(1).await.expect(200).body["items"][0]["quantity"], 1, "nor do fewer units");
    shop.public.delete(&line_at(&line)).with(&shop.token).await.expect(204);
}

/// Defect of A (docs/DEFECTS.md): an order emptied the cart of a wrong user id.
#[tokio::test]
async fn a_checkout_empties_only_the_cart_of_its_user() {
    let shop = Shop::open();
    let chair = shop.list_product(9);
    let other = shop.keys.token(user(), &[Role::Customer]);
    let body = json!({"productId": chair, "quantity": 1});
    shop.public.post("/api/v1/cart/items", body).with(&other).await.expect(201);
    shop.add(chair, 2).await.expect(201);
    let id = order();
    let checkout = shop.begin_checkout(id).await.expect(200);
    let taken: api::Checkout = checkout.parse();
    assert_eq!(taken.cart_version, 1);
    assert_eq!(checkout.body["lines"], json!([{"productId": chair, "variant": "", "quantity": 2}]));
    assert_eq!(shop.units().await, [0_u32; 0]);
    let others: api::Cart = shop.public.get("/api/v1/cart").with(&other).await.parse();
    assert_eq!(others.items.len(), 1);

    assert_eq!(shop.begin_checkout(id).await.expect(200).parse::<api::Checkout>(), taken);
    refused(&shop.begin_checkout(order()).await, 422, "EMPTY_CART", &[]);
    assert_eq!(shop.cancel_checkout(id).await.expect(200).body["state"], "returned");
    assert_eq!(shop.units().await, [2]);
    refused(&shop.begin_checkout(id).await, 409, "CANCELLED", &[]);
    let never = order();
    assert_eq!(shop.cancel_checkout(never).await.expect(200).body["state"], "returned");
    refused(&shop.begin_checkout(never).await, 409, "CANCELLED", &[]);
}

#[tokio::test]
async fn order_events_end_checkouts_in_any_order_of_arrival() {
    let shop = Shop::open();
    let chair = shop.list_product(9);
    let (placed, rejected, without_cart) = (order(), order(), order());
    for id in [placed, rejected] {
        shop.add(chair, 1).await.expect(201);
        shop.begin_checkout(id).await.expect(200);
    }
    shop.deliver(&OrderEvent::Placed(order_event(placed, true))).await;
    shop.deliver(&OrderEvent::Cancelled(order_event(placed, true))).await;
    assert_eq!(shop.cancel_checkout(placed).await.expect(200).body["state"], "done");
    assert_eq!(shop.units().await, [0_u32; 0]);

    shop.deliver(&OrderEvent::Rejected(order_event(rejected, true))).await;
    shop.deliver(&OrderEvent::Placed(order_event(rejected, true))).await;
    assert_eq!(shop.units().await, [1]);
    shop.deliver(&OrderEvent::Rejected(order_event(without_cart, false))).await;
    shop.begin_checkout(without_cart).await.expect(200);
}

#[tokio::test]
async fn the_events_of_a_batch_take_effect_in_their_order() {
    let shop = Shop::open();
    let chair = shop.list_product(9);
    let (placed, cancelled) = (order(), order());
    for id in [placed, cancelled] {
        shop.add(chair, 1).await.expect(201);
        shop.begin_checkout(id).await.expect(200);
    }
    let batch = vec![
        envelope(&ProductEvent::Updated(product_event(chair, 3, eur(3)))),
        envelope(&OrderEvent::Placed(order_event(placed, true))),
        envelope(&OrderEvent::Cancelled(order_event(placed, true))),
        envelope(&OrderEvent::Cancelled(order_event(cancelled, true))),
        envelope(&OrderEvent::Placed(order_event(cancelled, true))),
        envelope(&ProductEvent::Updated(product_event(chair, 2, eur(2)))),
    ];
    for _ in 0..2 {
        handle(shop.service.clone(), batch.clone()).await.unwrap();
        assert_eq!(shop.cancel_checkout(placed).await.expect(200).body["state"], "done");
        assert_eq!(shop.cancel_checkout(cancelled).await.expect(200).body["state"], "returned");
        assert_eq!(shop.units().await, [1]);
    }
    shop.catalog.set_unavailable(true);
    assert_eq!(shop.cart().await.items[0].name, "Chair 3");
}

#[tokio::test]
async fn a_deleted_product_leaves_the_cart() {
    let shop = Shop::open();
    let (chair, table) = (shop.list_product(9), shop.list_product(9));
    shop.add(chair, 1).await.expect(201);
    shop.add(table, 2).await.expect(201);
    shop.deliver(&ProductEvent::Deleted(ProductDeleted { product_id: chair, version: 2 })).await;
    assert_eq!(shop.units().await, [2]);
    // A quote that was read before the deletion is stale.
    refused(&shop.add(chair, 1).await, 422, "UNKNOWN_PRODUCT", &["productId"]);
    shop.deliver(&ProductEvent::Updated(product_event(chair, 1, eur(1)))).await;
    refused(&shop.add(chair, 1).await, 422, "UNKNOWN_PRODUCT", &["productId"]);
}

#[tokio::test]
async fn a_malformed_event_is_dead_lettered_and_an_unavailable_database_is_retried() {
    let shop = Shop::open();
    let good = envelope(&ProductEvent::Updated(product_event(product(), 1, eur(1))));
    let wrong = Envelope { data: to_raw_value(&json!({"type": "product-added"})).unwrap(), ..good.clone() };
    let put_aside = handle(shop.service.clone(), vec![good.clone(), wrong.clone()]).await;
    assert!(matches!(put_aside, Err(agora_outbox::Failure::Poison(_))), "{put_aside:?}");
    handle(shop.service.clone(), vec![Envelope { kind: "product.painted".into(), ..wrong }]).await.unwrap();
    shop.carts.set_unavailable(true);
    let later = handle(shop.service.clone(), vec![good]).await;
    assert!(matches!(later, Err(agora_outbox::Failure::Again(_))), "{later:?}");
}

#[tokio::test]
async fn an_unavailable_database_is_503_with_retry_after_and_without_internals() {
    let shop = Shop::open();
    let chair = shop.list_product(9);
    let line = shop.add(chair, 1).await.expect(201).body["items"][0]["id"].clone();
    let line = line_at(&line);
    shop.carts.set_unavailable(true);
    for request in [
        shop.public.get("/api/v1/cart").with(&shop.token),
        shop.add(chair, 1),
        shop.public.patch(&line, json!({"quantity": 1})).with(&shop.token),
        shop.public.delete(&line).with(&shop.token),
        shop.begin_checkout(order()),
        shop.cancel_checkout(order()),
    ] {
        let answer = request.await;
        refused(&answer, 503, "UNAVAILABLE", &[]);
        assert!(!answer.header("retry-after").is_empty());
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("fake"));
    }
}

#[test]
fn the_settings_match_the_environment_of_the_topology() {
    let mut read = agora_chassis::names_read(agora_cart::Config::read);
    // Settings that the chassis reads.
    read.push("ADMIN_PORT");
    let mut promised = agora_topology::service("cart").unwrap().environment();
    read.sort_unstable();
    promised.sort_unstable();
    assert_eq!(read, promised);
}
