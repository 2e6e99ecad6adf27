//! `/livez` of the admin port.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::time::Duration;

use agora_chassis::{Process, admin};
use axum::{body::Body, http::Request};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

async fn livez(process: &Process) -> (u16, String) {
    let request = Request::get("/livez").body(Body::empty()).unwrap();
    let response = admin::router(process, admin::Info::new(vec!["cart"])).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn rs1_livez_fails_while_work_shows_no_progress_for_longer_than_its_limit() {
    let process = Process::for_test("cart");
    let healthy = process.heartbeat("watch", Duration::from_mins(1));
    assert_eq!(livez(&process).await, (200, "ok".to_owned()));
    let stuck = process.heartbeat("reconcile/shop", Duration::ZERO);
    while process.overdue().is_empty() {
        tokio::task::yield_now().await;
    }
    let (status, body) = livez(&process).await;
    assert_eq!(status, 503);
    assert!(body.contains("reconcile/shop") && !body.contains("watch"), "{body}");
    healthy.beat();
    drop(stuck);
    assert_eq!(livez(&process).await.0, 200);
}
