//! The layers of a port: ids, traces, metrics, time-outs and panics as a client and an operator see them.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up ends there")]

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use agora_api::{
    Method::{Get, Post},
    Policy, Route,
};
use agora_chassis::{
    Process, WatchedSecret, deadline,
    telemetry::{self, Config, Guard},
};
use agora_testkit::{TestApp, internal_token};
use agora_web::{Json, PortSettings, Routes, created, etag, public_stack};
use axum::{
    body::{Body, Bytes, to_bytes},
    http::StatusCode,
};
use futures::StreamExt as _;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt as _;

fn app() -> TestApp {
    static TELEMETRY: OnceLock<Guard> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let filter = "off,agora_web=info".to_owned();
        telemetry::init_with("test", &Config { filter, otlp_endpoint: None, metrics_every: None, sampled: 1.0 })
            .unwrap()
    });
    let route = |method, path| Route::new(method, path, Policy::Open).with_body_max(100);
    let routes = Routes::new()
        .on(route(Get, "/items/{id}"), || async { ([("etag", etag(3))], "item") })
        .on(route(Get, "/panic"), panicking)
        .on(route(Get, "/slow"), std::future::pending::<()>)
        .on(route(Get, "/bare"), || async { StatusCode::TOO_MANY_REQUESTS })
        .on(route(Get, "/said"), || async { (StatusCode::BAD_GATEWAY, "said") })
        .on(route(Get, "/left"), || async { deadline::left().unwrap().as_millis().to_string() })
        .on(route(Post, "/raw"), |body: Bytes| async move { body.len().to_string() })
        .on(route(Post, "/made"), || async { created("/made/1".to_owned(), json!({"id": 1})) })
        .on(route(Get, "/request-id"), || async { agora_chassis::trace::request_id().unwrap_or_default() });
    let settings = PortSettings { timeout: Duration::from_millis(50), ..PortSettings::default() };
    TestApp::new(public_stack(routes, settings))
}

async fn panicking() -> &'static str {
    panic!("a secret of the house")
}

#[tokio::test]
async fn a_request_id_is_kept_if_it_is_visible_ascii_and_made_otherwise() {
    let kept = app().get("/request-id").header("x-request-id", "client-7").await.expect(200);
    assert_eq!((kept.header("x-request-id"), kept.bytes.as_slice()), ("client-7", b"client-7".as_slice()));
    for id in ["", "two words", &"x".repeat(129)] {
        let made = app().get("/request-id").header("x-request-id", id).await.expect(200);
        assert_eq!(made.header("x-request-id").len(), 36, "{id}");
        assert_eq!(made.header("x-request-id").as_bytes(), made.bytes);
    }
    assert_eq!(app().get("/nowhere").await.header("x-request-id").len(), 36, "also on refusals");
}

#[tokio::test]
async fn de14_an_answer_names_its_trace_which_is_the_callers_if_it_has_one() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = app().get("/items/1").header("traceparent", parent).await;
    assert_eq!(answer.header("x-trace-id"), "0af7651916cd43dd8448eb211c80319c");
    let fresh = app().get("/items/1").header("traceparent", "00-nonsense").await;
    assert_eq!(fresh.header("x-trace-id").len(), 32);
}

#[tokio::test]
async fn rs7_a_panic_is_a_500_without_details() {
    let answer = app().get("/panic").await.expect(500);
    assert_eq!(answer.body["code"], "INTERNAL");
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("secret"));
    assert_eq!(answer.body["requestId"], answer.header("x-request-id"));
    app().get("/items/1").await.expect(200);
}

#[tokio::test]
async fn rs4_a_handler_that_takes_too_long_is_503_with_retry_after() {
    let answer = app().get("/slow").await.expect(503);
    assert_eq!((answer.body["code"].as_str(), answer.header("retry-after")), (Some("TIMEOUT"), "1"));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_408() {
    let notes = Route::new(Post, "/notes", Policy::Open);
    let routes = Routes::new().on(notes, |_: Json<Value>| async { "taken" });
    let settings = PortSettings { body_timeout: Duration::from_millis(20), ..PortSettings::default() };
    let port = public_stack(routes, settings);
    let chunks = futures::stream::once(async { Ok::<_, std::io::Error>("{") }).chain(futures::stream::pending());
    let head = http::Request::post("/notes").header("host", "x").header("content-type", "application/json");
    let request = head.body(Body::from_stream(chunks)).unwrap();
    let response = port.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 408);
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["code"], "BODY_TIMED_OUT");
}

