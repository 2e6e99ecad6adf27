//! The catalog over HTTP on the fakes: every route with its responses and errors, and the contract tests on the fakes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

#[path = "support/contract.rs"]
mod contract;

use std::sync::Arc;

use agora_api::catalog as api;
use agora_catalog::{
    fakes::InMemory,
    handle, http,
    ports::{Products, Stock},
    service::CatalogService,
};
use agora_chassis::{Process, SystemIds, WatchedFile, WatchedSecret};
use agora_events::{Envelope, order::Order, order::OrderEvent};
use agora_testkit::{FixedClock, Request, TestApp, TestKeys, TestResponse, internal_token};
use agora_vocab::{Currency, Money, OrderId, Role, UserId};
use agora_web::TokenVerifier;
use async_trait::async_trait;
use contract::fresh;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

const SECRET: &str = "only-for-tests";

/// The service under test.
struct Shop {
    public: TestApp,
    internal: TestApp,
    stores: InMemory,
    clock: FixedClock,
    catalog: CatalogService,
    admin: String,
    customer: String,
    order_token: String,
}

impl Shop {
    fn open() -> Self {
        let clock = FixedClock::at(OffsetDateTime::UNIX_EPOCH + Duration::days(20_000));
        let stores = InMemory::new(Arc::new(clock.clone()));
        let catalog = CatalogService::new(Arc::new(stores.clone()), Arc::new(stores.clone()), Arc::new(SystemIds));
        let (keys, process) = (TestKeys::new(), Process::for_test("catalog"));
        let jwks = WatchedFile::fixed(keys.jwks());
        let verifier = TokenVerifier::watch(jwks, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let routers = http::routers(catalog.clone(), verifier, WatchedSecret::fixed(SECRET));
        let token = |role| keys.token(UserId::new(fresh()), &[role]);
        Self {
            public: TestApp::new(routers.public),
            internal: TestApp::new(routers.internal),
            stores,
            clock,
            catalog,
            admin: token(Role::Admin),
            customer: token(Role::Customer),
            order_token: internal_token(SECRET, "order", "catalog", None),
        }
    }

    fn create(&self, body: Value) -> Request {
        self.public.post("/api/v1/products", body).with(&self.admin)
    }

    async fn product(&self, name: &str, stock: i64) -> api::Product {
        self.create(json!({"name": name, "price": eur(1999), "stock": stock})).await.expect(201).parse()
    }

    fn patch(&self, id: impl std::fmt::Display, body: Value) -> Request {
        self.public.patch(&format!("/api/v1/products/{id}"), body).with(&self.admin)
    }

    async fn stock(&self, id: impl std::fmt::Display) -> i64 {
        self.public.get(&format!("/api/v1/products/{id}")).await.expect(200).body["stock"].as_i64().unwrap()
    }

    /// An internal command with a new command id.
    fn command(&self, path: &str, body: Value) -> Request {
        self.internal.post(path, body).internal(&self.order_token).header("x-command-id", &fresh().to_string())
    }

    fn reserve(&self, order: OrderId, hold: i32, lines: Value) -> Request {
        let mut body = json!({"orderId": order, "hold": hold, "seconds": 900});
        body["lines"] = lines;
        self.command("/internal/v1/reserve", body)
    }

    /// Delivers a batch of events, twice.
    async fn deliver_all(&self, events: &[OrderEvent]) {
        let envelopes: Vec<Envelope> = events.iter().map(envelope).collect();
        handle(self.catalog.clone(), envelopes.clone()).await.unwrap();
        handle(self.catalog.clone(), envelopes).await.unwrap();
    }

    async fn deliver(&self, event: OrderEvent) {
        self.deliver_all(&[event]).await;
    }
}

fn envelope(event: &OrderEvent) -> Envelope {
    let (kind, data) = Envelope::parts(event).unwrap();
    Envelope {
        id: fresh(),
        kind: kind.to_owned(),
        version: 1,
        time: OffsetDateTime::UNIX_EPOCH,
        key: event.order().order_id.to_string(),
        seq: 1,
        epoch: 0,
        trace: None,
        correlation_id: None,
        causation_id: None,
        data,
    }
}

#[async_trait]
impl contract::World for Shop {
    fn products(&self) -> &dyn Products {
        &self.stores
    }

