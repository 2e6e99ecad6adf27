//! Whether and when a failed try is repeated. Knows numbers, reads neither clock nor random source.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Most tries of one call.
pub(crate) const TRIES_MAX: u32 = 3;

/// Longest time of one try.
pub(crate) const TRY_MAX: Duration = Duration::from_secs(2);

/// Longest time of a call with all its tries and pauses.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(5);

/// Upper bound of the pause before the second try; doubles with each.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// Calls that pay for one retry: at most a tenth of all requests to a callee that fails are retries.
const CALLS_PER_RETRY: u32 = 10;

/// Retries that may be made at once after a time in which calls succeeded.
const RETRIES_SAVED_MAX: u32 = 20;

/// What may be spent on retries: each call adds a tenth of a retry, up to a reserve, which is full at first. Without it, a
/// callee that is overloaded would get as many times the load as there are tries.
#[derive(Debug)]
pub struct RetryBudget(Mutex<u32>);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(Mutex::new(RETRIES_SAVED_MAX * CALLS_PER_RETRY))
    }
}

impl RetryBudget {
    /// A call begins.
    pub fn deposit(&self) {
        let mut calls = self.calls();
        *calls = (*calls + 1).min(RETRIES_SAVED_MAX * CALLS_PER_RETRY);
    }

    /// Whether a retry may be made; it is paid for.
    pub fn withdraw(&self) -> bool {
        let mut calls = self.calls();
        let rest = calls.checked_sub(CALLS_PER_RETRY);
        *calls = rest.unwrap_or(*calls);
        rest.is_some()
    }

    /// Calls that no retry was made for.
    fn calls(&self) -> MutexGuard<'_, u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Any share of `max`, by a random number: callers that failed together do not come back together.
pub fn jittered(max: Duration, random: u64) -> Duration {
    let micros = u64::try_from(max.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random % micros.saturating_add(1))
}

/// The pause before the next try, or `None` to give up: after `tries` tries, with `left` of the call's time, when the
/// callee asked for `retry_after`. `random` is any number: the pause is drawn from the whole range (full jitter).
pub(crate) fn pause(tries: u32, left: Duration, retry_after: Option<Duration>, random: u64) -> Option<Duration> {
    if tries >= TRIES_MAX {
        return None;
    }
    let range = PAUSE_FIRST * (1 << tries.saturating_sub(1));
    let pause = retry_after.unwrap_or_default() + jittered(range, random);
    (pause < left).then_some(pause)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CALL_MAX, RetryBudget, TRIES_MAX, pause};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn rs4_pauses_are_drawn_from_a_range_that_doubles() {
        assert_eq!(pause(1, CALL_MAX, None, 0), Some(Duration::ZERO));
        assert_eq!(pause(1, CALL_MAX, None, 50_000), Some(50 * MS));
        assert_eq!(pause(1, CALL_MAX, None, 50_001), Some(Duration::ZERO));
        assert_eq!(pause(2, CALL_MAX, None, 100_000), Some(100 * MS));
    }

    #[test]
    fn rs4_a_tenth_of_the_calls_may_be_repeated_after_a_reserve() {
        let budget = RetryBudget::default();
        let retries = |calls: u32| {
            let retried = |_: &u32| {
                budget.deposit();
                budget.withdraw()
            };
            (0..calls).filter(retried).count()
        };
        assert!((20..=23).contains(&retries(23)), "the reserve");
        while budget.withdraw() {}
        let made = retries(1000);
        assert!((99..=100).contains(&made), "{made} of 1000");
    }

    #[test]
    fn rs4_there_is_no_try_after_the_last() {
        assert_eq!(pause(TRIES_MAX, CALL_MAX, None, 0), None);
    }

    #[test]
    fn rs4_retry_after_is_honoured_within_the_deadline_and_ends_the_call_beyond_it() {
        assert_eq!(pause(1, CALL_MAX, Some(1000 * MS), 0), Some(1000 * MS));
        assert_eq!(pause(1, 900 * MS, Some(1000 * MS), 0), None);
    }

    #[test]
    fn rs4_a_pause_that_leaves_no_time_for_a_try_ends_the_call() {
        assert_eq!(pause(1, Duration::ZERO, None, 0), None);
    }
}
