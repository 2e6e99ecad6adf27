//! HTTP client of a shop: requests, responses, and which responses can be retried.
//!
//! Must not depend on journeys or load profiles.

use std::time::Duration;

use agora_api::Problem;
use anyhow::Context as _;
use reqwest::{Method, Url, header, redirect::Policy};
use serde::de::DeserializeOwned;
use serde_json::Value;

const ANSWER_SECONDS_MAX: u64 = 10;
const CONNECT_SECONDS_MAX: u64 = 3;
/// Limits idle sockets to what a small gateway accepts.
const IDLE_CONNECTIONS_MAX: usize = 128;
const PREFIX: &str = "/api/v1";
/// How often a request is sent until its response is final, and the pause between two tries.
const TRIES_MAX: u32 = 50;
const TRY_PAUSE: Duration = Duration::from_millis(200);

/// Client of a shop on this machine.
#[derive(Clone, Debug)]
pub struct Shop {
    http: reqwest::Client,
    base: Url,
}

/// Error of `Shop::at`.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// The text is not a URL.
    #[error("{0} is not a URL like http://127.0.0.1:30080")]
    InvalidUrl(String),
    /// The host is not 127.0.0.1; only a local shop is accepted because real orders are placed.
    #[error("only a shop at http://127.0.0.1 is accepted, not {0}")]
    NotLocal(String),
    /// The HTTP client cannot be created.
    #[error("setting up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// An HTTP request.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    method: Method,
    path: String,
    token: Option<&'a str>,
    key: Option<String>,
    if_match: bool,
    body: Option<Value>,
}

impl<'a> Call<'a> {
    /// `GET path`; the path is relative to `/api/v1`.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), token: None, key: None, if_match: false, body: None }
    }

    /// `POST path` with a JSON body.
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }

    /// `PUT path` with a JSON body.
    pub fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PUT, ..Self::post(path, body) }
    }

    /// `DELETE path`; for an order this cancels it.
    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// Adds `Authorization: Bearer <token>`.
    #[must_use]
    pub fn bearer(self, token: &'a str) -> Self {
        Self { token: Some(token), ..self }
    }

    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Adds `If-Match: *`.
    #[must_use]
    pub fn if_match_any(self) -> Self {
        Self { if_match: true, ..self }
    }

    /// The value of `Idempotency-Key`, if any.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

/// Result of a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A complete response.
    Answer {
        /// HTTP status code.
        status: u16,
        /// Value of `Retry-After`, in seconds.
        retry_after: Option<u64>,
        /// JSON body; null if the body is empty or not JSON.
        body: Value,
    },
    /// No response: it is unknown whether the request took effect.
    Lost {
        /// Error of the HTTP client and its sources.
        why: String,
    },
}

impl Reply {
    /// The HTTP status code; None without a response.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Lost { .. } => None,
        }
    }

    /// Whether a retry with the same key may return another response: no response, 5xx, or `Retry-After`.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Answer { status, retry_after, .. } => *status >= 500 || retry_after.is_some(),
            Self::Lost { .. } => true,
        }
    }

    /// The code of the problem body.
    pub fn code(&self) -> Option<String> {
        self.problem().map(|problem| problem.code)
    }

    /// The body of a 2xx response; None for other statuses or if the body has another type.
    pub fn success<T: DeserializeOwned>(&self) -> Option<T> {
        match self {
            Self::Answer { status: 200..=299, body, .. } => serde_json::from_value(body.clone()).ok(),
            _ => None,
        }
    }

    /// The problem body of a 4xx or 5xx response.
    pub fn problem(&self) -> Option<Problem> {
        match self {
            Self::Answer { status: 400.., body, .. } => serde_json::from_value(body.clone()).ok(),
            _ => None,
        }
    }

    /// Status, code and detail for error messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Lost { why } => format!("no response: {why}"),
            Self::Answer { status, body, .. } => match self.problem() {
                Some(problem) => {
                    format!("{status} {}: {}", problem.code, problem.detail.unwrap_or(problem.title))
                }
                None => format!("{status} {body}"),
            },
        }
    }
}

impl Shop {
    /// A client for a URL such as `http://127.0.0.1:30080`. Any other host is an error.
    pub fn at(url: &str) -> Result<Self, ShopError> {
        let base = Url::parse(url).map_err(|_| ShopError::InvalidUrl(url.to_owned()))?;
        if base.scheme() != "http" || base.host_str() != Some("127.0.0.1") {
            return Err(ShopError::NotLocal(url.to_owned()));
        }
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(ShopError::Client)?;
        Ok(Self { http, base })
    }

    /// The full URL of a path relative to `/api/v1`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{PREFIX}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// Sends a request once, without retries.
    pub async fn send(&self, call: &Call<'_>) -> Reply {
        let mut request = self.http.request(call.method.clone(), self.url(&call.path));
        if let Some(token) = call.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if call.if_match {
            request = request.header(header::IF_MATCH, "*");
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        match request.send().await {
            Ok(answer) => read_response(answer).await,
            Err(error) => Reply::Lost { why: chain(&error) },
        }
    }

    /// Sends a request until its response is final, because the shop may be starting. If none is, returns the last one.
    pub async fn send_until_final(&self, call: &Call<'_>) -> Reply {
        for _ in 1..TRIES_MAX {
            let reply = self.send(call).await;
            if !reply.is_retryable() {
                return reply;
            }
            tokio::time::sleep(TRY_PAUSE).await;
        }
        self.send(call).await
    }

    /// Sends a request until its response is final and returns its body. Another status, or a body of another type, is an
    /// error that describes the response.
    pub async fn request<T: DeserializeOwned>(&self, status: u16, call: &Call<'_>) -> anyhow::Result<T> {
        let reply = self.send_until_final(call).await;
        let body = if reply.status() == Some(status) { reply.success() } else { None };
        body.with_context(|| format!("{} {}: expected {status}, got {}", call.method, call.path, reply.describe()))
    }
}

async fn read_response(answer: reqwest::Response) -> Reply {
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match answer.bytes().await {
        Ok(bytes) => Reply::Answer { status, retry_after, body: serde_json::from_slice(&bytes).unwrap_or_default() },
        Err(error) => Reply::Lost { why: chain(&error) },
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_shops_are_accepted() {
        assert!(Shop::at("http://127.0.0.1:30080").is_ok());
        for elsewhere in
            ["http://example.com", "https://127.0.0.1", "http://127.0.0.1.example.com", "http://127.0.0.1@example.com"]
        {
            assert!(matches!(Shop::at(elsewhere), Err(ShopError::NotLocal(_))), "{elsewhere}");
        }
        assert!(matches!(Shop::at("30080"), Err(ShopError::InvalidUrl(_))));
    }

    #[test]
    fn only_responses_that_are_not_final_are_retryable() {
        let answer = |status, retry_after| Reply::Answer { status, retry_after, body: Value::Null };
        assert!(answer(503, Some(1)).is_retryable());
        assert!(answer(409, Some(1)).is_retryable());
        assert!(Reply::Lost { why: String::new() }.is_retryable());
        assert!(!answer(409, None).is_retryable());
        assert!(!answer(402, None).is_retryable());
        assert!(!answer(201, None).is_retryable());
    }
}
