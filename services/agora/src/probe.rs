//! Asks an address once whether it answers with success: the health check of images that contain no other program.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::Client;

/// Timeout of the request.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// Characters of a refusal's body that are printed.
const BODY_CHARACTERS_MAX: usize = 500;

/// Fails if `url` does not answer with a status of success.
pub async fn run(url: &str) -> anyhow::Result<()> {
    let http = Client::builder().timeout(REQUEST_MAX).no_proxy().build().context("could not create the HTTP client")?;
    let mut answer = http.get(url).send().await.with_context(|| format!("could not reach {url}"))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let begin = answer.chunk().await.ok().flatten().unwrap_or_default();
    let body: String = String::from_utf8_lossy(&begin).chars().take(BODY_CHARACTERS_MAX).collect();
    bail!("{url} returned {status}: {body}")
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, routing::get};
    use tokio::net::TcpListener;

    use super::run;

    #[tokio::test]
    async fn de2_a_probe_succeeds_only_if_the_process_is_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let starting = || async { (StatusCode::SERVICE_UNAVAILABLE, "no server answers") };
        let router = Router::new().route("/ready", get(|| async { "yes" })).route("/starting", get(starting));
        let asked = async {
            run(&format!("http://{address}/ready")).await.unwrap();
            run(&format!("http://{address}/starting")).await.unwrap_err().to_string()
        };
        let refused = tokio::select! {
            refused = asked => refused,
            _ = axum::serve(listener, router).into_future() => panic!("the server ended"),
        };
        assert!(refused.contains("/starting returned 503") && refused.contains("no server answers"), "{refused}");
        let unreachable = run(&format!("http://{address}/ready")).await.unwrap_err().to_string();
        assert!(unreachable.contains("could not reach"), "{unreachable}");
    }
}
