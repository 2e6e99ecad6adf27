//! Requests that no client of a shop sends by intention: what they cost, and whom they are blamed on.

use std::{future::IntoFuture as _, time::Duration};

use agora_chassis::Process;
use agora_gateway::{Call, LegacyAliases, UpstreamError, Upstreams};
use agora_testkit::TestKeys;
use agora_vocab::{Role, UserId};
use axum::{
    body::Body,
    http::{HeaderMap, Method, Request},
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use serde_json::json;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::{SERVICES, before, gateway, upstream::Upstream};

/// Resident memory of this process that no file backs, in KiB.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_small_body_does_not_become_a_lot_of_memory() {
    let upstream = Upstream::start().await;
    let gateway = gateway(SERVICES.map(|name| (name, upstream.address())).into(), LegacyAliases::Enabled);
    let nested = |values: usize| format!("[{}{{}}]", "{\"a\":{}},".repeat(values / 2));
    let before = memory_kib();
    for path in ["/auth/login", "/auth/register", "/s3/users"] {
        let post = |body: String| gateway.app.post(path, json!({})).raw(body);
        post(nested(200_000)).await.expect(413);
        post(nested(1_900)).await.expect(413);
        let many = (0..8).map(|_| post(format!("[{}0]", "0,".repeat(2_500))).into_future());
        for answer in futures::future::join_all(many).await {
            assert_eq!((answer.status, answer.body["code"].as_str()), (413, Some("BODY_TOO_LARGE")), "{path}");
        }
    }
    let grown = memory_kib().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB");
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn a_path_that_a_service_might_take_for_another_reaches_none() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    for path in ["/api/v1/products/x%5c..%5clogin", "/api/v1/products/..%2fauth", "/api/v1/products/a%00b"] {
        gateway.app.get(path).await.expect(404);
    }
    let backslash = Request::get("/api/v1/products/x\\..\\login").header("host", "x").body(Body::empty());
    if let Ok(request) = backslash {
        assert_eq!(gateway.router.clone().oneshot(request).await.unwrap().status(), 404);
    }
    assert!(upstream.calls().is_empty());
    let quotes = format!("/api/v1/products/{}", "\"".repeat(10_000));
    let request = Request::get(quotes).header("host", "x").body(Body::empty()).unwrap();
    assert_eq!(gateway.router.clone().oneshot(request).await.unwrap().status(), 200, "sent on as it came");
}

#[tokio::test]
async fn a_clients_fault_marks_no_service_as_down() {
    let upstream = Upstream::start().await;
    let process = Process::for_test("gateway");
    let upstreams = Upstreams::new([("catalog", format!("{}/prefix", upstream.address()))].into(), &process).unwrap();
    let target = format!("/{}", "x".repeat((1 << 16) - 4)).parse().unwrap();
    let demand = (&agora_api::catalog::routes::LIST).into();
    let call = Call { demand, method: Method::GET, target, headers: HeaderMap::new(), body: Body::empty() };
    let error = upstreams.send("catalog", call).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unsendable(_)), "{error:?}");
    assert_eq!(agora_web::Problem::from(error).status(), 400);
    assert!(process.readiness().degraded.is_empty(), "{:?}", process.readiness().degraded);
}

#[tokio::test]
async fn a_page_that_anyone_may_read_ignores_an_expired_token() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let mut claims = TestKeys::claims(UserId::new(Uuid::nil()), &[Role::Customer]);
    claims["exp"] = json!(1_700_000_000);
    let expired = gateway.keys.sign(&claims);
    gateway.app.get("/api/v1/products").with(&expired).await.expect(200);
    let refused = gateway.app.get("/api/v1/orders").with(&expired).await.expect(401);
    assert_eq!((&refused.body["code"], &refused.body["error"]), (&json!("TOKEN_EXPIRED"), &json!("Invalid token")));
    assert!(refused.header("www-authenticate").contains("invalid_token"));
}

#[tokio::test]
async fn de14_a_clients_trace_and_its_sampling_flag_are_not_sent_on() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = gateway.app.get("/api/v1/products").header("traceparent", parent).await.expect(200);
    let [call] = <[_; 1]>::try_from(upstream.calls()).unwrap();
    let sent = call.header("traceparent");
    let own = answer.header("x-trace-id");
    assert_ne!(own, "0af7651916cd43dd8448eb211c80319c");
    assert!(sent.starts_with(&format!("00-{own}-")) && sent.ends_with("-00"), "{sent}");
}

/// More of them than there are permits for one service.
#[tokio::test]
async fn slow_bodies_do_not_keep_others_from_their_service() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let mut slow: FuturesUnordered<_> = (0..300)
        .map(|_| {
            let chunks =
                futures::stream::once(async { Ok::<_, std::io::Error>("{") }).chain(futures::stream::pending());
            let head = Request::post("/api/v1/auth/login").header("host", "x");
            gateway.router.clone().oneshot(head.body(Body::from_stream(chunks)).unwrap())
        })
        .collect();
    assert!(futures::poll!(slow.next()).is_pending());
    let honest = gateway.app.post("/api/v1/auth/login", json!({ "email": "x" })).into_future();
    tokio::time::timeout(Duration::from_secs(4), honest).await.expect("it does not wait for them").expect(201);
    assert_eq!(upstream.calls().len(), 1);
}
