//! The topics whose events are sent one by one, because the broker rejected some, and when each is tried next.
//!
//! Contains the waiting times. Must not call the broker or the database.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{backoff::doubled, stopped::Stopped};

/// First and longest wait before a topic whose events could not be sent is tried again.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A topic that rejected an event goes on one by one for so long: a rejection in a batch costs every topic a repetition.
const CAUTIOUS_FOR: Duration = Duration::from_mins(1);

/// Topics by name.
#[derive(Debug, Default)]
pub(crate) struct HeldTopics(BTreeMap<String, Held>);

#[derive(Debug)]
struct Held {
    due: Instant,
    failures: u32,
    rejected_at: Option<Instant>,
    /// Why its events wait; `None` while they are sent.
    reason: Option<String>,
}

impl HeldTopics {
    /// Sends a topic's events one by one from now on.
    pub fn hold(&mut self, topic: String, rejected: bool, now: Instant) {
        let new = Held { due: now, failures: 0, rejected_at: None, reason: None };
        let held = self.0.entry(topic).or_insert(new);
        if rejected {
            held.rejected_at = Some(now);
        }
    }

    /// The names of all held topics.
    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// The names of those that are to be tried now.
    pub fn due(&self, now: Instant) -> Vec<String> {
        self.0.iter().filter(|(_, held)| held.due <= now).map(|(name, _)| name.clone()).collect()
    }

    /// Those whose events wait.
    pub fn stopped(&self) -> impl Iterator<Item = Stopped> {
        self.0.iter().filter_map(|(name, held)| Some(Stopped::topic(name, held.reason.as_deref()?)))
    }

    /// The topic could not be sent to: tries it again after a wait that doubles.
    pub fn failed(&mut self, topic: &str, reason: String, now: Instant) {
        if let Some(held) = self.0.get_mut(topic) {
            held.due = now + doubled(RETRY_MIN, held.failures, RETRY_MAX);
            held.failures = held.failures.saturating_add(1);
            held.reason = Some(reason);
        }
    }

    /// Events of the topic were sent or set aside; `all`: none is left. Returns whether the topic is no longer held.
    pub fn passed(&mut self, topic: &str, all: bool, now: Instant) -> bool {
        let Some(held) = self.0.get_mut(topic) else { return true };
        (held.due, held.failures) = (if all { now + RETRY_MIN } else { now }, 0);
        held.reason = None;
        let cautious = held.rejected_at.is_some_and(|at| now.duration_since(at) < CAUTIOUS_FOR);
        let released = all && !cautious;
        if released {
            self.0.remove(topic);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_fails_is_tried_ever_more_rarely_and_released_once_it_is_empty() {
        let (mut held, start) = (HeldTopics::default(), Instant::now());
        held.hold("a".into(), false, start);
        let mut now = start;
        for wait_ms in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            assert_eq!(held.due(now), ["a"]);
            held.failed("a", "UnknownTopic".into(), now);
            assert_eq!(held.stopped().collect::<Vec<_>>(), [Stopped::topic("a", "UnknownTopic")]);
            assert!(held.due(now + Duration::from_millis(wait_ms - 1)).is_empty(), "{wait_ms}");
            now += Duration::from_millis(wait_ms);
        }
        assert!(!held.passed("a", false, now) && held.stopped().next().is_none());
        assert_eq!(held.due(now), ["a"]);
        assert!(held.passed("a", true, now));
        assert!(held.names().is_empty());
    }

    #[test]
    fn a_topic_that_rejected_an_event_goes_on_one_by_one_for_a_minute() {
        let (mut held, start) = (HeldTopics::default(), Instant::now());
        held.hold("a".into(), true, start);
        assert!(!held.passed("a", true, start + CAUTIOUS_FOR / 2));
        assert!(held.passed("a", true, start + CAUTIOUS_FOR));
    }
}