    fn stock(&self) -> &dyn Stock {
        &self.stores
    }

    async fn pass(&self, seconds: u32) {
        self.clock.advance(Duration::seconds(i64::from(seconds)));
    }
}

fn eur(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

fn order_id() -> OrderId {
    OrderId::new(fresh())
}

fn order(order_id: OrderId, hold: i32) -> Order {
    Order {
        order_id,
        number: "A-1000001".into(),
        user_id: UserId::new(Uuid::from_u128(2)),
        cart_id: None,
        hold,
        payment_id: None,
        status: String::new(),
        payment_status: String::new(),
        items: Vec::new(),
        total: Money::zero(Currency::EUR),
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
    contract::all_hold(&Shop::open()).await;
}

#[tokio::test]
async fn a_product_created_by_an_admin_is_public() {
    let shop = Shop::open();
    let body = json!({
        "name": " Oak chair ", "description": "Solid.\nHeavy.", "sku": "OAK-1", "price": eur(1999), "stock": 7,
        "category": "Furniture", "brand": "Eiche", "supplier": "Wald", "imageUrl": "https://example.com/oak.png",
    });
    let created = shop.create(body).await.expect(201);
    let product: api::Product = created.parse();
    assert_eq!(created.header("location"), format!("/api/v1/products/{}", product.id));
    assert_eq!((product.name.as_str(), product.stock, product.version), ("Oak chair", 7, 1));

    let seen = shop.public.get(created.header("location")).await.expect(200);
    assert_eq!(seen.parse::<api::Product>(), product);
    assert_eq!(seen.header("etag"), created.header("etag"));
    let listed: agora_api::List<api::Product> = shop.public.get("/api/v1/products").await.expect(200).parse();
    assert_eq!(listed.items, [product]);
}

#[tokio::test]
async fn an_invalid_product_is_rejected_with_every_field_and_not_stored() {
    let shop = Shop::open();
    let good = || json!({"name": "Chair", "price": eur(1)});
    let cases: &[(&str, Value, &[&str])] = &[
        ("name", json!(""), &["name"]),
        ("name", json!("x".repeat(201)), &["name"]),
        ("name", json!("a\u{0}b"), &["name"]),
        ("name", json!(7), &["name"]),
        ("name", json!("4242 4242 4242 4242"), &["name"]),
        ("description", json!("x".repeat(10_001)), &["description"]),
        ("sku", json!("has space"), &["sku"]),
        ("sku", json!("x".repeat(65)), &["sku"]),
        ("price", eur(0), &["price.amount"]),
        ("price", eur(-1), &["price.amount"]),
        ("price", eur(9_000_000_001), &["price.amount"]),
        ("price", json!({"amount": 1.5, "currency": "EUR"}), &["price.amount"]),
        ("stock", json!(-1), &["stock"]),
        ("stock", json!(1_000_000_001), &["stock"]),
        ("stock", json!("7"), &["stock"]),
        ("category", json!(""), &["category"]),
        ("brand", json!("x".repeat(101)), &["brand"]),
        ("supplier", json!("a\nb"), &["supplier"]),
        ("imageUrl", json!("ftp://x"), &["imageUrl"]),
        ("colour", json!("red"), &["colour"]),
    ];
    for (field, value, named) in cases {
        let mut body = good();
        body[field] = value.clone();
        let answer = shop.create(body).await;
        assert_eq!(answer.status, 422, "{field} {value}: {}", answer.body);
        let problem: agora_api::Problem = answer.parse();
        let fields: Vec<&str> = problem.details.iter().map(|detail| detail.field.as_str()).collect();
        assert_eq!(&fields, named, "{field} {value}: {}", answer.body);
    }
    let several = json!({"name": "", "price": eur(0), "stock": -1, "imageUrl": "x"});
    let answer = shop.create(several).await;
    refused(&answer, 422, "VALIDATION_FAILED", &["name", "price.amount", "stock", "imageUrl"]);
    assert_eq!(shop.create(json!({"price": eur(1)})).await.status, 422);
    assert_eq!(shop.create(good()).raw("{").await.status, 400);
    assert_eq!(shop.create(good()).header("content-type", "text/plain").await.status, 415);
    assert_eq!(shop.create(good()).raw(vec![b' '; 2 << 20]).await.status, 413);
    assert_eq!(shop.public.get("/api/v1/products").await.body["items"], json!([]));

    let sku = || json!({"name": "Chair", "price": eur(1), "sku": "S"});
    shop.create(sku()).await.expect(201);
    refused(&shop.create(sku()).await, 409, "SKU_TAKEN", &["sku"]);
}

/// Defect of A (docs/DEFECTS.md): product writes required no authentication.
#[tokio::test]
async fn product_writes_need_an_admin() {
    let shop = Shop::open();
    let id = shop.product("Chair", 5).await.id;
    let one = format!("/api/v1/products/{id}");
    let writes = [
        shop.public.post("/api/v1/products", json!({"name": "x", "price": eur(1)})),
        shop.public.patch(&one, json!({"version": 1, "name": "x"})),
        shop.public.put(&format!("{one}/inventory"), json!({"quantity": 99})),
        shop.public.delete(&one),
    ];
    for write in writes {
        assert_eq!(write.clone().await.status, 401);
        assert_eq!(write.clone().with("nonsense").await.status, 401);
        assert_eq!(write.with(&shop.customer).await.status, 403);
    }
    let unchanged: api::Product = shop.public.get(&one).await.expect(200).parse();
    assert_eq!((unchanged.name.as_str(), unchanged.stock, unchanged.version), ("Chair", 5, 1));
}

#[tokio::test]
async fn a_repeated_key_creates_one_product_and_rejects_another_body() {
    let shop = Shop::open();
    let body = json!({"name": "Chair", "price": eur(1)});
    let first = shop.create(body.clone()).key("k").await.expect(201);
    let again = shop.create(body.clone()).key("k").await.expect(201);
    assert_eq!((again.body, again.headers["location"].clone()), (first.body, first.headers["location"].clone()));
    refused(&shop.create(json!({"name": "Sofa", "price": eur(1)})).key("k").await, 422, "IDEMPOTENCY_KEY_REUSED", &[]);
    assert_eq!(shop.create(body).key("has space").await.status, 400);
    assert_eq!(shop.public.get("/api/v1/products").await.body["items"].as_array().unwrap().len(), 1);
}

/// Defect of A (docs/DEFECTS.md): lists had no defined order and no maximum page size.
#[tokio::test]
async fn lists_are_sorted_and_limited() {
    let shop = Shop::open();
    for name in ["c", "a", "b"] {
        shop.clock.advance(Duration::seconds(1));
        shop.product(name, 0).await;
    }
    let names = async |path: &str| -> Vec<String> {
        let page: agora_api::List<api::Product> = shop.public.get(path).await.expect(200).parse();
        page.items.into_iter().map(|product| product.name).collect()
    };
    assert_eq!(names("/api/v1/products").await, ["b", "a", "c"]);
    assert_eq!(names("/api/v1/products?sort=createdAt").await, ["c", "a", "b"]);
    assert_eq!(names("/api/v1/products?sort=name&limit=2").await, ["a", "b"]);
    assert_eq!(names("/api/v1/products?sort=name&limit=2&offset=2").await, ["c"]);
    assert_eq!(names("/api/v1/products?q=B").await, ["b"]);
    assert_eq!(names("/api/v1/products?category=None").await, [""; 0]);

    let page = shop.public.get("/api/v1/products?sort=name&limit=2").await.expect(200);
    let cursor = page.body["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(names(&format!("/api/v1/products?sort=name&cursor={cursor}")).await, ["c"]);
    assert_eq!(shop.public.get("/api/v1/products?offset=0").await.body["total"], 3);

    for (query, status, field) in [
        ("limit=101", 422, "limit"),
        ("limit=0", 422, "limit"),
        ("limit=ten", 400, "limit"),
        ("offset=-1", 422, "offset"),
        ("offset=10001", 422, "offset"),
        ("cursor=nonsense", 400, "cursor"),
        (&format!("sort=price&cursor={cursor}"), 400, "cursor"),
        ("sort=banana", 400, "sort"),
        ("category=a%07b", 400, "category"),
        ("category=a%00b", 422, "category"),
        ("q=", 400, "q"),
        ("page=1", 400, "page"),
    ] {
        let answer = shop.public.get(&format!("/api/v1/products?{query}")).await;
        let problem: agora_api::Problem = answer.parse();
        assert_eq!((answer.status, problem.details[0].field.as_str()), (status, field), "{query}: {}", answer.body);
    }
}

#[tokio::test]
async fn if_none_match_returns_304_for_an_unchanged_product() {
    let shop = Shop::open();
    let id = shop.product("Chair", 2).await.id;
    let one = format!("/api/v1/products/{id}");
    let tag = shop.public.get(&one).await.header("etag").to_owned();
    let again = shop.public.get(&one).header("if-none-match", &format!("\"x\", W/{tag}")).await;
    assert_eq!((again.status, again.bytes.len(), again.header("etag")), (304, 0, tag.as_str()));

    shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 1}])).await.expect(200);
    let moved = shop.public.get(&one).header("if-none-match", &tag).await.expect(200);
    assert_eq!(moved.body["stock"], 1);
    assert_eq!(moved.body["version"], 1);
}

