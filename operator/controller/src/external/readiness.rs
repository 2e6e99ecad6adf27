//! `ServiceProbe` over HTTP: the readiness report that each process of Agora serves at its admin port.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::time::timeout;

use crate::external::ports::{BoxError, ProbeError, ServiceProbe};

const ANSWER_SECONDS_MAX: u64 = 2;
const REPORT_BYTES_MAX: usize = 65_536;
/// A reason is quoted in a condition up to this number of characters.
const REASON_CHARS_MAX: usize = 200;

/// A report is read over a new connection each time, so that it comes from any pod of the service.
#[derive(Clone, Debug)]
pub struct HttpReadiness {
    client: Client<HttpConnector, Body>,
}

impl Default for HttpReadiness {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(ANSWER_SECONDS_MAX)));
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector) }
    }
}

/// The part of a readiness report that is read.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    degraded: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    #[serde(default)]
    reason: String,
}

impl HttpReadiness {
    async fn read(&self, url: &str) -> Result<Report, BoxError> {
        let response = self.client.get(url.parse()?).await?;
        let body = Limited::new(response.into_body(), REPORT_BYTES_MAX).collect().await?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    }
}

#[async_trait]
impl ServiceProbe for HttpReadiness {
    async fn degraded(&self, url: &str) -> Result<BTreeMap<String, String>, ProbeError> {
        let failed = |source| ProbeError { url: url.to_owned(), source };
        let report = timeout(Duration::from_secs(ANSWER_SECONDS_MAX), self.read(url)).await;
        let report = report.map_err(|elapsed| failed(elapsed.into()))?.map_err(failed)?;
        let cut = |text: String| text.chars().take(REASON_CHARS_MAX).collect();
        Ok(report.degraded.into_iter().map(|dependency| (dependency.name, cut(dependency.reason))).collect())
    }
}
