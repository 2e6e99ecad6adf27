//! The time by which the caller of the current work needs an answer, and whether it repeats a request without one. Read from
//! headers and written to headers. Must not depend on clients or servers.
//!
//! A header has the time that is left, not a time of day, because clocks of pods differ.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

/// The header with the milliseconds for which the caller waits for the answer.
pub const REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout-ms");

/// Most digits of the header's value.
const DIGITS_MAX: usize = 9;

tokio::task_local! {
    static CURRENT: Deadline;
}

/// The limit of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    ends: Instant,
    caller_retries: bool,
}

/// The header is no number of milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a number of milliseconds of at most {} digits", DIGITS_MAX)]
pub struct InvalidTimeout;

impl Deadline {
    /// Ends `max` from now. `caller_retries` says that the caller repeats a request that fails, so that this work must not
    /// repeat its own calls: retries in several layers multiply.
    pub fn after(max: Duration, caller_retries: bool) -> Self {
        Self { ends: Instant::now() + max, caller_retries }
    }

    /// Runs `work` under this limit. Does not stop it: what it calls is limited by [`left`].
    pub fn within<T>(self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        CURRENT.scope(self, work)
    }
}

/// Runs `work` under the limit of the work that calls this, also in a task of its own.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let current = CURRENT.try_with(|deadline| *deadline).ok();
    async move {
        match current {
            Some(deadline) => deadline.within(work).await,
            None => work.await,
        }
    }
}

/// The time left for the current work; `None` without a limit.
pub fn left() -> Option<Duration> {
    CURRENT.try_with(|deadline| deadline.ends.saturating_duration_since(Instant::now())).ok()
}

/// Whether the caller of the current work repeats a request that fails.
pub fn caller_retries() -> bool {
    CURRENT.try_with(|deadline| deadline.caller_retries).unwrap_or_default()
}

/// How long the sender of these headers waits, if it says so.
pub fn sent(headers: &HeaderMap) -> Result<Option<Duration>, InvalidTimeout> {
    let Some(value) = headers.get(REQUEST_TIMEOUT) else { return Ok(None) };
    let digits =
        value.to_str().ok().filter(|text| text.len() <= DIGITS_MAX && text.bytes().all(|b| b.is_ascii_digit()));
    let millis = digits.and_then(|digits| digits.parse().ok()).ok_or(InvalidTimeout)?;
    Ok(Some(Duration::from_millis(millis)))
}

/// Says in `headers` how long the sender waits.
pub fn send(headers: &mut HeaderMap, wait: Duration) {
    headers.insert(REQUEST_TIMEOUT, HeaderValue::from(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue};

    use super::{Deadline, InvalidTimeout, REQUEST_TIMEOUT, caller_retries, carried, left, send, sent};

    #[tokio::test]
    async fn rs4_a_limit_is_known_within_its_work_alone() {
        assert_eq!((left(), caller_retries()), (None, false));
        let inside = Deadline::after(Duration::from_secs(5), true).within(async { (left(), caller_retries()) }).await;
        assert!(inside.0.is_some_and(|left| left <= Duration::from_secs(5) && left > Duration::from_secs(4)));
        assert!(inside.1);
        let over = Deadline::after(Duration::ZERO, false).within(async { left() }).await;
        assert_eq!(over, Some(Duration::ZERO));
        let elsewhere = Deadline::after(Duration::ZERO, true).within(async { carried(async { left() }) }).await;
        assert_eq!((elsewhere.await, carried(async { left() }).await), (Some(Duration::ZERO), None));
    }

    #[test]
    fn rs4_a_limit_goes_through_a_header() {
        let mut headers = HeaderMap::new();
        assert_eq!(sent(&headers), Ok(None));
        send(&mut headers, Duration::from_micros(1_999_999));
        assert_eq!(sent(&headers), Ok(Some(Duration::from_millis(1_999))));
        for wrong in ["", "-1", "1.5", "soon", "1000000000"] {
            headers.insert(REQUEST_TIMEOUT, HeaderValue::from_static(wrong));
            assert_eq!(sent(&headers), Err(InvalidTimeout), "{wrong}");
        }
    }
}
