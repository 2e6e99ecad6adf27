//! Waiting for something to be seen, with an end.

use std::time::{Duration, Instant};

use anyhow::bail;

const LOOKS_APART: Duration = Duration::from_millis(50);

/// Looks until there is something; at the end of its patience it says what it waited for. A look that fails counts as
/// one that saw nothing: the API server may be busy.
pub async fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let give_up = Instant::now() + patience;
    loop {
        let failure = match look().await {
            Ok(Some(seen)) => return Ok(seen),
            Ok(None) => String::new(),
            Err(error) => format!("; the last look failed: {error:#}"),
        };
        if Instant::now() > give_up {
            bail!("not within {} s: {what}{failure}", patience.as_secs());
        }
        tokio::time::sleep(LOOKS_APART).await;
    }
}

/// What a condition that holds gives to [`until`].
pub fn when(holds: bool) -> Option<()> {
    holds.then_some(())
}