/// Defect of A (docs/DEFECTS.md): an unknown id returned 500.
#[tokio::test]
async fn unknown_and_malformed_ids_are_client_errors() {
    let shop = Shop::open();
    let (unknown, admin) = (fresh(), &shop.admin);
    let gone = shop.product("Chair", 1).await.id;
    shop.public.delete(&format!("/api/v1/products/{gone}")).with(admin).await.expect(204);
    for (id, status) in [(unknown.to_string(), 404), (gone.to_string(), 404), ("7".to_owned(), 400)] {
        let one = format!("/api/v1/products/{id}");
        assert_eq!(shop.public.get(&one).await.status, status);
        assert_eq!(shop.public.delete(&one).with(admin).await.status, status);
        assert_eq!(shop.patch(&id, json!({"version": 1, "name": "x"})).await.status, status);
        let inventory = shop.public.put(&format!("{one}/inventory"), json!({"quantity": 1})).with(admin);
        assert_eq!(inventory.await.status, status);
    }
    assert_eq!(shop.public.get("/api/v1/nothing").await.status, 404);
    assert_eq!(shop.public.put("/api/v1/products", json!({})).await.status, 405);
}

#[tokio::test]
async fn a_merge_patch_changes_named_fields_and_removes_null_fields() {
    let shop = Shop::open();
    let body =
        json!({"name": "Chair", "price": eur(1999), "sku": "C", "brand": "B", "category": "F", "description": "d"});
    let id = shop.create(body).await.expect(201).parse::<api::Product>().id;
    let patch = json!({"name": "Stool", "price": {"amount": 999}, "brand": null, "description": null, "version": 1});
    let answer = shop.patch(id, patch).header("content-type", "application/merge-patch+json").await.expect(200);
    let product: api::Product = answer.parse();
    assert_eq!((product.name.as_str(), product.price.amount, product.version), ("Stool", 999, 2));
    assert_eq!((product.brand, product.description.as_str()), (None, ""));
    assert_eq!((product.sku.as_deref(), product.category.as_deref()), (Some("C"), Some("F")));

    for (body, fields) in [
        (json!({"version": 2, "name": null}), vec!["name"]),
        (json!({"version": 2, "price": null}), vec!["price"]),
        (json!({"version": 2, "price": {"amount": null}}), vec!["price.amount"]),
        (json!({"version": 2, "price": {"amount": 0}}), vec!["price.amount"]),
        (json!({"version": 2, "price": {"currency": "USD"}}), vec!["price.currency"]),
        (json!({"version": 2, "stock": 9}), vec!["stock"]),
        (json!({"version": 2, "name": "", "imageUrl": "x"}), vec!["name", "imageUrl"]),
    ] {
        refused(&shop.patch(id, body).await, 422, "VALIDATION_FAILED", &fields);
    }
    assert_eq!(shop.public.get(&format!("/api/v1/products/{id}")).await.body["version"], 2);
}

