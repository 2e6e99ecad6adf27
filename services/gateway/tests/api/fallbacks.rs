//! What the gateway answers, and what it does not ask for, while a service is away.

use std::time::Duration;

use agora_gateway::LegacyAliases;
use axum::{http::StatusCode, response::IntoResponse as _};
use serde_json::json;

use crate::{
    SERVICES, before, gateway,
    upstream::{Call, Upstream},
};

const NOWHERE: &str = "http://127.0.0.1:1";
/// Failures in a row after which a service is left alone, and for how long.
const FAILURES: usize = 5;
const ALONE: Duration = Duration::from_secs(2);

/// The header with which a test lets the service fail.
const FAIL: &str = "x-test-fail";

fn failing_on_demand(call: &Call) -> Option<axum::response::Response> {
    (call.header(FAIL) == "1").then(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

#[tokio::test]
async fn rs5_a_product_that_was_read_before_is_served_while_the_catalog_is_away() {
    let catalog = Upstream::answering(failing_on_demand).await;
    let gateway = before(&catalog);
    let read = |id: u32| gateway.app.get(&format!("/api/v1/products/{id}"));
    let fresh = read(1).await.expect(200);
    assert_eq!(fresh.header("x-degraded"), "");

    let stale = read(1).header(FAIL, "1").await.expect(200);
    assert_eq!(stale.bytes, fresh.bytes);
    assert_eq!((stale.header("x-degraded"), stale.header("warning")), ("catalog", "110 - \"Response is Stale\""));
    assert_eq!(stale.header("content-type"), fresh.header("content-type"));
    assert_eq!(read(1).header(FAIL, "1").with(&gateway.token()).await.expect(200).header("cache-control"), "no-store");
    read(2).header(FAIL, "1").await.expect(503);
    read(1).header(FAIL, "1").header("accept-language", "de").await.expect(503);
    assert_eq!(read(1).await.expect(200).header("x-degraded"), "", "as soon as it is back");
}

#[tokio::test]
async fn rs5_an_answer_to_a_user_is_served_to_nobody_else() {
    let private = |call: &Call| {
        let failed = failing_on_demand(call);
        failed.or_else(|| Some(([("cache-control", "no-store")], agora_web::Json(json!({}))).into_response()))
    };
    let gateway = before(&Upstream::answering(private).await);
    gateway.app.get("/api/v1/products/1").with(&gateway.token()).await.expect(200);
    gateway.app.get("/api/v1/products/1").header(FAIL, "1").await.expect(503);
}

#[tokio::test]
async fn rs5_recommendations_are_an_empty_list_while_their_service_is_away() {
    let failing = Upstream::answering(|_| Some(StatusCode::SERVICE_UNAVAILABLE.into_response())).await;
    for address in [NOWHERE.to_owned(), failing.address()] {
        let gateway = gateway([("recommendation", address)].into(), LegacyAliases::Disabled);
        let list = gateway.app.get("/api/v1/recommendations").with(&gateway.token()).await.expect(200);
        assert_eq!((&list.body, list.header("x-degraded")), (&json!({ "items": [] }), "recommendation"));
        gateway.app.get("/api/v1/recommendations").await.expect(401);
    }
}

#[tokio::test]
async fn rs5_a_service_that_fails_repeatedly_is_left_alone_for_a_moment() {
    let upstream = Upstream::that_hangs_up_on_the_first(FAILURES).await;
    let gateway = before(&upstream);
    let login = || gateway.app.post("/api/v1/auth/login", json!({ "email": "x" }));
    for _ in 0..FAILURES {
        login().await.expect(503);
    }
    let answer = login().await.expect(503);
    assert_eq!((&answer.body["code"], answer.header("retry-after")), (&json!("UPSTREAM_UNAVAILABLE"), "1"));
    assert!(upstream.calls().is_empty(), "it would answer by now, and was not asked");
    gateway.app.get("/api/v1/products").await.expect(200);
    tokio::time::sleep(ALONE).await;
    login().await.expect(201);
    login().await.expect(201);
}

#[tokio::test]
async fn rs5_refusals_and_failed_routes_do_not_stop_the_other_requests_to_a_service() {
    for status in [400, 401, 404, 409, 422, 429, 500, 503] {
        let answering: crate::upstream::Answer = |call| {
            let status = call.header(FAIL).parse().ok()?;
            Some(StatusCode::from_u16(status).unwrap().into_response())
        };
        let upstream = Upstream::answering(answering).await;
        let gateway = before(&upstream);
        for _ in 0..2 * FAILURES {
            let refused = gateway.app.get("/api/v1/products").header(FAIL, &status.to_string()).await;
            assert_eq!(refused.status, status);
        }
        gateway.app.get("/api/v1/products").await.expect(200);
        assert_eq!(upstream.calls().len(), 2 * FAILURES + 1, "{status}");
    }
}

#[tokio::test]
async fn rs4_a_service_learns_how_long_the_gateway_waits_whatever_the_client_says() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    for sent in [None, Some("60000"), Some("3000")] {
        let request = gateway.app.get("/api/v1/products");
        sent.map_or(request.clone(), |millis| request.header("x-request-timeout-ms", millis)).await.expect(200);
        let calls = upstream.calls();
        let waits: u64 = calls.last().unwrap().header("x-request-timeout-ms").parse().unwrap();
        let most = if sent == Some("3000") { 3_000 } else { 12_000 };
        assert!((most - 1_000..=most).contains(&waits), "{sent:?}: {waits}");
    }
    gateway.app.get("/api/v1/products").header("x-request-timeout-ms", "0").await.expect(504);
    assert_eq!(upstream.calls().len(), 3);
}

#[tokio::test]
async fn rs5_one_service_that_is_away_stops_no_other_one() {
    let upstream = Upstream::start().await;
    let mut addresses: std::collections::BTreeMap<_, _> = SERVICES.map(|name| (name, upstream.address())).into();
    addresses.insert("order", NOWHERE.to_owned());
    let gateway = gateway(addresses, LegacyAliases::Disabled);
    for _ in 0..2 * FAILURES {
        gateway.app.get("/api/v1/orders").with(&gateway.token()).await.expect(503);
        gateway.app.get("/api/v1/cart").with(&gateway.token()).await.expect(200);
    }
}
