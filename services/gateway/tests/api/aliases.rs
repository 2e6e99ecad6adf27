//! Every compatibility route with its calls and response, as one snapshot.

use std::{collections::BTreeSet, fmt::Write as _};

use agora_gateway::LegacyAliases;
use agora_testkit::TestResponse;
use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use crate::{
    Gateway, SERVICES, gateway,
    upstream::{Call, Upstream},
};

const ID: &str = "0192f0c1-0000-7000-8000-000000000001";
const CALLER: &str = "00000000-0000-0000-0000-000000000007";

/// Method, path and body of each sample request.
const SAMPLES: &[(&str, &str, &str)] = &[
    (
        "POST",
        "/auth/register",
        r#"{"firstname":"Ada","lastname":"L","username":"ada","email":"ada@example.com","password":"pass word"}"#,
    ),
    ("POST", "/auth/login", r#"{"email":"ada@example.com","password":"pass word"}"#),
    ("GET", "/auth/validate", ""),
    ("GET", "/auth/profile", ""),
    ("GET", "/products?offset=20&limit=1000&category=a%26b", ""),
    ("GET", "/products/{id}", ""),
    ("POST", "/products", r#"{"name":"Lamp","description":"Light","price":19.99,"stock":5}"#),
    ("POST", "/products/stock", r#"{"ids":["0192f0c1-0000-7000-8000-000000000001"]}"#),
    ("PATCH", "/products/{id}", r#"{"stock":7}"#),
    ("PUT", "/products/{id}", r#"{"stock":7}"#),
    ("PATCH", "/products/{id}/name", r#"{"name":"Lantern"}"#),
    ("POST", "/cart", r#"{"productId":"0192f0c1-0000-7000-8000-000000000001","qty":2}"#),
    ("GET", "/cart", ""),
    ("PATCH", "/cart/{id}", r#"{"qty":3}"#),
    ("DELETE", "/cart/{id}", ""),
    (
        "POST",
        "/orders",
        r#"{"userId":"someone","items":[{"productId":"0192f0c1-0000-7000-8000-000000000001","quantity":2}]}"#,
    ),
    ("GET", "/orders", ""),
    ("GET", "/orders/{id}", ""),
    ("DELETE", "/orders/{id}", ""),
    ("PATCH", "/orders/{id}", r#"{"status":"shipped"}"#),
    ("POST", "/api/users/login", r#"{"email":"ada@example.com","password":"pass word"}"#),
    ("GET", "/api/users/validate-token", ""),
    ("POST", "/api/users/validate-token", ""),
    ("GET", "/api/products", ""),
    ("GET", "/api/products/{id}", ""),
    (
        "POST",
        "/api/products",
        r#"{"productName":"Lamp","productPrice":20,"productImageUrl":"https://cdn.example/1.png"}"#,
    ),
    ("PUT", "/api/products/{id}", r#"{"price":"21.50"}"#),
    ("DELETE", "/api/products/{id}", ""),
    ("POST", "/api/cart/add", r#"{"productId":"0192f0c1-0000-7000-8000-000000000001","quantity":2}"#),
    ("GET", "/api/cart", ""),
    ("POST", "/s3/users", r#"{"name":"Ada","email":"ada@example.com","password":"pass word"}"#),
    ("POST", "/s3/users/login", r#"{"email":"ada@example.com","password":"pass word"}"#),
    ("GET", "/s3/users/{id}", ""),
    ("GET", "/s3/users", ""),
    ("PUT", "/s3/users/{id}/preferences", r#"{"promotions":false}"#),
    ("POST", "/s3/orders", r#"{"products":[{"_id":"0192f0c1-0000-7000-8000-000000000001","quantity":2}]}"#),
    ("GET", "/s3/orders/{id}", ""),
    ("GET", "/s3/orders", ""),
    ("POST", "/s3/products", r#"{"name":"Lamp","price":19.99,"quantity":5,"category":"Lighting"}"#),
    ("GET", "/s3/products/id/{id}", ""),
    ("GET", "/s3/products", ""),
    ("GET", "/s3/products/category?category=Lighting", ""),
    ("PATCH", "/s3/products/{id}", r#"{"quantity":7}"#),
    (
        "POST",
        "/s3/recommendations/feedback",
        r#"{"userId":"someone","productId":"0192f0c1-0000-7000-8000-000000000001","isPositive":true}"#,
    ),
    ("POST", "/s3/recommendations/process", ""),
    (
        "POST",
        "/s3/notifications",
        r#"{"userId":"00000000-0000-0000-0000-000000000007","type":"EMAIL","content":"Hello"}"#,
    ),
    ("GET", "/s3/notifications/user/{caller}?read=false&page=2", ""),
    ("PATCH", "/s3/notifications/user/{caller}/read", r#"{"priority":"critical"}"#),
    ("GET", "/users/{id}", ""),
    ("PUT", "/users/{id}", r#"{"name":"Countess"}"#),
    ("GET", "/users/{caller}/orders", ""),
    ("PUT", "/products/{id}/inventory", r#"{"quantity":7}"#),
    ("PUT", "/orders/{id}/status", r#"{"status":"processing"}"#),
    ("POST", "/payments", r#"{"orderId":"0192f0c1-0000-7000-8000-000000000001","amount":39.98,"method":"card"}"#),
    ("GET", "/payments/{id}", ""),
    ("POST", "/payments/refund", r#"{"paymentId":"0192f0c1-0000-7000-8000-000000000001","amount":10}"#),
];

/// Responses of the services by request.
fn service(call: &Call) -> Option<Response> {
    let money = |amount: i64| json!({ "amount": amount, "currency": "EUR" });
    let user = json!({ "id": CALLER, "email": "ada@example.com", "name": "Ada L", "roles": ["customer"], "preferences": { "promotions": false, "orderUpdates": true, "recommendations": true }, "createdAt": "2026-01-02T03:04:05Z" });
    let tokens = json!({ "accessToken": "access", "token": "access", "refreshToken": "refresh", "user": user });
    let product = json!({ "id": ID, "name": "Lamp", "price": money(1999), "stock": 5, "category": "Lighting", "imageUrl": null, "version": 3 });
    let cart = json!({ "id": ID, "version": 1, "total": money(3998), "items": [{ "id": ID, "productId": ID, "variant": "", "name": "Lamp", "imageUrl": null, "quantity": 2, "price": money(1999), "available": true, "priceChanged": false }] });
    let order = json!({ "id": ID, "number": "A-1000001", "userId": CALLER, "status": "pending", "paymentStatus": "unpaid", "total": money(3998), "items": [{ "productId": ID, "name": "Lamp", "category": "Lighting", "quantity": 2, "price": money(1999), "total": money(3998) }] });
    let payment = json!({ "id": ID, "orderId": ID, "orderStatus": "paid", "status": "captured", "amount": money(3998), "refunded": money(0) });
    let voted =
        json!({ "productId": ID, "isPositive": true, "feedbackStats": { "positiveCount": 7, "negativeCount": 1 } });
    let validated = json!({ "id": CALLER, "email": "ada@example.com", "roles": ["customer"], "sid": ID, "exp": 1 });
    let notification = json!({ "id": ID, "userId": CALLER, "type": "EMAIL", "priority": "standard", "subject": "A message for you", "content": "Hello", "metadata": {}, "read": false, "mail": "sent", "sentAt": "2026-01-02T03:04:05Z", "createdAt": "2026-01-02T03:04:05Z" });
    let counted = json!({ "items": [notification], "total": 51 });
    let list = |item: Value| json!({ "items": [item], "nextCursor": "next" });
    let path = call.target.split('?').next()?;
    let one = path.ends_with(ID);
    let (status, body) = match (&*call.method, path.strip_prefix("/api/v1")?) {
        ("POST", "/auth/register") => (201, user),
        ("POST", "/auth/login") => (200, tokens),
        (_, "/auth/validate") => (200, validated),
        ("POST", "/products/stock") => (200, json!([{ "productId": ID, "stock": 5 }])),
        ("DELETE", path) if !path.starts_with("/orders") => return Some(StatusCode::NO_CONTENT.into_response()),
        ("PUT", path) if path.ends_with("/inventory") => (200, json!({ "stock": 7 })),
        (_, "/admin/users") => (200, list(user)),
        (_, path) if path.starts_with("/users") => (200, user),
        ("POST", "/products") => (201, product),
        (_, path) if path.starts_with("/products") => (200, if one { product } else { list(product) }),
        ("POST", path) if path.starts_with("/cart") => (201, cart),
        (_, path) if path.starts_with("/cart") => (200, cart),
        ("POST", "/admin/notifications") => (201, notification),
        ("PATCH", "/notifications/read") => (200, json!({ "updatedCount": 3 })),
        (_, "/notifications") => (200, counted),
        ("POST", "/orders") => (201, order),
        (_, path) if path.contains("/orders") => (200, if one { order } else { list(order) }),
        ("POST", path) if path.starts_with("/payments") => (201, payment),
        (_, "/recommendations/feedback") => (200, voted),
        (_, "/admin/recommendations/recomputation") => (202, json!({ "state": "requested" })),
        _ => (200, payment),
    };
    Some((StatusCode::from_u16(status).unwrap(), agora_web::Json(body)).into_response())
}

fn aliased(upstream: &Upstream) -> Gateway {
    gateway(SERVICES.map(|name| (name, upstream.address())).into(), LegacyAliases::Enabled)
}

async fn ask(gateway: &Gateway, method: &str, path: &str, body: &str) -> TestResponse {
    let request = gateway.app.request(method.parse().unwrap(), path).with(&gateway.token());
    if body.is_empty() { request.await } else { request.header("content-type", "application/json").raw(body).await }
}

/// A sample request, the calls that the gateway made of it, and its answer.
pub struct Recorded {
    pub method: &'static str,
    /// With `{id}` and `{caller}` in the places of ids.
    pub path: &'static str,
    /// Empty if the request has none.
    pub body: &'static str,
    calls: Vec<Call>,
    pub answer: TestResponse,
}

/// Sends every sample and requires success.
pub async fn record() -> Vec<Recorded> {
    let upstream = Upstream::answering(service).await;
    let gateway = aliased(&upstream);
    let mut all = Vec::new();
    for (method, path, body) in SAMPLES {
        let asked = path.replace("{id}", ID).replace("{caller}", CALLER);
        let answer = ask(&gateway, method, &asked, body).await;
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.body);
        let calls = calls(&upstream);
        assert!(!calls.is_empty(), "{method} {path} asked no service");
        all.push(Recorded { method, path, body, calls, answer });
    }
    all
}

/// A value of the samples with placeholders for the ids.
pub fn with_placeholders(text: &str) -> String {
    text.replace(ID, "{id}").replace(CALLER, "{caller}")
}

#[tokio::test]
async fn each_alias_asks_and_answers_as_the_snapshot_says() {
    let mut transcript = String::new();
    for Recorded { method, path, body, calls, answer } in record().await {
        writeln!(transcript, "{method} {path} {body}").unwrap();
        for Call { method, target, headers, body } in calls {
            let keyed = if headers.contains_key("idempotency-key") { " (with a fresh key)" } else { "" };
            writeln!(transcript, "  > {method} {} {body}{keyed}", target.replace(ID, "{id}")).unwrap();
        }
        writeln!(transcript, "  < {} {}\n", answer.status, answer.body).unwrap();
    }
    insta::assert_snapshot!(transcript);
}

fn calls(upstream: &Upstream) -> Vec<Call> {
    let calls = upstream.calls();
    upstream.take();
    calls
}

#[test]
fn every_alias_has_a_sample() {
    let sampled: BTreeSet<_> = SAMPLES
        .iter()
        .map(|(method, path, _)| {
            let path = path.split('?').next().unwrap().replace("{caller}", "{id}");
            ((*method).to_owned(), path)
        })
        .collect();
    let table: BTreeSet<_> =
        agora_gateway::table().iter().map(|alias| (alias.method.as_str().to_owned(), alias.path.to_owned())).collect();
    assert_eq!(sampled, table);
    assert_eq!(agora_gateway::table().len(), SAMPLES.len(), "each path and method once");
}

#[tokio::test]
async fn an_error_of_a_service_is_the_response_of_the_alias() {
    let refuse: crate::upstream::Answer = |_| {
        let body = agora_web::Json(json!({ "code": "INSUFFICIENT_QUANTITY", "available": 1 }));
        Some((StatusCode::CONFLICT, [("x-inner", "1")], body).into_response())
    };
    let upstream = Upstream::answering(refuse).await;
    let gateway = aliased(&upstream);
    for (method, path, body) in SAMPLES {
        let asked = path.replace("{id}", ID).replace("{caller}", CALLER);
        let answer = ask(&gateway, method, &asked, body).await.expect(409);
        assert_eq!(answer.body["available"], 1, "{method} {path}");
        assert_eq!(upstream.take().len(), 1, "nothing is asked after a refusal");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_passed_on_and_a_missing_one_is_generated() {
    let upstream = Upstream::answering(service).await;
    let gateway = aliased(&upstream);
    let order = || gateway.app.post("/orders", json!({ "items": [] })).with(&gateway.token());
    order().key("mine").await.expect(201);
    order().await.expect(201);
    order().await.expect(201);
    let keys: Vec<_> = calls(&upstream).iter().map(|call| call.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys[0], "mine");
    assert!(!keys[1].is_empty() && keys[1] != keys[2]);
}

#[tokio::test]
async fn input_that_no_service_could_interpret_is_rejected_by_the_alias() {
    let upstream = Upstream::answering(service).await;
    let gateway = aliased(&upstream);
    for (method, path, body, status) in [
        ("GET", "/products/7", "", 404),
        ("GET", "/orders/1000001", "", 404),
        ("POST", "/products", "{", 400),
        ("POST", "/products", r#"{"name":"Lamp","price":19.999}"#, 422),
        ("POST", "/payments", r#"{"orderId":"x","amount":"a lot"}"#, 422),
        ("POST", "/s3/orders", "{}", 422),
        ("PATCH", "/s3/products/{id}", r#"{"name":"x","quantity":1}"#, 422),
        ("GET", "/users/{id}/orders", "", 404),
        ("PUT", "/auth/login", "{}", 405),
        ("GET", "/s3/nothing", "", 404),
    ] {
        let answer = ask(&gateway, method, &path.replace("{id}", ID), body).await.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
    }
    assert!(upstream.calls().is_empty());
}
