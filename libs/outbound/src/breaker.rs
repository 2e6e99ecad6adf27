//! A circuit breaker: after five failures in a row no call is made for two seconds, then a single call probes. Pure: time
//! is an argument.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 5;

/// How long it stays open before one call may try.
const OPEN: Duration = Duration::from_secs(2);

/// Counts failures of one callee. Only those that are the callee's own are reported: what a client or the builder of a request
/// did wrong says nothing about the callee.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    /// Open until then; the first that asks later becomes the probe, and the time moves on in case it never reports.
    Open {
        until: Instant,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// What a report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Calls are not made for a while.
    Opened,
    /// Calls are made again.
    Closed,
    /// Calls are made, or not, as before.
    None,
}

impl Breaker {
    /// Whether a call may be made at `now`. The caller must report the result of an allowed call.
    pub fn admits(&self, now: Instant) -> bool {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => true,
            State::Open { until } if now < until => false,
            State::Open { .. } => {
                *state = State::Open { until: now + OPEN };
                true
            }
        }
    }

    /// The callee answered.
    pub fn succeeded(&self) -> Change {
        let mut state = self.state();
        let was_open = matches!(*state, State::Open { .. });
        *state = State::default();
        if was_open { Change::Closed } else { Change::None }
    }

    /// The callee did not answer, or not sensibly.
    pub fn failed(&self, now: Instant) -> Change {
        let mut state = self.state();
        match *state {
            State::Closed { failures } if failures + 1 < FAILURES_MAX => {
                *state = State::Closed { failures: failures + 1 };
                Change::None
            }
            State::Closed { .. } => {
                *state = State::Open { until: now + OPEN };
                Change::Opened
            }
            State::Open { .. } => {
                *state = State::Open { until: now + OPEN };
                Change::None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Breaker, Change};

    fn opened_at(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(breaker.failed(now), Change::None);
        }
        assert_eq!(breaker.failed(now), Change::Opened);
        breaker
    }

    #[test]
    fn rs5_it_opens_after_five_failures_in_a_row_and_not_after_five_in_all() {
        let now = Instant::now();
        assert!(!opened_at(now).admits(now));
        let breaker = Breaker::default();
        for _ in 0..10 {
            breaker.failed(now);
            breaker.failed(now);
            breaker.succeeded();
        }
        assert!(breaker.admits(now));
    }

    #[test]
    fn rs5_after_two_seconds_one_call_tries_for_all() {
        let now = Instant::now();
        let (breaker, later) = (opened_at(now), now + Duration::from_secs(2));
        assert!(!breaker.admits(now + Duration::from_millis(1999)));
        assert!(breaker.admits(later));
        assert!(!breaker.admits(later), "the second must wait for the first");
    }

    #[test]
    fn rs5_a_probe_that_succeeds_closes_it_and_one_that_fails_keeps_it_open() {
        let now = Instant::now();
        let (breaker, later) = (opened_at(now), now + Duration::from_secs(2));
        assert!(breaker.admits(later));
        assert_eq!(breaker.failed(later), Change::None);
        assert!(!breaker.admits(later + Duration::from_secs(1)));
        let again = later + Duration::from_secs(2);
        assert!(breaker.admits(again));
        assert_eq!(breaker.succeeded(), Change::Closed);
        assert!(breaker.admits(again) && breaker.admits(again));
    }

    #[test]
    fn rs5_a_probe_that_never_reports_does_not_block_for_ever() {
        let now = Instant::now();
        let (breaker, later) = (opened_at(now), now + Duration::from_secs(2));
        assert!(breaker.admits(later));
        assert!(breaker.admits(later + Duration::from_secs(2)));
    }
}
