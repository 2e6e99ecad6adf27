//! HTTP to the provider: authorisation, forms, idempotency keys, retries, and which answers decide.

use std::{fmt::Display, time::Duration};

use agora_chassis::WatchedSecret;
use anyhow::{Context as _, ensure};
use form_urlencoded::Serializer;
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{Client, RequestBuilder, Url, redirect};

use super::wire::{self, Refusal};
use crate::ports::ProviderError;

/// Tries of one call, with the same key.
const TRIES_MAX: u32 = 2;
/// Pause before the second try.
const PAUSE: Duration = Duration::from_millis(100);
/// Time limits of a connection and of a try; the caller's own limit is shorter for what a shopper waits for.
const CONNECT_MAX: Duration = Duration::from_secs(2);
const TRY_MAX: Duration = Duration::from_secs(10);
/// Largest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// The version of the interface whose answers are parsed.
const VERSION: (&str, &str) = ("stripe-version", "2024-06-20");

/// Where the provider is, and the key that authorises calls.
#[derive(Clone, Debug)]
pub struct StripeSettings {
    /// `https://api.stripe.com`, or that of a compatible provider.
    pub base_url: String,
    /// The secret API key, read at each call.
    pub api_key: WatchedSecret,
    /// Where the payer's bank sends the payer back to.
    pub return_url: Option<String>,
}

/// An answer that decides.
#[derive(Debug)]
pub(super) enum Answer {
    /// The body of a success.
    Accepted(Vec<u8>),
    /// The provider will not do this, and has not done it.
    Refused(Refusal),
}

/// A form or a query.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    fn encoded(&self) -> String {
        Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

#[derive(Clone, Debug)]
pub(super) struct HttpClient {
    client: Client,
    base: String,
    api_key: WatchedSecret,
}

impl HttpClient {
    pub(super) fn new(settings: StripeSettings) -> anyhow::Result<Self> {
        let StripeSettings { base_url, api_key, .. } = settings;
        let url: Url = base_url.parse().context("STRIPE_BASE_URL is no URL")?;
        ensure!(matches!(url.scheme(), "https" | "http"), "STRIPE_BASE_URL must begin with https://");
        let client = Client::builder().connect_timeout(CONNECT_MAX).timeout(TRY_MAX).redirect(redirect::Policy::none());
        let client = client.build().context("cannot prepare calls to the payment provider")?;
        Ok(Self { client, base: base_url.trim_end_matches('/').to_owned(), api_key })
    }

    pub(super) async fn post(&self, path: &str, key: &str, form: &Form) -> Result<Answer, ProviderError> {
        let body = form.encoded();
        let request = || {
            self.request(Method::POST, path)
                .header("idempotency-key", key)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.clone())
        };
        call(request).await
    }

    pub(super) async fn get(&self, path: &str, query: &Form) -> Result<Answer, ProviderError> {
        let path = format!("{path}?{}", query.encoded());
        call(|| self.request(Method::GET, &path)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        request.bearer_auth(self.api_key.current().expose()).header(VERSION.0, VERSION.1)
    }
}

/// Sends a request until an answer decides, at most `TRIES_MAX` times.
async fn call(request: impl Fn() -> RequestBuilder) -> Result<Answer, ProviderError> {
    for _ in 1..TRIES_MAX {
        match send(request()).await {
            Err((_, true)) => tokio::time::sleep(PAUSE).await,
            other => return other.map_err(|(error, _)| error),
        }
    }
    send(request()).await.map_err(|(error, _)| error)
}

/// One try. An error says whether another one with the same key makes sense.
async fn send(request: RequestBuilder) -> Result<Answer, (ProviderError, bool)> {
    let unknown = |error: reqwest::Error| {
        let is_timeout = error.is_timeout();
        let error =
            if is_timeout { ProviderError::Timeout } else { ProviderError::Unavailable(error.without_url().into()) };
        (error, !is_timeout)
    };
    let mut response = request.send().await.map_err(unknown)?;
    let (status, asked) = (response.status(), should_retry(response.headers()));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unknown)? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err((ProviderError::Unavailable("the answer of the provider is too large".into()), false));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(Answer::Accepted(body));
    }
    match wire::refusal(status.as_u16(), &body) {
        Some(refusal) if decides(status, &refusal) => Ok(Answer::Refused(refusal)),
        _ => {
            let error = format!("the provider answered {status}");
            let again = asked.unwrap_or(status.is_server_error() || matches!(status.as_u16(), 409 | 429));
            Err((ProviderError::Unavailable(error.into()), again))
        }
    }
}

/// What the provider says about another try, if it says anything.
fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("stripe-should-retry")?.to_str().ok()? {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Whether a refusal says that the request was not and will not be executed. Not so: a key that is in use or was used for
/// another request, a wrong API key, and limits.
fn decides(status: StatusCode, refusal: &Refusal) -> bool {
    matches!(status.as_u16(), 400 | 402 | 404 | 422) && !refusal.is_about_the_key()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: &str) -> Refusal {
        wire::refusal(400, format!(r#"{{"error":{{"type":"{kind}"}}}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn only_a_refusal_of_the_request_itself_decides() {
        let ok = |status: u16, kind: &str| decides(StatusCode::from_u16(status).unwrap(), &refused(kind));
        assert!(ok(402, "card_error") && ok(400, "invalid_request_error") && ok(404, "invalid_request_error"));
        assert!(!ok(400, "idempotency_error"), "the key was used for another request");
        for status in [401, 403, 409, 429, 500, 503] {
            assert!(!ok(status, "api_error"), "{status}");
        }
    }

    #[test]
    fn a_form_is_encoded() {
        let form = Form::new().with("metadata[agora_key]", "0:a:capture:1").with("amount", 5);
        assert_eq!(form.encoded(), "metadata%5Bagora_key%5D=0%3Aa%3Acapture%3A1&amount=5");
    }
}
