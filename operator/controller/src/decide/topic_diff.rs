//! What has to be done about one topic. Pure: partitions never become fewer, and more only when somebody said so, since
//! keys move to other partitions then.

use agora_crd::{ACCEPT_PARTITIONS, Reason, TopicManagement};

use crate::decide::observed::Trouble;
use crate::decide::plan::TopicPlan;
use crate::decide::servers::TopicSeen;

/// What has to be done about one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicChange {
    /// It must be made.
    pub create: bool,
    /// It gets more partitions.
    pub grow: bool,
    /// Its settings must be set.
    pub configure: bool,
    /// What stays as it is, and why.
    pub trouble: Option<Trouble>,
}

/// Compares a topic with what the broker has.
pub fn change(topic: &TopicPlan, seen: Option<&TopicSeen>, management: TopicManagement) -> TopicChange {
    let Some(seen) = seen else { return absent(topic, management) };
    if management != TopicManagement::Full {
        return TopicChange::default();
    }
    let name = &topic.name;
    let configure = topic.config != seen.config;
    let mut change = TopicChange { configure, ..TopicChange::default() };
    let trouble = |reason, message: String| Some(Trouble::new(reason, message));
    if seen.partitions > topic.partitions {
        change.trouble = trouble(
            Reason::PartitionDecreaseRefused,
            format!(
                "topic {name} has {} partitions and {} are wanted: partitions can never become fewer, set spec.kafka.topics[{}].partitions to {}",
                seen.partitions, topic.partitions, topic.bare_name, seen.partitions
            ),
        );
    } else if seen.partitions < topic.partitions {
        change.grow = topic.accepted == Some(topic.partitions);
        if !change.grow {
            change.trouble = trouble(
                Reason::PartitionIncreaseNotAccepted,
                format!(
                    "topic {name} has {} partitions and {} are wanted: keys would move; to accept that, annotate the Marketplace with {ACCEPT_PARTITIONS}={}={}",
                    seen.partitions, topic.partitions, topic.bare_name, topic.partitions
                ),
            );
        }
    }
    if seen.replicas != topic.replicas && change.trouble.is_none() {
        change.trouble = trouble(
            Reason::ReplicationChangeUnsupported,
            format!(
                "topic {name} has {} replicas and {} are wanted: reassign its partitions at the broker, or set spec.kafka.topicDefaults.replicas to {}",
                seen.replicas, topic.replicas, seen.replicas
            ),
        );
    }
    change
}

fn absent(topic: &TopicPlan, management: TopicManagement) -> TopicChange {
    if management != TopicManagement::None {
        return TopicChange { create: true, ..TopicChange::default() };
    }
    let message = format!("topic {} does not exist and spec.kafka.topicManagement is None: create it", topic.name);
    TopicChange { trouble: Some(Trouble::new(Reason::WaitingForDependency, message)), ..TopicChange::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use agora_crd::{Reason, TopicManagement};

    use super::{TopicChange, change};
    use crate::decide::plan::TopicPlan;
    use crate::decide::servers::TopicSeen;

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

    fn seen(partitions: i32) -> TopicSeen {
        TopicSeen { partitions, replicas: 1, config: BTreeMap::new() }
    }

    fn reason(change: TopicChange) -> Option<Reason> {
        change.trouble.map(|trouble| trouble.reason)
    }

    #[test]
    fn more_partitions_need_to_be_accepted_by_number() {
        let full = TopicManagement::Full;
        let refused = change(&topic(24, Some(12)), Some(&seen(3)), full);
        assert!(!refused.grow);
        assert_eq!(reason(refused), Some(Reason::PartitionIncreaseNotAccepted));
        let accepted = change(&topic(24, Some(24)), Some(&seen(3)), full);
        assert!(accepted.grow && accepted.trouble.is_none());
        assert_eq!(reason(change(&topic(3, Some(3)), Some(&seen(24)), full)), Some(Reason::PartitionDecreaseRefused));
    }

    #[test]
    fn what_is_not_managed_is_left_alone() {
        assert_eq!(change(&topic(24, None), Some(&seen(3)), TopicManagement::CreateOnly), TopicChange::default());
        assert!(change(&topic(3, None), None, TopicManagement::CreateOnly).create);
        let absent = change(&topic(3, None), None, TopicManagement::None);
        assert!(!absent.create && absent.trouble.is_some());
    }

    #[test]
    fn another_number_of_replicas_is_reported_and_altered_settings_are_set() {
        let mut other = seen(3);
        other.replicas = 3;
        other.config.insert("retention.ms".to_owned(), "1".to_owned());
        let change = change(&topic(3, None), Some(&other), TopicManagement::Full);
        assert!(change.configure);
        assert_eq!(reason(change), Some(Reason::ReplicationChangeUnsupported));
    }
}