#[tokio::test]
async fn a_change_requires_a_version() {
    let shop = Shop::open();
    let product = shop.product("Chair", 3).await;
    let id = product.id;
    let tag = shop.public.get(&format!("/api/v1/products/{id}")).await.header("etag").to_owned();
    refused(&shop.patch(id, json!({"name": "x"})).await, 428, "VERSION_REQUIRED", &[]);
    refused(&shop.patch(id, json!({"name": "x", "version": 9})).await, 409, "STALE_VERSION", &["version"]);
    refused(&shop.patch(id, json!({"name": "x"})).header("if-match", "\"9\"").await, 412, "STALE_VERSION", &[]);
    refused(&shop.patch(id, json!({"name": "x"})).header("if-match", "9").await, 400, "INVALID_IF_MATCH", &[]);

    // A change of stock does not make the version stale.
    shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 1}])).await.expect(200);
    shop.patch(id, json!({"name": "a"})).header("if-match", &tag).await.expect(200);
    shop.patch(id, json!({"name": "b"})).header("if-match", "\"1\", \"2\"").await.expect(200);
    shop.patch(id, json!({"name": "c"})).header("if-match", "*").await.expect(200);
    let stale = shop.public.delete(&format!("/api/v1/products/{id}")).with(&shop.admin).header("if-match", "\"1\"");
    assert_eq!(stale.await.status, 412);
    let last: api::Product = shop.public.get(&format!("/api/v1/products/{id}")).await.parse();
    assert_eq!((last.name.as_str(), last.version), ("c", 4));
}

