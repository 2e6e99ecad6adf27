//! A client of the public API that is logged in as an admin.

use std::time::Duration;

use agora_api::{
    Problem,
    user::{Login, Tokens},
};
use agora_chassis::settings;
use agora_vocab::Secret;
use anyhow::{Context as _, bail};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};

/// Timeout of one request.
const REQUEST_MAX: Duration = Duration::from_secs(15);
/// Attempts of one request while the services are starting, and the delay between two of them.
const TRIES_MAX: u32 = 30;
const TRY_PAUSE: Duration = Duration::from_secs(1);

/// A client that is logged in as an admin.
pub struct AdminClient {
    http: Client,
    url: String,
    token: Secret,
}

impl AdminClient {
    /// Logs in at the gateway `url` as `email`, else as `AGORA_ADMIN_EMAIL`, with `AGORA_ADMIN_PASSWORD`; waits while the services
    /// start.
    pub async fn log_in(url: &str, email: Option<&str>) -> anyhow::Result<Self> {
        let (email, password) = settings("agora", |reader| {
            let email = email.map_or_else(|| reader.required::<String>("ADMIN_EMAIL"), str::to_owned);
            (email, reader.secret("ADMIN_PASSWORD"))
        })?;
        let http =
            Client::builder().timeout(REQUEST_MAX).no_proxy().build().context("could not create the HTTP client")?;
        let url = url.trim_end_matches('/').to_owned();
        let login = Login { email, password: password.current().expose().to_owned() };
        let send = || http.post(format!("{url}/api/v1/auth/login")).json(&login).send();
        let answer = send_with_retries(send).await.with_context(|| format!("could not reach {url}"))?;
        match answer.status() {
            StatusCode::OK => {
                let tokens: Tokens = answer.json().await.context("could not parse the login response")?;
                Ok(Self { http, url, token: Secret::new(tokens.access_token) })
            }
            StatusCode::UNAUTHORIZED => {
                bail!("login rejected by {url}: check the e-mail address of the admin and AGORA_ADMIN_PASSWORD")
            }
            _ => bail!("login failed at {url}: {}", describe(answer).await),
        }
    }

    /// Sends a request to a path, prepared by `prepare`, and retries while the service does not answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<Response> {
        let url = format!("{}{path}", self.url);
        let send = || prepare(self.http.request(method.clone(), &url).bearer_auth(self.token.expose())).send();
        let answer = send_with_retries(send).await.context("the gateway is unreachable")?;
        if answer.status() == StatusCode::FORBIDDEN {
            bail!("the account does not have the role admin");
        }
        Ok(answer)
    }
}

/// Retries while the connection fails, times out or the response is 503.
async fn send_with_retries<F>(send: impl Fn() -> F) -> Result<Response, reqwest::Error>
where
    F: Future<Output = Result<Response, reqwest::Error>>,
{
    for _ in 1..TRIES_MAX {
        match send().await {
            Ok(answer) if answer.status() != StatusCode::SERVICE_UNAVAILABLE => return Ok(answer),
            Err(error) if !error.is_connect() && !error.is_timeout() => return Err(error),
            Ok(_) | Err(_) => tokio::time::sleep(TRY_PAUSE).await,
        }
    }
    send().await
}

/// Formats status and problem of a response on one line.
pub async fn describe(answer: Response) -> String {
    let status = answer.status();
    let Ok(Problem { title, detail, details, .. }) = answer.json().await else { return status.to_string() };
    let fields = details.into_iter().map(|field| format!("{} {}", field.field, field.message));
    let parts: Vec<String> = [format!("{status}: {title}")].into_iter().chain(detail).chain(fields).collect();
    parts.join("; ")
}
