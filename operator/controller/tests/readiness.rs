//! The readiness reports of services, read over HTTP from the admin port that every process of Agora has.

use agora_chassis::{Process, admin};
use agora_operator::external::ports::ServiceProbe as _;
use agora_operator::external::readiness::HttpReadiness;
use tokio::net::TcpListener;

#[tokio::test]
async fn the_dependencies_that_a_service_lacks_are_read_from_its_admin_port() {
    let process = Process::for_test("order");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/readyz", listener.local_addr().unwrap());
    let (shutdown, router) = (process.shutdown(), admin::router(&process, admin::Info::new(vec!["order"])));
    process.spawn("admin", async move {
        axum::serve(listener, router).with_graceful_shutdown(async move { shutdown.cancelled().await }).await?;
        Ok(())
    });
    let probe = HttpReadiness::default();
    assert!(probe.degraded(&url).await.unwrap().is_empty());
    process.dependency("database").down("connection refused");
    assert_eq!(probe.degraded(&url).await.unwrap()["database"], "connection refused");
    process.end().await;
    assert!(probe.degraded(&url).await.is_err());
}
