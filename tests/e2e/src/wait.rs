//! Polling with a time limit. Must not depend on the cluster.

use std::time::{Duration, Instant};

use anyhow::bail;

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Polls `probe` until it returns a value. After `timeout` it returns an error with the description `what`. An error of
/// the probe counts as no value, because the API server may be busy; the last one is part of the final error.
pub async fn until<T>(
    what: &str,
    timeout: Duration,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        let failure = match probe().await {
            Ok(Some(seen)) => return Ok(seen),
            Ok(None) => String::new(),
            Err(error) => format!("; last error: {error:#}"),
        };
        if Instant::now() > deadline {
            bail!("timed out after {} s, waiting until {what}{failure}", timeout.as_secs());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Converts a condition to the result of a probe of [`until`].
pub fn when(holds: bool) -> Option<()> {
    holds.then_some(())
}
