//! Whether and when a failed try is repeated. Pure: knows numbers, reads neither clock nor random source.

use std::time::Duration;

/// Most tries of one call.
pub(crate) const TRIES_MAX: u32 = 3;

/// Longest time of one try.
pub(crate) const TRY_MAX: Duration = Duration::from_secs(2);

/// Longest time of a call with all its tries and pauses.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(5);

/// Upper bound of the pause before the second try; doubles with each.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The pause before the next try, or `None` to give up: after `tries` tries, with `left` of the call's time, when the
/// callee asked for `retry_after`. `random` is any number: the pause is drawn from the whole range (full jitter), so
/// that callers that failed together do not come back together.
pub(crate) fn pause(tries: u32, left: Duration, retry_after: Option<Duration>, random: u64) -> Option<Duration> {
    if tries >= TRIES_MAX {
        return None;
    }
    let range = PAUSE_FIRST * (1 << tries.saturating_sub(1));
    let micros = u64::try_from(range.as_micros()).unwrap_or(u64::MAX);
    let jittered = Duration::from_micros(random % (micros + 1));
    let pause = retry_after.unwrap_or_default() + jittered;
    (pause < left).then_some(pause)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CALL_MAX, TRIES_MAX, pause};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_are_drawn_from_a_range_that_doubles() {
        assert_eq!(pause(1, CALL_MAX, None, 0), Some(Duration::ZERO));
        assert_eq!(pause(1, CALL_MAX, None, 50_000), Some(50 * MS));
        assert_eq!(pause(1, CALL_MAX, None, 50_001), Some(Duration::ZERO));
        assert_eq!(pause(2, CALL_MAX, None, 100_000), Some(100 * MS));
    }

    #[test]
    fn there_is_no_try_after_the_last() {
        assert_eq!(pause(TRIES_MAX, CALL_MAX, None, 0), None);
    }

    #[test]
    fn retry_after_is_honoured_within_the_deadline_and_ends_the_call_beyond_it() {
        assert_eq!(pause(1, CALL_MAX, Some(1000 * MS), 0), Some(1000 * MS));
        assert_eq!(pause(1, 900 * MS, Some(1000 * MS), 0), None);
    }

    #[test]
    fn a_pause_that_leaves_no_time_for_a_try_ends_the_call() {
        assert_eq!(pause(1, Duration::ZERO, None, 0), None);
    }
}
