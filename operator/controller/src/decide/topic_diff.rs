//! The difference between a desired topic and the one at the broker. Pure. The number of partitions is never decreased, and
//! it is increased only if an annotation accepts it, because keys then move to other partitions.

use agora_crd::{ACCEPT_PARTITIONS, Reason, TopicManagement};

use crate::decide::observed::ConditionError;
use crate::decide::plan::TopicPlan;
use crate::decide::servers::ObservedTopic;

/// The requests that are needed for one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicChange {
    pub create: bool,
    pub add_partitions: bool,
    pub set_config: bool,
    /// A difference that is not corrected, and why.
    pub error: Option<ConditionError>,
}

pub fn topic_diff(topic: &TopicPlan, observed: Option<&ObservedTopic>, management: TopicManagement) -> TopicChange {
    let Some(observed) = observed else {
        return missing(topic, management);
    };
    if management != TopicManagement::Full {
        return TopicChange::default();
    }
    let name = &topic.name;
    let mut change = TopicChange { set_config: !different(topic, observed).is_empty(), ..TopicChange::default() };
    let error = |reason, message: String| Some(ConditionError::new(reason, message));
    if observed.partitions > topic.partitions {
        change.error = error(
            Reason::PartitionDecreaseRefused,
            format!(
                "topic {name} has {} partitions and the spec has {}: Kafka cannot remove partitions; set                  spec.kafka.topics[{}].partitions to {}",
                observed.partitions, topic.partitions, topic.bare_name, observed.partitions
            ),
        );
    } else if observed.partitions < topic.partitions {
        change.add_partitions = topic.accepted == Some(topic.partitions);
        if !change.add_partitions {
            change.error = error(
                Reason::PartitionIncreaseNotAccepted,
                format!(
                    "topic {name} has {} partitions and the spec has {}: an increase moves keys to other partitions; to                      accept it, annotate the Marketplace with {ACCEPT_PARTITIONS}={}={}",
                    observed.partitions, topic.partitions, topic.bare_name, topic.partitions
                ),
            );
        }
    }
    if observed.replicas != topic.replicas && change.error.is_none() {
        change.error = error(
            Reason::ReplicationChangeUnsupported,
            format!(
                "topic {name} has {} replicas and the spec has {}: reassign its partitions with Kafka's tools, or set                  spec.kafka.topicDefaults.replicas to {}",
                observed.replicas, topic.replicas, observed.replicas
            ),
        );
    }
    change
}

/// The settings of the spec that differ at the broker. Settings that the spec does not contain belong to other clients: the
/// throttles of a partition reassignment, for example.
pub fn different<'a>(topic: &'a TopicPlan, observed: &ObservedTopic) -> Vec<&'a str> {
    let same = |(key, value): &(&String, &String)| observed.config.get(*key).is_some_and(|other| is_same(value, other));
    topic.config.iter().filter(|pair| !same(pair)).map(|(key, _)| key.as_str()).collect()
}

/// Whether two spellings mean the same value: the broker returns `0.50` as `0.5`.
fn is_same(one: &str, other: &str) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let items = |text: &str| text.split(',').map(|item| item.trim().to_ascii_lowercase()).collect::<Vec<_>>();
    one == other || number(one).is_some_and(|one| Some(one) == number(other)) || items(one) == items(other)
}

fn missing(topic: &TopicPlan, management: TopicManagement) -> TopicChange {
    if management != TopicManagement::None {
        return TopicChange { create: true, ..TopicChange::default() };
    }
    let message =
        format!("topic {} does not exist and spec.kafka.topicManagement is None: create the topic", topic.name);
    let error = ConditionError::new(Reason::WaitingForDependency, message);
    TopicChange { error: Some(error), ..TopicChange::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use agora_crd::{Reason, TopicManagement};

    use super::{TopicChange, topic_diff};
    use crate::decide::plan::TopicPlan;
    use crate::decide::servers::ObservedTopic;

    fn topic(partitions: i32, accepted: Option<i32>) -> TopicPlan {
        TopicPlan {
            bare_name: "order-events".to_owned(),
            name: "shop-main.order-events".to_owned(),
            partitions,
            replicas: 1,
            config: BTreeMap::new(),
            accepted,
        }
    }

    fn observed(partitions: i32) -> ObservedTopic {
        ObservedTopic { partitions, replicas: 1, config: BTreeMap::new() }
    }

    fn reason(change: TopicChange) -> Option<Reason> {
        change.error.map(|error| error.reason)
    }

    #[test]
    fn an_increase_of_partitions_must_be_accepted_with_its_number() {
        let full = TopicManagement::Full;
        let refused = topic_diff(&topic(24, Some(12)), Some(&observed(3)), full);
        assert!(!refused.add_partitions);
        assert_eq!(reason(refused), Some(Reason::PartitionIncreaseNotAccepted));
        let accepted = topic_diff(&topic(24, Some(24)), Some(&observed(3)), full);
        assert!(accepted.add_partitions && accepted.error.is_none());
        assert_eq!(
            reason(topic_diff(&topic(3, Some(3)), Some(&observed(24)), full)),
            Some(Reason::PartitionDecreaseRefused)
        );
    }

    #[test]
    fn topics_are_created_or_changed_only_as_the_management_mode_allows() {
        assert_eq!(
            topic_diff(&topic(24, None), Some(&observed(3)), TopicManagement::CreateOnly),
            TopicChange::default()
        );
        assert!(topic_diff(&topic(3, None), None, TopicManagement::CreateOnly).create);
        let absent = topic_diff(&topic(3, None), None, TopicManagement::None);
        assert!(!absent.create && absent.error.is_some());
    }

    #[test]
    fn a_different_number_of_replicas_is_reported_and_changed_settings_are_reset() {
        let mut other = observed(3);
        other.replicas = 3;
        other.config.insert("retention.ms".to_owned(), "1".to_owned());
        let mut topic = topic(3, None);
        topic.config.insert("retention.ms".to_owned(), "2".to_owned());
        let change = topic_diff(&topic, Some(&other), TopicManagement::Full);
        assert!(change.set_config);
        assert_eq!(reason(change), Some(Reason::ReplicationChangeUnsupported));
    }

    #[test]
    fn settings_of_other_clients_and_other_spellings_are_no_difference() {
        let mut at_broker = observed(3);
        for (key, value) in [
            ("leader.replication.throttled.replicas", "0:1"),
            ("min.cleanable.dirty.ratio", "0.5"),
            ("cleanup.policy", "compact,delete"),
        ] {
            at_broker.config.insert(key.to_owned(), value.to_owned());
        }
        let mut topic = topic(3, None);
        topic.config.insert("min.cleanable.dirty.ratio".to_owned(), "0.50".to_owned());
        topic.config.insert("cleanup.policy".to_owned(), "compact, delete".to_owned());
        assert_eq!(topic_diff(&topic, Some(&at_broker), TopicManagement::Full), TopicChange::default());
    }
}