/// Defect of A (docs/DEFECTS.md): a change of the name read and wrote the whole row, stock included.
#[tokio::test]
async fn stock_and_name_do_not_overwrite_each_other() {
    let shop = Shop::open();
    let id = shop.product("Chair", 3).await.id;
    let inventory = |body| shop.public.put(&format!("/api/v1/products/{id}/inventory"), body).with(&shop.admin);
    inventory(json!({"delta": 4})).await.expect(200);
    let renamed: api::Product = shop.patch(id, json!({"name": "Stool", "version": 1})).await.expect(200).parse();
    assert_eq!((renamed.name.as_str(), renamed.stock), ("Stool", 7));
    let set: api::Product = inventory(json!({"quantity": 5})).await.expect(200).parse();
    assert_eq!((set.name.as_str(), set.stock, set.version), ("Stool", 5, 2));
}

#[tokio::test]
async fn inventory_is_set_or_adjusted_but_not_below_the_reserved_units() {
    let shop = Shop::open();
    let id = shop.product("Chair", 3).await.id;
    let inventory = |body| shop.public.put(&format!("/api/v1/products/{id}/inventory"), body).with(&shop.admin);
    shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 2}])).await.expect(200);
    let answer = inventory(json!({"quantity": 1})).await;
    refused(&answer, 409, "BELOW_RESERVED", &[]);
    assert_eq!((&answer.body["requested"], &answer.body["reserved"]), (&json!(1), &json!(2)));
    refused(&inventory(json!({"delta": -2})).await, 409, "BELOW_RESERVED", &[]);
    for (body, field) in [
        (json!({}), "quantity"),
        (json!({"quantity": 1, "delta": 1}), "quantity"),
        (json!({"quantity": -1}), "quantity"),
        (json!({"delta": 1_000_000_000}), "delta"),
        (json!({"quantity": 1, "warehouseId": fresh()}), "warehouseId"),
        (json!({"quantity": 1, "variant": "x".repeat(65)}), "variant"),
        (json!({"quantity": 1.5}), "quantity"),
        (json!({"units": 1}), "units"),
    ] {
        refused(&inventory(body).await, 422, "VALIDATION_FAILED", &[field]);
    }
    assert_eq!(inventory(json!({"delta": -1})).key("once").await.expect(200).body["stock"], 0);
    assert_eq!(inventory(json!({"delta": -1})).key("once").await.expect(200).body["stock"], 0);
}

