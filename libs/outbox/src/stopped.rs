//! Metrics of the topics and partitions that accept no events, each with the reason.
//!
//! Must not decide which those are.

use std::collections::BTreeSet;

use metrics::Gauge;

/// What accepts no events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stopped {
    pub topic: String,
    /// `None`: the whole topic.
    pub partition: Option<i32>,
    /// One of a closed list.
    pub reason: String,
}

impl Stopped {
    pub fn topic(topic: &str, reason: &str) -> Self {
        Self { topic: topic.to_owned(), partition: None, reason: reason.to_owned() }
    }

    pub fn partition(topic: &str, partition: i32, reason: &str) -> Self {
        Self { topic: topic.to_owned(), partition: Some(partition), reason: reason.to_owned() }
    }
}

/// Sets the metrics of what is in `now` alone to 1, and of what was in `before` alone to 0.
pub(crate) fn show(service: &'static str, before: &BTreeSet<Stopped>, now: &BTreeSet<Stopped>) {
    for (stopped, value) in changes(before, now) {
        gauge(service, stopped).set(value);
    }
}

fn changes<'s>(before: &'s BTreeSet<Stopped>, now: &'s BTreeSet<Stopped>) -> impl Iterator<Item = (&'s Stopped, f64)> {
    let ended = before.difference(now).map(|stopped| (stopped, 0.0));
    ended.chain(now.difference(before).map(|stopped| (stopped, 1.0)))
}

fn gauge(service: &'static str, stopped: &Stopped) -> Gauge {
    let Stopped { topic, partition, reason } = stopped;
    let mut labels = vec![("service", service.to_owned()), ("topic", topic.clone()), ("reason", reason.clone())];
    let Some(partition) = partition else { return metrics::gauge!("outbox_topic_held", &labels) };
    labels.push(("partition", partition.to_string()));
    metrics::gauge!("outbox_partition_blocked", &labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_changes_ends_the_former_one_and_what_stays_is_not_set_again() {
        let [former, present] = ["UnknownTopic", "MessageTimedOut"].map(|reason| Stopped::topic("a", reason));
        let other = Stopped::partition("b", 1, "MessageTimedOut");
        let before = BTreeSet::from([former.clone(), other.clone()]);
        let now = BTreeSet::from([present.clone(), other]);
        assert_eq!(changes(&before, &now).collect::<Vec<_>>(), [(&former, 0.0), (&present, 1.0)]);
    }
}
