//! What the layer of a port writes to the log: the access log at the edge, the audit log of staff, and nothing that is personal.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up ends there")]

use std::sync::Arc;

use agora_api::{
    Method::{Delete, Get, Patch, Post},
    Policy, Route,
};
use agora_chassis::{CapturedLog, Process, WatchedFile};
use agora_testkit::{TestApp, TestKeys};
use agora_vocab::{Email, Role, Secret, UserId};
use agora_web::{AccessLog, Identity, PortSettings, Routes, TokenVerifier, created, public_stack};
use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

const ADMIN: UserId = UserId::new(Uuid::from_u128(7));
const CUSTOMER: UserId = UserId::new(Uuid::from_u128(8));
const ORDER: &str = "0190a1b2-c3d4-7000-8000-000000000001";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Shop {
    app: TestApp,
    keys: TestKeys,
}

impl Shop {
    /// A port with or without an access log, of one in three reads.
    fn open(is_edge: bool) -> Self {
        let (keys, process) = (TestKeys::new(), Process::for_test("order"));
        let jwks = WatchedFile::fixed(keys.jwks());
        let verifier = TokenVerifier::watch(jwks, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let edge = is_edge.then(|| Arc::new(AccessLog::new(3)));
        let routes = Routes::new()
            .on(Route::new(Get, "/api/v1/products", Policy::Optional), || async { "products" })
            .on(Route::new(Get, "/api/v1/fails", Policy::Optional), || async { StatusCode::BAD_GATEWAY })
            .on(Route::new(Post, "/api/v1/orders", Policy::User), |_: Identity| async {
                created(format!("/api/v1/orders/{ORDER}"), json!({"id": ORDER}))
            })
            .on(Route::new(Patch, "/api/v1/orders/{id}", Policy::User), |_: Identity| async { "changed" })
            .on(Route::new(Get, "/api/v1/admin/orders", Policy::ADMIN), || async { "orders" })
            .on(Route::new(Delete, "/api/v1/products/{id}", Policy::ADMIN), || async { StatusCode::NO_CONTENT });
        let settings = PortSettings { verifier: Some(verifier), edge, ..PortSettings::default() };
        Self { app: TestApp::new(public_stack(routes, settings)), keys }
    }

    fn token(&self, user: UserId, role: Role) -> String {
        self.keys.token(user, &[role])
    }
}

/// The values of some fields of a line, and of some fields of the span of its request.
fn shown(line: &Value, fields: &[&str], of_request: &[&str]) -> Vec<Value> {
    let request = line["spans"].as_array().unwrap().iter().find(|span| span["name"] == "request").unwrap();
    let fields = fields.iter().map(|field| line[field].clone());
    fields.chain(of_request.iter().map(|field| request[field].clone())).collect()
}

#[tokio::test]
async fn de15_each_change_at_the_edge_is_a_line_with_the_ids_of_request_trace_user_and_order() {
    let (log, shop) = (CapturedLog::start(), Shop::open(true));
    let token = shop.token(CUSTOMER, Role::Customer);
    let placed =
        shop.app.post("/api/v1/orders", json!({})).with(&token).header("x-request-id", "r-1").await.expect(201);
    shop.app.patch(&format!("/api/v1/orders/{ORDER}"), json!({})).with(&token).await.expect(200);
    shop.app.patch(&format!("/api/v1/orders/{ORDER}"), json!({})).await.expect(401);

    let lines = log.lines_of("access");
    let fields = ["level", "method", "route", "status", "one_in"];
    let ids = ["request_id", "trace_id", "user_id", "order_id"];
    let (trace, user) = (placed.header("x-trace-id"), CUSTOMER.to_string());
    let first = json!(["INFO", "POST", "/api/v1/orders", 201, 1, "r-1", trace, user, ORDER]);
    assert_eq!(json!(shown(&lines[0], &fields, &ids)), first);
    let status_and_ids = |line| json!(shown(line, &["status"], &["user_id", "order_id"]));
    assert_eq!(status_and_ids(&lines[1]), json!([200, user, ORDER]));
    assert_eq!(status_and_ids(&lines[2]), json!([401, null, ORDER]));
    assert_eq!(lines.len(), 3);
    assert!(lines[0]["took_ms"].is_f64());
}

#[tokio::test]
async fn de15_reads_at_the_edge_are_sampled_unless_the_server_fails() {
    let (log, shop) = (CapturedLog::start(), Shop::open(true));
    for _ in 0..6 {
        shop.app.get("/api/v1/products?q=secret+wish").await.expect(200);
    }
    shop.app.get("/api/v1/fails").await.expect(502);
    let lines = log.lines_of("access");
    let shown: Vec<_> = lines.iter().map(|line| shown(line, &["level", "status", "one_in"], &[])).collect();
    assert_eq!(json!(shown), json!([["INFO", 200, 3], ["INFO", 200, 3], ["WARN", 502, 1]]));
    assert!(!log.text().contains("secret"), "the query is not logged: {}", log.text());
}

#[tokio::test]
async fn de14_at_the_edge_a_trace_of_the_shops_own_begins_and_behind_it_the_callers_goes_on() {
    let trace_of = async |is_edge: bool| {
        let answer = Shop::open(is_edge).app.get("/api/v1/products").header("traceparent", PARENT).await.expect(200);
        answer.header("x-trace-id").to_owned()
    };
    let client = "0af7651916cd43dd8448eb211c80319c";
    let edge = trace_of(true).await;
    assert!(edge.len() == 32 && edge != client, "{edge}");
    assert_eq!(trace_of(false).await, client);
}

#[tokio::test]
async fn de15_what_staff_does_with_its_rights_is_in_the_audit_log_of_the_service_alone() {
    let (log, shop) = (CapturedLog::start(), Shop::open(false));
    let (admin, customer) = (shop.token(ADMIN, Role::Admin), shop.token(CUSTOMER, Role::Customer));
    shop.app.request(http::Method::DELETE, "/api/v1/products/7?why=x").with(&admin).await.expect(204);
    shop.app.get("/api/v1/admin/orders?user=8").with(&admin).await.expect(200);
    shop.app.patch(&format!("/api/v1/orders/{ORDER}"), json!({})).with(&admin).await.expect(200);
    // Neither reads that anybody may make, nor what customers do, nor what they are refused.
    shop.app.get("/api/v1/products").with(&admin).await.expect(200);
    shop.app.patch(&format!("/api/v1/orders/{ORDER}"), json!({})).with(&customer).await.expect(200);
    shop.app.get("/api/v1/admin/orders").with(&customer).await.expect(403);

    let fields = ["actor", "role", "method", "path", "status"];
    let lines: Vec<_> = log.lines_of("audit").iter().map(|line| shown(line, &fields, &[])).collect();
    let actor = ADMIN.to_string();
    let path = format!("/api/v1/orders/{ORDER}");
    let expected = json!([
        [actor, "admin", "DELETE", "/api/v1/products/7", 204],
        [actor, "admin", "GET", "/api/v1/admin/orders", 200],
        [actor, "admin", "PATCH", path, 200],
    ]);
    assert_eq!(json!(lines), expected);

    let edge = Shop::open(true);
    let admin = edge.token(ADMIN, Role::Admin);
    edge.app.get("/api/v1/admin/orders").with(&admin).await.expect(200);
    assert_eq!(log.lines_of("audit").len(), 3, "the gateway writes none");
    assert!(!log.text().contains(&admin), "no token is logged");
}

#[test]
fn de15_personal_and_secret_values_are_masked_by_their_types() {
    let log = CapturedLog::start();
    let (email, secret) = (Email::parse("ada@example.com").unwrap(), Secret::new("hunter2"));
    tracing::info!(?email, ?secret, account = ?(&email, Some(&secret)), "a line that prints everything");
    let text = log.text();
    assert!(text.contains("Email(…)") && text.contains("Secret(…)"), "{text}");
    assert!(!text.contains("ada@") && !text.contains("hunter2"), "{text}");
}
