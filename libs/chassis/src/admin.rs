//! The admin port: is it alive, is it ready, its metrics, what it is. Open to the cluster's own network alone, by
//! network policy; it must never serve data of a shopper.

use std::collections::BTreeMap;

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;

use crate::{process::Process, process_metrics, telemetry};

/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What `/info` answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// The names of the services in this process.
    pub services: Vec<&'static str>,
    /// The version of the build.
    pub version: &'static str,
    /// The feature flags, by name.
    pub flags: BTreeMap<&'static str, bool>,
    /// What services state of themselves, by name: [`Process::note`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<&'static str, String>,
}

impl Info {
    /// This build, serving `services`.
    pub fn new(services: Vec<&'static str>) -> Self {
        Self { services, version: env!("CARGO_PKG_VERSION"), flags: BTreeMap::new(), notes: BTreeMap::new() }
    }

    fn of(&self, process: &Process) -> Self {
        Self { flags: process.flags().list(), notes: process.notes(), ..self.clone() }
    }
}

/// `/livez`, `/readyz`, `/metrics` and `/info` of a process.
pub fn router(process: &Process, info: Info) -> Router {
    let (process, live, noted) = (process.clone(), process.clone(), process.clone());
    let (metrics, app) = (telemetry::metrics_handle(), process.service());
    let scraped = move || metrics.render() + &process_metrics::render(app);
    Router::new()
        .route("/livez", get(move || std::future::ready(livez(&live))))
        .route("/readyz", get(move || std::future::ready(readyz(&process))))
        .route("/metrics", get(move || std::future::ready(([(header::CONTENT_TYPE, METRICS_TYPE)], scraped()))))
        .route("/info", get(move || std::future::ready(json(StatusCode::OK, &info.of(&noted)))))
}

/// 503 if work has shown no progress for longer than its limit.
fn livez(process: &Process) -> Response {
    let overdue = process.overdue();
    if overdue.is_empty() { "ok".into_response() } else { json(StatusCode::SERVICE_UNAVAILABLE, &overdue) }
}

fn readyz(process: &Process) -> Response {
    let report = process.readiness();
    json(if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &report)
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::{Info, router};
    use crate::process::Process;

    async fn get(process: &Process, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(process, Info::new(vec!["cart"])).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn rs1_readyz_names_closed_gates_with_503_and_degraded_dependencies_with_200() {
        let process = Process::for_test("cart");
        let database = process.gate("database");
        database.close("no server answers");
        let (status, body) = get(&process, "/readyz").await;
        assert_eq!(status, 503);
        assert_eq!(
            body,
            r#"{"ready":false,"gates":[{"service":"cart","name":"database","reason":"no server answers"}],"degraded":[]}"#
        );

        database.open();
        process.dependency("kafka").down("no broker answers");
        let (status, body) = get(&process, "/readyz").await;
        assert_eq!(status, 200);
        assert_eq!(
            body,
            r#"{"ready":true,"gates":[],"degraded":[{"service":"cart","name":"kafka","reason":"no broker answers"}]}"#
        );
        process.fail_readiness();
        assert_eq!(get(&process, "/readyz").await.0, 503);
        assert_eq!(get(&process, "/livez").await.0, 200);
    }

    #[tokio::test]
    async fn de8_metrics_of_the_work_and_of_the_process_are_served_with_what_it_is() {
        let process = Process::for_test("cart");
        crate::telemetry::metrics_handle();
        metrics::counter!("admin_test_total", "label" => "x").increment(2);
        let (_, metrics) = get(&process, "/metrics").await;
        assert!(metrics.contains("admin_test_total{label=\"x\"} 2"), "{metrics}");
        assert!(metrics.contains("\nprocess_resident_memory_bytes{app=\"cart\"} "), "{metrics}");
        let (_, info) = get(&process, "/info").await;
        let begin = format!(r#"{{"services":["cart"],"version":"{}","flags":{{"#, env!("CARGO_PKG_VERSION"));
        assert!(info.starts_with(&begin) && !info.contains("notes"), "{info}");
        process.note("mail", "suppressed");
        assert!(get(&process, "/info").await.1.ends_with(r#","notes":{"mail":"suppressed"}}"#));
    }

    #[tokio::test]
    async fn de16_the_flags_are_listed_with_their_values() {
        let process = Process::for_test("cart");
        process.set_flags("takeOrders: false").unwrap();
        let (_, info) = get(&process, "/info").await;
        for flag in agora_vocab::Flag::ALL {
            let value = *flag != agora_vocab::Flag::TakeOrders;
            assert!(info.contains(&format!("\"{flag}\":{value}")), "{info}");
        }
    }
}
