//! Exponential back-off, with and without jitter.
//!
//! Pure arithmetic; must not sleep.

use std::time::Duration;

use agora_vocab::Ids;

/// `first` doubled `times` times, at most `longest`.
pub(crate) fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    longest.min(first.saturating_mul(2_u32.saturating_pow(times)))
}

/// Wait before the next attempt: random between 1 ms and `first` doubled with each failure, at most `longest`.
pub fn backoff(ids: &dyn Ids, failures: u32, first: Duration, longest: Duration) -> Duration {
    let most = doubled(first, failures.saturating_sub(1), longest);
    let most_ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1);
    // The last 62 bits of an id are random.
    let (_, random) = ids.next().as_u64_pair();
    Duration::from_millis(1 + random % most_ms)
}

#[cfg(test)]
mod tests {
    use agora_testkit::SequentialIds;

    use super::*;

    #[test]
    fn waits_grow_and_are_capped() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(10));
        let ids = SequentialIds::new();
        for failures in [1, 2, 5, 40, u32::MAX] {
            let most = longest.min(first.saturating_mul(2_u32.saturating_pow(failures - 1)));
            for _ in 0..50 {
                let wait = backoff(&ids, failures, first, longest);
                assert!(!wait.is_zero() && wait <= most, "{failures}: {wait:?}");
            }
        }
    }
}
