//! The partitions that take no message, while others of their topic do: the aggregates whose events wait for each, and when
//! it is tried next.
//!
//! Contains limits and waiting times. Must not call the broker or the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use agora_kafka::partition_of;
use uuid::Uuid;

use crate::{backoff::doubled, stopped::Stopped};

/// First and longest wait before a partition is tried again.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Aggregates to leave out of batches, of all partitions together. Beyond it their topic waits as a whole.
const AGGREGATES_MAX: usize = 20_000;

/// Blocked partitions by the names of their topics.
#[derive(Debug, Default)]
pub(crate) struct BlockedPartitions(BTreeMap<String, BlockedTopic>);

#[derive(Debug)]
struct BlockedTopic {
    /// Partitions of the topic.
    count: i32,
    blocked: BTreeMap<i32, Blocked>,
}

#[derive(Debug)]
struct Blocked {
    due: Instant,
    failures: u32,
    reason: String,
    aggregates: BTreeSet<Uuid>,
}

impl BlockedPartitions {
    /// Leaves a partition of a topic that has `count` out of batches from now on.
    pub fn block(&mut self, topic: &str, partition: i32, count: i32, reason: &str, now: Instant) {
        let topic = self.0.entry(topic.to_owned()).or_insert(BlockedTopic { count, blocked: BTreeMap::new() });
        topic.count = count;
        let (reason, aggregates) = (reason.to_owned(), BTreeSet::new());
        let blocked = Blocked { due: now + RETRY_MIN, failures: 0, reason, aggregates };
        topic.blocked.entry(partition).or_insert(blocked);
    }

    /// Whether an event waits for its partition; its aggregate is then left out of batches.
    pub fn waits(&mut self, topic: &str, aggregate: Uuid) -> bool {
        let Some(topic) = self.0.get_mut(topic) else { return false };
        let partition = partition_of(&aggregate.to_string(), topic.count);
        topic.blocked.get_mut(&partition).is_some_and(|blocked| {
            blocked.aggregates.insert(aggregate);
            true
        })
    }

    /// The aggregates to leave out of a batch.
    pub fn aggregates(&self) -> Vec<Uuid> {
        self.partitions().flat_map(|(_, _, blocked)| blocked.aggregates.iter().copied()).collect()
    }

    /// Forgets all topics if too many aggregates wait, and returns their names: they are to wait as a whole.
    pub fn overflow(&mut self) -> Vec<String> {
        let count: usize = self.partitions().map(|(_, _, blocked)| blocked.aggregates.len()).sum();
        if count > AGGREGATES_MAX { std::mem::take(&mut self.0).into_keys().collect() } else { Vec::new() }
    }

    /// Topic, partition and waiting aggregates of those that are to be tried now.
    pub fn due(&self, now: Instant) -> Vec<(String, i32, Vec<Uuid>)> {
        let due = self.partitions().filter(|(_, _, blocked)| blocked.due <= now);
        due.map(|(topic, partition, blocked)| {
            (topic.to_owned(), partition, blocked.aggregates.iter().copied().collect())
        })
        .collect()
    }

    /// All of them, each with the reason.
    pub fn stopped(&self) -> impl Iterator<Item = Stopped> {
        self.partitions().map(|(topic, partition, blocked)| Stopped::partition(topic, partition, &blocked.reason))
    }

    /// The partition took no message again: tries it after a wait that doubles.
    pub fn failed(&mut self, topic: &str, partition: i32, reason: String, now: Instant) {
        let blocked = self.0.get_mut(topic).and_then(|topic| topic.blocked.get_mut(&partition));
        if let Some(blocked) = blocked {
            blocked.failures = blocked.failures.saturating_add(1);
            blocked.reason = reason;
            blocked.due = now + doubled(RETRY_MIN, blocked.failures, RETRY_MAX);
        }
    }

    /// The partition takes messages. Returns whether none of its topic is blocked any more.
    pub fn unblock(&mut self, topic: &str, partition: i32) -> bool {
        let Some(blocked) = self.0.get_mut(topic) else { return true };
        blocked.blocked.remove(&partition);
        let last = blocked.blocked.is_empty();
        if last {
            self.0.remove(topic);
        }
        last
    }

    fn partitions(&self) -> impl Iterator<Item = (&str, i32, &Blocked)> {
        self.0.iter().flat_map(|(name, topic)| {
            topic.blocked.iter().map(move |(partition, blocked)| (name.as_str(), *partition, blocked))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aggregates_of(partition: i32, count: usize) -> Vec<Uuid> {
        let of = |id: &Uuid| partition_of(&id.to_string(), 3) == partition;
        (1..).map(Uuid::from_u128).filter(of).take(count).collect()
    }

    #[test]
    fn only_events_of_a_blocked_partition_wait_and_their_aggregates_are_left_out() {
        let (mut partitions, now) = (BlockedPartitions::default(), Instant::now());
        let (blocked, free) = (aggregates_of(1, 2), aggregates_of(2, 1)[0]);
        assert!(!partitions.waits("a", blocked[0]));
        partitions.block("a", 1, 3, "MessageTimedOut", now);

        assert!(partitions.waits("a", blocked[0]) && partitions.waits("a", blocked[1]));
        assert!(!partitions.waits("a", free) && !partitions.waits("b", blocked[0]));
        assert_eq!(partitions.aggregates(), blocked);

        assert!(partitions.unblock("a", 1));
        assert!(partitions.aggregates().is_empty() && !partitions.waits("a", blocked[0]));
    }

    #[test]
    fn a_blocked_partition_is_tried_ever_more_rarely() {
        let (mut partitions, mut now) = (BlockedPartitions::default(), Instant::now());
        partitions.block("a", 1, 3, "MessageTimedOut", now);
        for wait_ms in [1_000, 2_000, 4_000, 5_000, 5_000] {
            assert!(partitions.due(now + Duration::from_millis(wait_ms - 1)).is_empty(), "{wait_ms}");
            now += Duration::from_millis(wait_ms);
            assert_eq!(partitions.due(now), [("a".to_owned(), 1, Vec::new())]);
            partitions.failed("a", 1, "UnknownPartition".into(), now);
            let stopped: Vec<_> = partitions.stopped().collect();
            assert_eq!(stopped, [Stopped::partition("a", 1, "UnknownPartition")]);
        }
    }

    #[test]
    fn a_topic_waits_as_a_whole_if_too_many_of_its_aggregates_do() {
        let mut partitions = BlockedPartitions::default();
        partitions.block("a", 0, 1, "MessageTimedOut", Instant::now());
        for n in 0..=AGGREGATES_MAX {
            assert!(partitions.overflow().is_empty());
            partitions.waits("a", Uuid::from_u128(n as u128));
        }
        assert_eq!(partitions.overflow(), ["a"]);
        assert!(partitions.aggregates().is_empty());
    }
}
