//! What an attempt means, and when the next one is due. Pure.

use std::time::Duration;

/// Waits after the first, second, … failed attempt; a delivery is given up after the last one, in all about 28 hours.
const WAITS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(10),
];
/// Attempts of a delivery before it is given up.
pub const ATTEMPTS_MAX: usize = WAITS.len() + 1;
/// Longest wait that a receiver can ask for by `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);
/// An endpoint at which nothing has succeeded for as long is disabled.
pub const FAILING_MAX: Duration = Duration::from_hours(120);
/// A wait is longer by a random part of it, up to a fifth: after an outage not all deliveries come at once.
const JITTER_DIVISOR: u64 = 5;

/// Status with which a receiver says that it wants no more.
const GONE: u16 = 410;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The receiver answered.
    Answered {
        status: u16,
        /// When to try again, if it said so.
        retry_after: Option<Duration>,
        /// The beginning of the body.
        body: String,
    },
    /// No answer, for this reason. The receiver may have received the event.
    None(String),
}

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// Try again after this time.
    Retry(Duration),
    GiveUp,
    /// Give up, and disable the endpoint.
    Gone,
}

/// Decides on the attempt with this number, from 1, of a round: a redelivery begins another round. `random` spreads the waits.
pub fn verdict(attempt: i32, reply: &Reply, random: u64) -> Verdict {
    let retry_after = match reply {
        Reply::Answered { status: 200..=299, .. } => return Verdict::Delivered,
        Reply::Answered { status: GONE, .. } => return Verdict::Gone,
        Reply::Answered { retry_after, .. } => *retry_after,
        Reply::None(_) => None,
    };
    let wait = usize::try_from(attempt).ok().and_then(|attempt| WAITS.get(attempt.checked_sub(1)?));
    match wait {
        Some(wait) => Verdict::Retry(jittered(*wait, random).max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))),
        None => Verdict::GiveUp,
    }
}

fn jittered(wait: Duration, random: u64) -> Duration {
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let most_ms = (wait_ms / JITTER_DIVISOR).max(1);
    wait + Duration::from_millis(random % most_ms)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ATTEMPTS_MAX, RETRY_AFTER_MAX, Reply, Verdict, WAITS, verdict};

    fn answered(status: u16, retry_after: Option<Duration>) -> Reply {
        Reply::Answered { status, retry_after, body: String::new() }
    }

    #[test]
    fn success_delivers_and_410_disables_at_any_attempt() {
        for attempt in [1, 4, 8, 20] {
            for status in [200, 202, 204, 299] {
                assert_eq!(verdict(attempt, &answered(status, None), 7), Verdict::Delivered);
            }
            assert_eq!(verdict(attempt, &answered(410, None), 7), Verdict::Gone);
        }
    }

    #[test]
    fn every_other_answer_and_none_are_retried_by_the_schedule_and_then_given_up() {
        for reply in [
            answered(199, None),
            answered(301, None),
            answered(404, None),
            answered(500, None),
            Reply::None("no".into()),
        ] {
            for (attempt, wait) in (1..).zip(WAITS) {
                for random in [0, 1, 123_456_789, u64::MAX] {
                    let Verdict::Retry(found) = verdict(attempt, &reply, random) else { panic!("{reply:?} {attempt}") };
                    assert!(found >= wait && found <= wait + wait / 5, "{attempt}: {found:?}");
                }
            }
            assert_eq!(verdict(8, &reply, 0), Verdict::GiveUp);
        }
        assert_eq!(ATTEMPTS_MAX, 8);
        assert_eq!(WAITS.iter().sum::<Duration>().as_secs() / 3600, 27);
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_of_at_most_a_day_and_for_no_shorter_one() {
        let hour = Duration::from_hours(1);
        let retry = |asked| verdict(1, &answered(503, Some(asked)), 0);
        assert_eq!(retry(hour), Verdict::Retry(hour));
        assert_eq!(retry(Duration::from_secs(1)), Verdict::Retry(WAITS[0]));
        assert_eq!(retry(Duration::from_hours(1_000)), Verdict::Retry(RETRY_AFTER_MAX));
        assert_eq!(verdict(8, &answered(503, Some(hour)), 0), Verdict::GiveUp);
    }
}