/// Defect of A (docs/DEFECTS.md): `POST /products/stock` was called but had no route.
#[tokio::test]
async fn the_stock_of_many_products_is_one_request() {
    let shop = Shop::open();
    let (a, b) = (shop.product("A", 3).await.id, shop.product("B", 0).await.id);
    let ask = |ids: Value| shop.public.post("/api/v1/products/stock", json!({"ids": ids}));
    let answer = ask(json!([b, fresh(), a, b])).await.expect(200);
    assert_eq!(answer.body["items"], json!([{"productId": b, "stock": 0}, {"productId": a, "stock": 3}]));
    refused(&ask(json!([])).await, 422, "VALIDATION_FAILED", &["ids"]);
    refused(&ask(json!(vec![a; 101])).await, 422, "VALIDATION_FAILED", &["ids"]);
    refused(&ask(json!(["x"])).await, 422, "VALIDATION_FAILED", &["ids[0]"]);
}

#[tokio::test]
async fn a_quote_separates_known_from_unknown_products() {
    let shop = Shop::open();
    let (known, unknown) = (shop.product("A", 3).await, fresh());
    let ask = shop.internal.post("/internal/v1/quote", json!({"productIds": [unknown, known.id]}));
    let quote: api::Quote = ask.internal(&shop.order_token).await.expect(200).parse();
    assert_eq!(quote.items, [known]);
    assert_eq!(quote.unknown.iter().map(|id| id.uuid()).collect::<Vec<_>>(), [unknown]);
}

#[tokio::test]
async fn internal_commands_require_the_token_of_an_allowed_service() {
    let shop = Shop::open();
    let id = shop.product("A", 3).await.id;
    let body = json!({"orderId": order_id(), "hold": 1, "lines": [{"productId": id, "quantity": 1}], "seconds": 60});
    let send = || shop.internal.post("/internal/v1/reserve", body.clone()).header("x-command-id", &fresh().to_string());
    assert_eq!(send().await.status, 401);
    assert_eq!(send().with(&shop.admin).await.status, 401);
    for token in [
        internal_token(SECRET, "gateway", "catalog", None),
        internal_token(SECRET, "order", "payment", None),
        internal_token("another", "order", "catalog", None),
    ] {
        assert_eq!(send().internal(&token).await.status, 401);
    }
    let without_id = shop.internal.post("/internal/v1/reserve", body.clone()).internal(&shop.order_token);
    refused(&without_id.await, 400, "INVALID_COMMAND_ID", &[]);
    assert_eq!(shop.public.post("/internal/v1/reserve", body).internal(&shop.order_token).await.status, 404);
    assert_eq!(shop.stock(id).await, 3);
}

#[tokio::test]
async fn commit_and_release_are_idempotent() {
    let shop = Shop::open();
    let (id, mine) = (shop.product("A", 3).await.id, order_id());
    let request = shop.reserve(mine, 1, json!([{"productId": id, "quantity": 1}, {"productId": id, "quantity": 1}]));
    let held: api::Reserved = request.clone().await.expect(200).parse();
    assert_eq!(held.expires_at, agora_vocab::Clock::now(&shop.clock) + Duration::seconds(900));
    assert_eq!(request.await.expect(200).parse::<api::Reserved>(), held);
    assert_eq!(shop.stock(id).await, 1);

    let body = |n| json!({"orderId": mine, "hold": n});
    let state = async |path: &str, n| shop.command(path, body(n)).await.expect(200).body["state"].clone();
    assert_eq!(state("/internal/v1/commit", 1).await, "committed");
    assert_eq!(state("/internal/v1/commit", 2).await, "unknown");
    assert_eq!(shop.stock(id).await, 1);
    assert_eq!(state("/internal/v1/release", 1).await, "released");
    assert_eq!(shop.stock(id).await, 3);
    assert_eq!(state("/internal/v1/release", 2).await, "tombstone");
    refused(&shop.reserve(mine, 2, json!([{"productId": id, "quantity": 1}])).await, 409, "CANCELLED", &[]);
}

