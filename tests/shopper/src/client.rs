//! A shop's HTTP door: requests out, answers in, and what it means when none comes.
//!
//! Knows status codes and headers; must not know what a journey does with them.

use std::time::Duration;

use agora_api::Problem;
use reqwest::{Method, Url, header, redirect::Policy};
use serde::de::DeserializeOwned;
use serde_json::Value;

const ANSWER_SECONDS_MAX: u64 = 10;
const CONNECT_SECONDS_MAX: u64 = 3;
/// Not more sockets than a small gateway has room for.
const IDLE_CONNECTIONS_MAX: usize = 128;
const PREFIX: &str = "/api/v1";

/// A shop on this machine.
#[derive(Clone, Debug)]
pub struct Shop {
    http: reqwest::Client,
    base: Url,
}

/// Why a shop cannot be gone to.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// The address is none.
    #[error("{0} is no URL of the form http://127.0.0.1:30080")]
    NotAnAddress(String),
    /// Shoppers buy for real: they stay on this machine.
    #[error("shoppers only go to http://127.0.0.1, and {0} is elsewhere")]
    Elsewhere(String),
    /// The HTTP client could not be set up.
    #[error("setting up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// A request.
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
    /// Reads `path`, which comes after `/api/v1`.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), token: None, key: None, if_match: false, body: None }
    }

    /// Sends a body to `path`.
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }

    /// Puts a body in the place of what is at `path`.
    pub fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PUT, ..Self::post(path, body) }
    }

    /// Deletes (for an order: cancels) what is at `path`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// As the bearer of `token`.
    #[must_use]
    pub fn by(self, token: &'a str) -> Self {
        Self { token: Some(token), ..self }
    }

    /// With an `Idempotency-Key`.
    #[must_use]
    pub fn keyed(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Whatever version is there by now.
    #[must_use]
    pub fn of_any_version(self) -> Self {
        Self { if_match: true, ..self }
    }

    /// The `Idempotency-Key`.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A whole answer.
    Answer {
        /// Its status.
        status: u16,
        /// When to ask again, in seconds.
        retry_after: Option<u64>,
        /// Its body; null where it has none or is no JSON.
        body: Value,
    },
    /// No answer: whether the request took effect is unknown.
    Lost {
        /// What the client saw, for people.
        why: String,
    },
}

impl Reply {
    /// The status, where there is an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Lost { .. } => None,
        }
    }

    /// Whether asking again with the same key may give another answer.
    pub fn may_be_repeated(&self) -> bool {
        match self {
            Self::Answer { status, retry_after, .. } => *status >= 500 || retry_after.is_some(),
            Self::Lost { .. } => true,
        }
    }

    /// The code of a refusal.
    pub fn code(&self) -> Option<String> {
        self.problem().map(|problem| problem.code)
    }

    /// The body of a success.
    pub fn success<T: DeserializeOwned>(&self) -> Option<T> {
        match self {
            Self::Answer { status: 200..=299, body, .. } => serde_json::from_value(body.clone()).ok(),
            _ => None,
        }
    }

    /// The body of a refusal.
    pub fn problem(&self) -> Option<Problem> {
        match self {
            Self::Answer { status: 400.., body, .. } => serde_json::from_value(body.clone()).ok(),
            _ => None,
        }
    }

    /// For people: why this is not what was hoped for.
    pub fn describe(&self) -> String {
        match self {
            Self::Lost { why } => format!("no answer: {why}"),
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
    /// The shop at a URL such as `http://127.0.0.1:30080`.
    pub fn at(url: &str) -> Result<Self, ShopError> {
        let base = Url::parse(url).map_err(|_| ShopError::NotAnAddress(url.to_owned()))?;
        if base.scheme() != "http" || base.host_str() != Some("127.0.0.1") {
            return Err(ShopError::Elsewhere(url.to_owned()));
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

    /// The whole URL of a path after `/api/v1`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{PREFIX}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// Sends a request once.
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
            Ok(answer) => whole(answer).await,
            Err(error) => Reply::Lost { why: chain(&error) },
        }
    }
}

async fn whole(answer: reqwest::Response) -> Reply {
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
    fn shoppers_stay_on_this_machine() {
        assert!(Shop::at("http://127.0.0.1:30080").is_ok());
        for elsewhere in
            ["http://example.com", "https://127.0.0.1", "http://127.0.0.1.example.com", "http://127.0.0.1@example.com"]
        {
            assert!(matches!(Shop::at(elsewhere), Err(ShopError::Elsewhere(_))), "{elsewhere}");
        }
        assert!(matches!(Shop::at("30080"), Err(ShopError::NotAnAddress(_))));
    }

    #[test]
    fn what_may_be_repeated_is_what_is_not_final() {
        let answer = |status, retry_after| Reply::Answer { status, retry_after, body: Value::Null };
        assert!(answer(503, Some(1)).may_be_repeated());
        assert!(answer(409, Some(1)).may_be_repeated());
        assert!(Reply::Lost { why: String::new() }.may_be_repeated());
        assert!(!answer(409, None).may_be_repeated());
        assert!(!answer(402, None).may_be_repeated());
        assert!(!answer(201, None).may_be_repeated());
    }
}