#[tokio::test]
async fn a_401_names_a_challenge() {
    let closed = Route::new(Get, "/closed", Policy::Open);
    let routes = Routes::new().on(closed, || async { StatusCode::UNAUTHORIZED });
    let answer = TestApp::new(public_stack(routes, PortSettings::default())).get("/closed").await.expect(401);
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

#[tokio::test]
async fn rs6_bare_errors_become_problems_and_others_stay() {
    assert_eq!(app().get("/bare").await.expect(429).body["code"], "TOO_MANY_REQUESTS");
    assert_eq!(app().get("/said").await.expect(502).bytes, b"said");
}

#[tokio::test]
async fn the_limit_holds_for_bodies_that_are_no_json() {
    assert_eq!(app().request(Method::POST, "/raw").raw(vec![b'x'; 100]).await.expect(200).bytes, b"100");
    app().request(Method::POST, "/raw").raw(vec![b'x'; 101]).await.expect(413);
}

#[tokio::test]
async fn what_was_made_says_where_it_is() {
    let answer = app().request(Method::POST, "/made").await.expect(201);
    assert_eq!((answer.header("location"), &answer.body), ("/made/1", &json!({"id": 1})));
    assert_eq!(app().get("/items/1").await.header("etag"), "\"3\"");
}

#[tokio::test]
async fn de9_http_metrics_have_method_route_and_status_and_not_the_path() {
    let app = app();
    app.get("/items/7").await.expect(200);
    app.get("/secret-path").await.expect(404);
    app.request(Method::from_bytes(b"BREW").unwrap(), "/items/7").await.expect(405);
    let shown = telemetry::metrics_handle().render();
    for series in [
        "http_request_total{method=\"GET\",route=\"/items/{id}\",status=\"200\"}",
        "http_request_duration_seconds_bucket{method=\"GET\",route=\"/items/{id}\",status=\"200\",le=\"0.005\"}",
        "http_request_total{method=\"GET\",route=\"unmatched\",status=\"404\"}",
        "http_request_total{method=\"OTHER\",route=\"/items/{id}\",status=\"405\"}",
    ] {
        assert!(shown.contains(series), "{series} in\n{shown}");
    }
    assert!(!shown.contains("/items/7") && !shown.contains("secret-path") && !shown.contains("BREW"), "{shown}");
}

/// A port of services whose `POST /do` reports that it began, waits, and reports its end.
fn slow_work(process: &Process, go_on: Arc<Notify>, steps: mpsc::UnboundedSender<String>) -> TestApp {
    let route = Route::new(Post, "/do", Policy::Service(&["order"])).with_body_max(100);
    let handler = move |body: Bytes| async move {
        steps.send("begun".to_owned()).unwrap();
        go_on.notified().await;
        let request = agora_chassis::trace::request_id().unwrap_or_default();
        steps.send(format!("{request} ended with {} bytes", body.len())).unwrap();
        "done"
    };
    let settings = PortSettings { timeout: Duration::from_mins(1), ..PortSettings::of(process) };
    let routes = Routes::new().on(route, handler);
    TestApp::new(agora_web::internal(routes, WatchedSecret::fixed("s"), &agora_topology::CATALOG, settings))
}

#[tokio::test]
async fn the_work_of_a_request_runs_to_its_end_when_its_client_leaves() {
    let (process, go_on) = (Process::for_test("catalog"), Arc::new(Notify::new()));
    let (sender, mut steps) = mpsc::unbounded_channel();
    let app = slow_work(&process, go_on.clone(), sender);
    let token = internal_token("s", "order", "catalog", None);
    let request = || app.request(Method::POST, "/do").internal(&token).header("x-request-id", "r-7").raw(vec![b'x'; 9]);
    let mut left = Box::pin(request().into_future());
    tokio::select! {
        answer = &mut left => panic!("{:?}", answer.bytes),
        step = steps.recv() => assert_eq!(step.unwrap(), "begun"),
    }
    drop(left);
    go_on.notify_one();
    assert_eq!(steps.recv().await.unwrap(), "r-7 ended with 9 bytes");

    go_on.notify_one();
    assert_eq!(request().await.expect(200).bytes, b"done");
    request().raw(vec![b'x'; 101]).await.expect(413);
    process.end().await;
}

#[tokio::test]
async fn rs4_the_time_of_the_caller_limits_the_work_and_a_request_without_time_is_not_begun() {
    let left = |answer: agora_testkit::TestResponse| String::from_utf8(answer.bytes).unwrap().parse::<u64>().unwrap();
    assert!(left(app().get("/left").await.expect(200)) <= 50, "the port's own limit");
    assert!(left(app().get("/left").header("x-request-timeout-ms", "20").await.expect(200)) <= 20);
    assert!(left(app().get("/left").header("x-request-timeout-ms", "60000").await.expect(200)) <= 50);
    let slow = app().get("/slow").header("x-request-timeout-ms", "5").await.expect(503);
    assert_eq!(slow.body["code"], "TIMEOUT");
    let late = app().get("/left").header("x-request-timeout-ms", "0").await.expect(504);
    assert_eq!(late.body["code"], "DEADLINE_EXCEEDED");
    for wrong in ["soon", "-1", "1e3", "9999999999"] {
        let refused = app().get("/left").header("x-request-timeout-ms", wrong).await.expect(400);
        assert_eq!(refused.body["code"], "INVALID_TIMEOUT", "{wrong}");
        assert_eq!(refused.body["details"][0]["field"], "x-request-timeout-ms");
    }
}

#[tokio::test]
async fn rs4_a_change_that_began_is_not_limited_by_the_time_of_its_caller() {
    let (go_on, (steps, mut seen)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
    let process = Process::for_test("catalog");
    let app = slow_work(&process, go_on.clone(), steps);
    let token = internal_token("s", "order", "catalog", None);
    let request = |millis: &str| app.post("/do", json!({})).internal(&token).header("x-request-timeout-ms", millis);
    request("0").await.expect(504);
    request("100").await.expect(503);
    assert_eq!(seen.recv().await.unwrap(), "begun", "by the second request alone");
    go_on.notify_one();
    assert!(seen.recv().await.unwrap().ends_with("ended with 2 bytes"));
    assert!(seen.try_recv().is_err());
}