#[tokio::test]
async fn a_rejected_hold_reports_the_first_shortage_and_all_of_them() {
    let shop = Shop::open();
    let (a, b) = (shop.product("A", 3).await.id, shop.product("B", 1).await.id);
    let unknown = fresh();
    let lines = json!([{"productId": a, "quantity": 3}, {"productId": b, "quantity": 2}, {"productId": unknown, "quantity": 1}]);
    let answer = shop.reserve(order_id(), 1, lines).await;
    assert_eq!((answer.status, &answer.body["code"]), (409, &json!("INSUFFICIENT_QUANTITY")));
    let shortages = answer.body["shortages"].as_array().unwrap();
    assert_eq!(shortages.len(), 2);
    let first = &shortages[0];
    for member in ["productId", "requested", "available"] {
        assert_eq!(answer.body[member], first[member]);
    }
    let named = |id: Value| shortages.iter().find(|short| short["productId"] == id).cloned().unwrap();
    assert_eq!(named(json!(b)), json!({"productId": b, "variant": "", "requested": 2, "available": 1}));
    assert_eq!(named(json!(unknown))["available"], 0);
    assert_eq!((shop.stock(a).await, shop.stock(b).await), (3, 1));
}

/// Defect of B (docs/DEFECTS.md): an empty list of products and a quantity of 1.5 were accepted.
#[tokio::test]
async fn a_hold_without_lines_or_with_a_fractional_quantity_is_rejected() {
    let shop = Shop::open();
    let id = shop.product("A", 3).await.id;
    let good = json!({"orderId": order_id(), "hold": 1, "lines": [{"productId": id, "quantity": 1}], "seconds": 60});
    for (field, value, named) in [
        ("lines", json!([]), "lines"),
        ("lines", json!([{"productId": id, "quantity": 1.5}]), "lines[0].quantity"),
        ("lines", json!([{"productId": id, "quantity": 0}]), "lines[0].quantity"),
        ("lines", json!([{"productId": id, "quantity": 10_000}]), "lines[0].quantity"),
        ("lines", json!([{"productId": id, "quantity": -1}]), "lines[0].quantity"),
        ("lines", json!([{"productId": id, "quantity": 1, "variant": "a\nb"}]), "lines[0].variant"),
        ("lines", (0..101).map(|_| json!({"productId": fresh(), "quantity": 1})).collect(), "lines"),
        ("hold", json!(0), "hold"),
        ("seconds", json!(0), "seconds"),
        ("seconds", json!(86_401), "seconds"),
    ] {
        let mut body = good.clone();
        body[field] = value;
        refused(&shop.command("/internal/v1/reserve", body).await, 422, "VALIDATION_FAILED", &[named]);
    }
    assert_eq!(shop.stock(id).await, 3);
}

/// Defects of A and B (docs/DEFECTS.md): stock was never decremented; a working event consumer would have decremented it twice.
#[tokio::test]
async fn an_order_decrements_stock_once_by_command_event_or_both() {
    let shop = Shop::open();
    let id = shop.product("A", 10).await.id;
    let lines = || json!([{"productId": id, "quantity": 3}]);
    let (by_both, by_event) = (order_id(), order_id());
    shop.reserve(by_both, 1, lines()).await.expect(200);
    shop.command("/internal/v1/commit", json!({"orderId": by_both, "hold": 1})).await.expect(200);
    shop.reserve(by_event, 1, lines()).await.expect(200);
    for id in [by_both, by_event] {
        shop.deliver(OrderEvent::Paid(order(id, 1))).await;
        shop.deliver(OrderEvent::Paid(order(id, 1))).await;
    }
    assert_eq!(shop.stock(id).await, 4);

    shop.deliver(OrderEvent::Cancelled(order(by_both, 1))).await;
    shop.deliver(OrderEvent::Cancelled(order(by_both, 1))).await;
    assert_eq!(shop.stock(id).await, 7);
}

