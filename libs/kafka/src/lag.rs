//! How far a consumer group is behind, from librdkafka's statistics. Each member measures the partitions that it reads, so that the
//! sum over the members is the lag of the group.
//!
//! Must not ask the broker.

use std::collections::BTreeMap;

use agora_events::Topic;
use metrics::Gauge;
use serde::Deserialize;

/// State of a partition that is read.
const ACTIVE: &str = "active";

/// The gauges of one member: `kafka_consumergroup_lag` by group and topic, both named without the isolation key.
#[derive(Debug)]
pub(crate) struct Lag {
    /// By the topic's name on the broker.
    gauges: Vec<(String, Gauge)>,
}

/// The part of librdkafka's statistics that the lag is in.
#[derive(Deserialize)]
struct Statistics {
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<String, PartitionStatistics>,
}

/// Offsets are negative while they are not known.
#[derive(Deserialize)]
struct PartitionStatistics {
    fetch_state: String,
    lo_offset: i64,
    ls_offset: i64,
    committed_offset: i64,
}

impl Lag {
    /// Gauges of a member of `group` that reads `topics`, each with its name on the broker. They are 0 until measured.
    pub fn new(group: &str, topics: &[(String, Topic)]) -> Self {
        let gauge = |(name, topic): &(String, Topic)| {
            let labels = [("consumergroup", group.to_owned()), ("topic", topic.name().to_owned())];
            let gauge = metrics::gauge!("kafka_consumergroup_lag", &labels);
            gauge.set(0.0);
            (name.clone(), gauge)
        };
        Self { gauges: topics.iter().map(gauge).collect() }
    }

    /// Reads statistics of librdkafka: one JSON object.
    pub fn measure(&self, statistics: &[u8]) {
        let topics = match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => statistics.topics,
            Err(error) => {
                return tracing::debug!(%error, "librdkafka's statistics cannot be read: the lag is not measured");
            }
        };
        for (name, gauge) in &self.gauges {
            let partitions = topics.get(name).into_iter().flat_map(|topic| topic.partitions.values());
            let lag: i64 = partitions.map(PartitionStatistics::lag).sum();
            gauge.set(f64::from(u32::try_from(lag).unwrap_or(u32::MAX)));
        }
    }
}

impl PartitionStatistics {
    /// Messages behind the last committed offset. A group that has committed nothing starts at the beginning.
    fn lag(&self) -> i64 {
        if self.fetch_state != ACTIVE || self.ls_offset < 0 {
            return 0;
        }
        let next = if self.committed_offset >= 0 { self.committed_offset } else { self.lo_offset.max(0) };
        (self.ls_offset - next).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::PartitionStatistics;

    fn lag(fetch_state: &str, [lo_offset, ls_offset, committed_offset]: [i64; 3]) -> i64 {
        PartitionStatistics { fetch_state: fetch_state.to_owned(), lo_offset, ls_offset, committed_offset }.lag()
    }

    #[test]
    fn de11_the_lag_counts_what_is_not_committed_of_the_partitions_that_are_read() {
        assert_eq!(lag("active", [0, 10, 7]), 3);
        assert_eq!(lag("active", [4, 10, -1001]), 6, "nothing committed: from the beginning");
        assert_eq!(lag("active", [-1001, 10, -1001]), 10);
        assert_eq!(lag("active", [0, -1001, 7]), 0, "the end is not known yet");
        assert_eq!(lag("active", [0, 7, 10]), 0);
        assert_eq!(lag("stopped", [0, 10, 7]), 0, "another member reads it");
    }
}
