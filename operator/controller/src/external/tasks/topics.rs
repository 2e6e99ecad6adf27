//! The inspection of a broker, and the creation and correction of topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agora_crd::Reason;
use async_trait::async_trait;

use super::resource::{External, Inspection};
use crate::decide::correction::{Correction, Severity};
use crate::decide::desired::external::{DesiredTopics, Fingerprint};
use crate::decide::observed::{ConditionError, TopicsObservation};
use crate::decide::plan::TopicPlan;
use crate::decide::servers::{Broker, DesiredTopic, ObservedTopic};
use crate::decide::topic_diff::topic_diff;
use crate::external::ports::{BrokerError, PerName, TopicAdmin, with_source};

pub struct Topics(pub Arc<dyn TopicAdmin>);

#[async_trait]
impl External for Topics {
    type Desired = DesiredTopics;
    type Observation = TopicsObservation;

    async fn reconcile(&self, desired: &DesiredTopics, initial: bool) -> Inspection<TopicsObservation> {
        let names: Vec<String> = desired.topics.iter().map(|topic| topic.name.clone()).collect();
        let mut corrections = Vec::new();
        let topics = match self.0.inspect(&desired.broker, &names).await {
            Ok(observed) => {
                let mut changes = Changes::new(desired, &observed);
                changes.apply(&*self.0, &desired.broker).await;
                if !initial {
                    corrections = changes.corrections();
                }
                Ok(changes.results)
            }
            Err(error) => Err(condition_error(&desired.broker, &error)),
        };
        // A topic that only a user can correct is not retried with backoff.
        let retried = |result: &Result<(), ConditionError>| result.as_ref().is_err_and(|error| !error.reason.stalls());
        let succeeded = topics.as_ref().is_ok_and(|topics| !topics.values().any(retried));
        let observation = TopicsObservation { desired: desired.fingerprint(), topics };
        Inspection { observation, succeeded, corrections }
    }
}

/// The topics by the request that they need, and the results by name.
#[derive(Default)]
struct Changes {
    create: Vec<DesiredTopic>,
    add_partitions: Vec<DesiredTopic>,
    set_config: Vec<DesiredTopic>,
    results: BTreeMap<String, Result<(), ConditionError>>,
    failed: BTreeSet<String>,
}

impl Changes {
    fn new(desired: &DesiredTopics, observed: &BTreeMap<String, ObservedTopic>) -> Self {
        let mut changes = Self::default();
        for topic in &desired.topics {
            let change = topic_diff(topic, observed.get(&topic.name), desired.management);
            changes.results.insert(topic.name.clone(), change.error.map_or(Ok(()), Err));
            changes.create.extend(change.create.then(|| desired_topic(topic)));
            changes.add_partitions.extend(change.add_partitions.then(|| desired_topic(topic)));
            changes.set_config.extend(change.set_config.then(|| desired_topic(topic)));
        }
        changes
    }

    /// The corrections that succeeded. Failures are reported in the condition.
    fn corrections(&self) -> Vec<Correction> {
        let created = self.create.iter().filter(|topic| self.succeeded(topic)).map(|topic| {
            let name = &topic.name;
            let note = format!(
                "Recreated topic {name} empty (it was deleted at the broker): its messages are lost; restore them from a \
                 backup or replay them from the services' databases"
            );
            Correction::external("Topic", name, None, Severity::DataLoss, note)
        });
        let configured = self.set_config.iter().filter(|topic| self.succeeded(topic)).map(|topic| {
            let name = &topic.name;
            let note = format!(
                "Reverted the settings of topic {name} (changed at the broker): to change them, edit spec.kafka in the \
                 Marketplace"
            );
            Correction::external("Topic", name, Some("settings"), Severity::Reverted, note)
        });
        created.chain(configured).collect()
    }

    fn succeeded(&self, topic: &DesiredTopic) -> bool {
        !self.failed.contains(&topic.name)
    }

    async fn apply(&mut self, admin: &dyn TopicAdmin, broker: &Broker) {
        if !self.create.is_empty() {
            let results = admin.create(broker, &self.create).await;
            self.record(broker, results);
        }
        if !self.add_partitions.is_empty() {
            let results = admin.add_partitions(broker, &self.add_partitions).await;
            self.record(broker, results);
        }
        if !self.set_config.is_empty() {
            let results = admin.set_config(broker, &self.set_config).await;
            self.record(broker, results);
        }
    }

    fn record(&mut self, broker: &Broker, results: Result<PerName, BrokerError>) {
        match results {
            Ok(results) => {
                for (name, result) in results {
                    if let Err(error) = result {
                        self.failed.insert(name.clone());
                        self.results.insert(name, Err(condition_error(broker, &error)));
                    }
                }
            }
            Err(error) => {
                let error = condition_error(broker, &error);
                self.failed.extend(self.results.keys().cloned());
                self.results.values_mut().for_each(|result| *result = Err(error.clone()));
            }
        }
    }
}

fn desired_topic(topic: &TopicPlan) -> DesiredTopic {
    DesiredTopic {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replicas: topic.replicas,
        config: topic.config.clone(),
    }
}

/// Reason and message for a failed call.
pub fn condition_error(broker: &Broker, error: &BrokerError) -> ConditionError {
    let (reason, remedy) = match error {
        BrokerError::Unreachable { .. } => {
            (Reason::BrokerUnreachable, "check spec.kafka.external and that the broker runs and is reachable")
        }
        BrokerError::Untrusted { .. } => (
            Reason::BrokerUnreachable,
            "correct the Secret that spec.kafka.external.tls.caSecretRef names, or the broker's certificate",
        ),
        BrokerError::AuthenticationFailed => {
            (Reason::AuthenticationFailed, "correct the Secret that spec.kafka.external.authentication names")
        }
        BrokerError::Forbidden { .. } => (Reason::Forbidden, "grant the login the right to manage topics"),
        BrokerError::Refused { .. } => {
            (Reason::TopicConflict, "correct spec.kafka.topicDefaults or spec.kafka.topics, or the broker's limits")
        }
        BrokerError::Failed { .. } => (Reason::BrokerUnreachable, "see the broker's log"),
    };
    let brokers = broker.bootstrap.join(",");
    ConditionError::new(reason, format!("{}, at {brokers}: {remedy}", with_source(error)))
}