#[tokio::test]
async fn a_batch_of_events_has_the_effect_of_its_events_in_turn() {
    let shop = Shop::open();
    let id = shop.product("A", 20).await.id;
    let orders = [order_id(), order_id(), order_id(), order_id()];
    for order in &orders[..3] {
        shop.reserve(*order, 1, json!([{"productId": id, "quantity": 3}])).await.expect(200);
    }
    shop.command("/internal/v1/commit", json!({"orderId": orders[0], "hold": 1})).await.expect(200);
    let [by_command, by_event, cancelled, unknown] = orders.map(|id| order(id, 1));
    shop.deliver_all(&[
        OrderEvent::Placed(by_command.clone()),
        OrderEvent::Paid(by_command),
        OrderEvent::Paid(by_event),
        OrderEvent::Paid(cancelled.clone()),
        OrderEvent::Cancelled(cancelled),
        OrderEvent::Rejected(unknown),
    ])
    .await;
    assert_eq!(shop.stock(id).await, 14, "two orders of 3 units are sold, one is returned");
    refused(&shop.reserve(orders[3], 1, json!([{"productId": id, "quantity": 1}])).await, 409, "CANCELLED", &[]);
}

/// Defect of B (docs/DEFECTS.md): the consumer read other fields than the producer wrote, and reported no error.
#[tokio::test]
async fn a_malformed_event_is_dead_lettered_and_an_unknown_kind_is_skipped() {
    let shop = Shop::open();
    let envelope = |kind: &str| -> Envelope {
        let json = json!({
            "id": fresh(), "type": kind, "version": 1, "time": "2026-01-02T03:04:05Z", "key": "k", "seq": 1, "epoch": 0,
            "data": {"eventType": "order-placed"},
        });
        serde_json::from_str(&json.to_string()).unwrap()
    };
    let wrong = handle(shop.catalog.clone(), vec![envelope("order.paid")]).await;
    assert!(matches!(wrong, Err(agora_outbox::Failure::Poison(_))), "{wrong:?}");
    handle(shop.catalog.clone(), vec![envelope("order.gift-wrapped")]).await.unwrap();
    shop.stores.set_unavailable(true);
    let (kind, data) = Envelope::parts(&OrderEvent::Paid(order(order_id(), 1))).unwrap();
    let later = handle(shop.catalog.clone(), vec![Envelope { data, ..envelope(kind) }]).await;
    assert!(matches!(later, Err(agora_outbox::Failure::Again(_))), "{later:?}");
}

/// Defect of A (docs/DEFECTS.md): error responses contained SQL statements and file paths.
#[tokio::test]
async fn an_unavailable_database_is_503_with_retry_after_and_without_internals() {
    let shop = Shop::open();
    let id = shop.product("A", 1).await.id;
    shop.stores.set_unavailable(true);
    let one = format!("/api/v1/products/{id}");
    let requests = [
        shop.public.get("/api/v1/products"),
        shop.public.get(&one),
        shop.create(json!({"name": "x", "price": eur(1)})),
        shop.patch(id, json!({"version": 1, "name": "x"})),
        shop.public.delete(&one).with(&shop.admin),
        shop.public.put(&format!("{one}/inventory"), json!({"quantity": 1})).with(&shop.admin),
        shop.public.post("/api/v1/products/stock", json!({"ids": [id]})),
        shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 1}])),
        shop.command("/internal/v1/commit", json!({"orderId": order_id(), "hold": 1})),
        shop.command("/internal/v1/release", json!({"orderId": order_id(), "hold": 1})),
    ];
    for request in requests {
        let answer = request.await;
        refused(&answer, 503, "UNAVAILABLE", &[]);
        assert!(!answer.header("retry-after").is_empty());
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("fake"));
    }
}

#[test]
fn the_settings_match_the_environment_of_the_topology() {
    let mut read = agora_chassis::names_read(agora_catalog::Config::read);
    // Settings that the chassis reads.
    read.push("ADMIN_PORT");
    let mut promised = agora_topology::service("catalog").unwrap().environment();
    read.sort_unstable();
    promised.sort_unstable();
    assert_eq!(read, promised);
}
