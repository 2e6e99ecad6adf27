//! Polling with a time limit. Must not depend on the cluster.

use std::time::Duration;

use anyhow::bail;

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Polls `probe` until it returns a value. After `timeout` it returns an error with the description `what`. An error of
/// the probe counts as no value, because the API server may be busy; the last one is part of the final error. A probe that
/// has not returned at the end of `timeout` is dropped.
pub async fn until<T>(
    what: &str,
    timeout: Duration,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let mut failure = String::new();
    let polling = async {
        loop {
            match probe().await {
                Ok(Some(seen)) => return seen,
                Ok(None) => failure.clear(),
                Err(error) => failure = format!("; last error: {error:#}"),
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let polled = tokio::time::timeout(timeout, polling).await;
    polled.or_else(|_| bail!("timed out after {} s, waiting until {what}{failure}", timeout.as_secs()))
}

/// Converts a condition to the result of a probe of [`until`].
pub fn when(holds: bool) -> Option<()> {
    holds.then_some(())
}
