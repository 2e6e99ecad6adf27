//! `TopicAdmin` for Kafka brokers, with librdkafka.
//!
//! Opens one admin client per call, so that between inspections the operator has no threads and no connections for a broker;
//! inspections of one cluster that are due together share one. Must not know which topics are desired.

mod answers;
mod connection;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::{
    admin::{AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication},
    error::RDKafkaErrorCode,
};

use crate::decide::servers::{Broker, DesiredTopic, ObservedBroker};
use crate::external::batches::Batches;
use crate::external::ports::{BrokerError, PerName, TopicAdmin};
use connection::{Connection, group_options, options};

/// A new broker creates the topic of its group coordinator at the first request for a group.
const COORDINATOR_ATTEMPTS_MAX: u32 = 20;
const COORDINATOR_DELAY: Duration = Duration::from_millis(250);
/// Topics whose settings one request asks for: an answer has about 4 KiB for each.
const DESCRIBED_MAX: usize = 500;

#[derive(Debug, Default)]
pub struct KafkaTopics {
    looks: Batches<Question, Result<Arc<ObservedBroker>, BrokerError>>,
}

/// What one Marketplace asks about a cluster.
#[derive(Clone, Debug)]
struct Question {
    names: Vec<String>,
    marker_prefix: String,
    identify: bool,
}

#[async_trait]
impl TopicAdmin for KafkaTopics {
    async fn inspect(
        &self,
        broker: &Broker,
        names: &[String],
        marker_prefix: &str,
        identify: bool,
    ) -> Result<ObservedBroker, BrokerError> {
        let question = Question { names: names.to_vec(), marker_prefix: marker_prefix.to_owned(), identify };
        let owned = broker.clone();
        let looked = self.looks.answer(broker.identity(), question, |questions| async move {
            look(&owned, &questions).await.map(Arc::new)
        });
        let looked = looked.await?;
        let topics = looked.topics.iter().filter(|(name, _)| names.contains(name));
        Ok(ObservedBroker {
            cluster_id: looked.cluster_id.clone(),
            markers: looked.markers.iter().filter(|name| name.starts_with(marker_prefix)).cloned().collect(),
            topics: topics.map(|(name, topic)| (name.clone(), topic.clone())).collect(),
        })
    }

    async fn create(&self, broker: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError> {
        if topics.is_empty() {
            return Ok(PerName::new());
        }
        let (connection, _) = Connection::open(broker).await?;
        let new: Vec<NewTopic<'_>> = topics.iter().map(new_topic).collect();
        let options = options();
        let results = connection.call("creating topics", connection.client()?.create_topics(&new, &options)).await?;
        Ok(answers::per_name("creating topic", Some(RDKafkaErrorCode::TopicAlreadyExists), results))
    }

    async fn set_config(&self, broker: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError> {
        if topics.is_empty() {
            return Ok(PerName::new());
        }
        let (connection, _) = Connection::open(broker).await?;
        let changes: Vec<AlterConfig<'_>> = topics.iter().map(complete_config).collect();
        let options = options();
        let altered = connection.client()?.alter_configs(&changes, &options);
        let results = connection.call("changing the settings of topics", altered).await?;
        Ok(answers::per_name(
            "changing the settings of topic",
            None,
            results.into_iter().map(answers::altered).collect(),
        ))
    }

    async fn add_partitions(&self, broker: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError> {
        if topics.is_empty() {
            return Ok(PerName::new());
        }
        let (connection, _) = Connection::open(broker).await?;
        let count = |topic: &DesiredTopic| usize::try_from(topic.partitions).unwrap_or_default();
        let counts: Vec<NewPartitions<'_>> =
            topics.iter().map(|topic| NewPartitions::new(&topic.name, count(topic))).collect();
        let options = options();
        let added = connection.client()?.create_partitions(&counts, &options);
        let results = connection.call("adding partitions", added).await?;
        Ok(answers::per_name("adding partitions to topic", None, results))
    }

    async fn delete(&self, broker: &Broker, names: &[String]) -> Result<PerName, BrokerError> {
        if names.is_empty() {
            return Ok(PerName::new());
        }
        let (connection, _) = Connection::open(broker).await?;
        let (names, options) = (as_strs(names), options());
        let results = connection.call("deleting topics", connection.client()?.delete_topics(&names, &options)).await?;
        Ok(answers::per_name("deleting topic", Some(RDKafkaErrorCode::UnknownTopicOrPartition), results))
    }

    async fn delete_groups(&self, broker: &Broker, names: &[String]) -> Result<PerName, BrokerError> {
        const ACTION: &str = "deleting consumer groups";
        if names.is_empty() {
            return Ok(PerName::new());
        }
        let (connection, _) = Connection::open(broker).await?;
        let (names, options) = (as_strs(names), group_options());
        let mut results = connection.call(ACTION, connection.client()?.delete_groups(&names, &options)).await;
        for _ in 1..COORDINATOR_ATTEMPTS_MAX {
            if !results.as_ref().is_ok_and(|results| answers::coordinator_is_starting(results)) {
                break;
            }
            tokio::time::sleep(COORDINATOR_DELAY).await;
            results = connection.call(ACTION, connection.client()?.delete_groups(&names, &options)).await;
        }
        Ok(answers::per_name("deleting consumer group", Some(RDKafkaErrorCode::GroupIdNotFound), results?))
    }
}

/// Reads what all questions ask for: the list of topics once, and the settings of the named ones.
async fn look(broker: &Broker, questions: &[Question]) -> Result<ObservedBroker, BrokerError> {
    let (connection, mut shapes) = Connection::open(broker).await?;
    let prefixes: BTreeSet<&str> = questions.iter().map(|question| question.marker_prefix.as_str()).collect();
    let is_marker = |name: &&String| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let markers = shapes.keys().filter(is_marker).cloned().collect();
    let names: BTreeSet<&String> = questions.iter().flat_map(|question| &question.names).collect();
    shapes.retain(|name, _| names.contains(name));
    let identify = shapes.len() < names.len() || questions.iter().any(|question| question.identify);
    let (connection, cluster_id) = if identify { connection.cluster_id().await? } else { (connection, None) };
    let present: Vec<ResourceSpecifier<'_>> = shapes.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
    let (mut configs, options) = (Vec::new(), options());
    for some in present.chunks(DESCRIBED_MAX) {
        let described = connection.client()?.describe_configs(some, &options);
        configs.extend(connection.call("describing topics", described).await?);
    }
    Ok(ObservedBroker { cluster_id, markers, topics: answers::observed_topics(&shapes, configs) })
}

fn new_topic(topic: &DesiredTopic) -> NewTopic<'_> {
    let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(topic.replicas));
    topic.config.iter().fold(new, |new, (key, value)| new.set(key, value))
}

/// The request resets settings that it does not contain to the defaults of the broker.
fn complete_config(topic: &DesiredTopic) -> AlterConfig<'_> {
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic.name));
    topic.config.iter().fold(change, |change, (key, value)| change.set(key, value))
}

fn as_strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[cfg(all(test, feature = "db-tests"))]
mod tests;
