//! The inspection of a broker, and the creation and correction of topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use agora_crd::{Reason, TopicManagement};
use async_trait::async_trait;

use super::resource::{External, Inspection};
use crate::decide::correction::{Correction, Severity};
use crate::decide::data_guard::{DataKind, DataRecord, TopicSettings};
use crate::decide::desired::external::{DesiredTopics, Fingerprint};
use crate::decide::observed::{ConditionError, TopicsObservation};
use crate::decide::plan::TopicPlan;
use crate::decide::servers::{Broker, DesiredTopic, ObservedBroker, ObservedTopic};
use crate::decide::topic_diff::{different, topic_diff};
use crate::external::ports::{BrokerError, PerName, TopicAdmin, with_source};

pub struct Topics(pub Arc<dyn TopicAdmin>);

impl Topics {
    /// Reports settings that the broker accepted and does not return.
    async fn verify(&self, desired: &DesiredTopics, changes: &mut Changes) {
        let written = changes.create.iter().chain(&changes.set_config).filter(|topic| changes.succeeded(topic));
        let names: Vec<String> = written.map(|topic| topic.name.clone()).collect();
        if names.is_empty() {
            return;
        }
        // A failed request is repeated by the next inspection.
        let inspected = self.0.inspect(&desired.broker, &names, &desired.marker_prefix, false).await;
        let Ok(ObservedBroker { topics: observed, .. }) = inspected else { return };
        for topic in desired.topics.iter().filter(|topic| names.contains(&topic.name)) {
            let Some(found) = observed.get(&topic.name) else { continue };
            if let Some(key) = different(topic, found).first() {
                let returned = found.config.get(*key).map_or("its default", String::as_str);
                let message = format!(
                    "the broker accepted {key}={} for topic {} and returns {returned}: correct spec.kafka",
                    topic.config[*key], topic.name
                );
                changes.fail(&topic.name, ConditionError::new(Reason::TopicConflict, message));
            }
        }
    }
}

#[async_trait]
impl External for Topics {
    type Desired = DesiredTopics;
    type Observation = TopicsObservation;

    fn server(desired: &DesiredTopics) -> Option<String> {
        Some(desired.broker.identity())
    }

    async fn reconcile(&self, desired: &DesiredTopics, initial: bool) -> Inspection<TopicsObservation> {
        let started = Instant::now();
        let mut observation =
            TopicsObservation { desired: desired.fingerprint(), topics: Ok(BTreeMap::new()), record: None };
        let mut corrections = Vec::new();
        match self.inspect_owned(desired, initial).await {
            Err(error) => observation.topics = Err(error),
            Ok(observed) => {
                let own = desired.guard.settings(&desired.address(), observed.cluster_id.as_deref());
                let mut changes = Changes::new(desired, &observed, &own);
                changes.apply(&*self.0, &desired.broker).await;
                self.verify(desired, &mut changes).await;
                corrections = changes.corrections(initial);
                if initial {
                    corrections.extend(changes.provisioned(started));
                }
                observation.record = Some(changes.record(desired, &observed, &own));
                observation.topics = Ok(changes.results);
            }
        }
        // A topic that only a user can correct is not retried with backoff.
        let retried = |result: &Result<(), ConditionError>| result.as_ref().is_err_and(|error| !error.reason.stalls());
        let succeeded = observation.topics.as_ref().is_ok_and(|topics| !topics.values().any(retried));
        Inspection { observation, succeeded, awaited: false, corrections }
    }

    fn overdue(&self, desired: &DesiredTopics, seconds: u64) -> TopicsObservation {
        let brokers = desired.broker.bootstrap.join(",");
        let message =
            format!("the broker {brokers} did not answer within {seconds} s: check the broker and the network");
        let topics = Err(ConditionError::new(Reason::BrokerUnreachable, message));
        TopicsObservation { desired: desired.fingerprint(), topics, record: None }
    }
}

impl Topics {
    /// Reads the topics. Fails if the cluster is another one than before, or another owner uses the isolation key.
    async fn inspect_owned(&self, desired: &DesiredTopics, initial: bool) -> Result<ObservedBroker, ConditionError> {
        let failed = |error| condition_error(&desired.broker, &error);
        let observed = self.inspect(desired, initial || desired.guard.record.is_none()).await?;
        let marked = observed.markers.contains(&desired.marker.name);
        let released: Vec<String> =
            desired.guard.accepted.owners.iter().map(|owner| desired.marker_of(owner)).collect();
        let released: Vec<String> = released.into_iter().filter(|name| observed.markers.contains(name)).collect();
        if (marked && released.is_empty()) || desired.management == TopicManagement::None {
            return Ok(observed);
        }
        let deleted = self.0.delete(&desired.broker, &released).await.map_err(failed)?;
        let created = self.0.create(&desired.broker, &[desired_topic(&desired.marker)]).await.map_err(failed)?;
        for (_, result) in deleted.into_iter().chain(created) {
            result.map_err(failed)?;
        }
        // Another operator may have marked the key at the same time: then both report the conflict.
        self.inspect(desired, true).await
    }

    async fn inspect(&self, desired: &DesiredTopics, identify: bool) -> Result<ObservedBroker, ConditionError> {
        let names: Vec<String> = desired.topics.iter().map(|topic| topic.name.clone()).collect();
        let observed = self.0.inspect(&desired.broker, &names, &desired.marker_prefix, identify).await;
        let observed = observed.map_err(|error| condition_error(&desired.broker, &error))?;
        desired.guard.check_server(DataKind::Topic, &desired.address(), observed.cluster_id.as_deref())?;
        check_owner(desired, &observed)?;
        Ok(observed)
    }
}

/// Fails if a topic marks an owner from whom nothing may be taken over.
fn check_owner(desired: &DesiredTopics, observed: &ObservedBroker) -> Result<(), ConditionError> {
    let may_stay = |name: &&String| {
        **name != desired.marker.name
            && !desired.guard.accepted.owners.iter().any(|owner| desired.marker_of(owner) == **name)
    };
    let Some(marker) = observed.markers.iter().find(may_stay) else {
        return Ok(());
    };
    let owner = marker.strip_prefix(&desired.marker_prefix).unwrap_or_default();
    let message = format!(
        "topic {marker} at {} marks another owner of the isolation key: choose another spec.isolationKey, or, if that owner is \
         gone for good, take over its data: {}",
        desired.address(),
        desired.guard.accept_owner(owner)
    );
    Err(ConditionError::new(Reason::IsolationConflict, message))
}

/// The topics by the request that they need, and the results by name.
#[derive(Default)]
struct Changes {
    create: Vec<DesiredTopic>,
    add_partitions: Vec<DesiredTopic>,
    set_config: Vec<DesiredTopic>,
    results: BTreeMap<String, Result<(), ConditionError>>,
    failed: BTreeSet<String>,
    /// Topics to create that were there before.
    lost: BTreeSet<String>,
}

impl Changes {
    fn new(desired: &DesiredTopics, observed: &ObservedBroker, own_before: &TopicSettings) -> Self {
        let mut changes = Self::default();
        let (guard, address, identifier) = (&desired.guard, desired.address(), observed.cluster_id.as_deref());
        for topic in &desired.topics {
            let found = observed.topics.get(&topic.name);
            if found.is_none() && guard.is_lost(&topic.name, &address, identifier, false) {
                if let Err(error) = guard.check_loss(DataKind::Topic, &topic.name, &address) {
                    changes.results.insert(topic.name.clone(), Err(error));
                    continue;
                }
                changes.lost.insert(topic.name.clone());
            }
            let mut change = topic_diff(topic, found, desired.management);
            let complete =
                found.map_or_else(|| desired_topic(topic), |found| complete(topic, found, own_before.get(&topic.name)));
            // A setting that was removed from the spec is reset.
            let resets = found.is_some_and(|found| !found.config.keys().all(|key| complete.config.contains_key(key)));
            change.set_config |= resets && desired.management == TopicManagement::Full;
            changes.results.insert(topic.name.clone(), change.error.map_or(Ok(()), Err));
            changes.create.extend(change.create.then(|| desired_topic(topic)));
            changes.add_partitions.extend(change.add_partitions.then(|| desired_topic(topic)));
            changes.set_config.extend(change.set_config.then_some(complete));
        }
        changes
    }

    /// The topics that were created for the spec.
    fn provisioned(&self, started: Instant) -> Option<Correction> {
        let created = self.create.iter().filter(|topic| self.succeeded(topic) && !self.lost.contains(&topic.name));
        let created: Vec<&str> = created.map(|topic| topic.name.as_str()).collect();
        let (first, seconds) = (created.first()?, started.elapsed().as_secs_f32());
        let note = format!("Created the topics {} in {seconds:.1} s", created.join(", "));
        Some(Correction::external("Topic", first, None, Severity::Provisioned, note))
    }

    /// The corrections that succeeded. Failures are reported in the condition. Initially, only the loss of data is reported.
    fn corrections(&self, initial: bool) -> Vec<Correction> {
        let created = self.create.iter().filter(|topic| self.succeeded(topic) && self.lost.contains(&topic.name));
        let created = created.map(|topic| {
            let name = &topic.name;
            let note = format!(
                "Recreated topic {name} empty (it was deleted at the broker, and an annotation accepts the loss): its messages \
                 are lost; replay them from the services' databases"
            );
            Correction::external("Topic", name, None, Severity::DataLoss, note)
        });
        let configured = self.set_config.iter().filter(|topic| !initial && self.succeeded(topic)).map(|topic| {
            let name = &topic.name;
            let note = format!(
                "Reverted the settings of topic {name} (changed at the broker): to change them, edit spec.kafka in the \
                 Marketplace"
            );
            Correction::external("Topic", name, Some("settings"), Severity::Reverted, note)
        });
        created.chain(configured).collect()
    }

    /// The topics that exist now, and whose settings are ours: those of the spec, and those that could not be reset.
    fn record(&self, desired: &DesiredTopics, observed: &ObservedBroker, own_before: &TopicSettings) -> DataRecord {
        let created = self.create.iter().filter(|topic| self.succeeded(topic)).map(|topic| &topic.name);
        let existing = observed.topics.keys().chain(created).map(|name| (name.clone(), 0)).collect();
        let mut record = desired.guard.next(&desired.address(), observed.cluster_id.as_deref(), existing);
        let settings = |topic: &TopicPlan| {
            let before = own_before.get(&topic.name).cloned().unwrap_or_default();
            let failed = self.failed.contains(&topic.name);
            let now = if failed { before } else { topic.config.keys().cloned().collect() };
            (topic.name.clone(), now)
        };
        // No logins are created at a broker.
        record.former.clear();
        record.settings = desired.topics.iter().map(settings).filter(|(_, names)| !names.is_empty()).collect();
        record
    }

    fn succeeded(&self, topic: &DesiredTopic) -> bool {
        !self.failed.contains(&topic.name)
    }

    async fn apply(&mut self, admin: &dyn TopicAdmin, broker: &Broker) {
        if !self.create.is_empty() {
            let results = admin.create(broker, &self.create).await;
            self.note(broker, results);
        }
        if !self.add_partitions.is_empty() {
            let results = admin.add_partitions(broker, &self.add_partitions).await;
            self.note(broker, results);
        }
        if !self.set_config.is_empty() {
            let results = admin.set_config(broker, &self.set_config).await;
            self.note(broker, results);
            self.name_refused_settings();
        }
    }

    fn fail(&mut self, topic: &str, error: ConditionError) {
        self.failed.insert(topic.to_owned());
        self.results.insert(topic.to_owned(), Err(error));
    }

    /// The broker does not say which setting it refuses, so all of them are quoted.
    fn name_refused_settings(&mut self) {
        for topic in &self.set_config {
            if let Some(Err(error)) = self.results.get_mut(&topic.name).filter(|_| self.failed.contains(&topic.name)) {
                let settings = topic.config.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
                error.message = format!("{} (settings: {})", error.message, settings.join(", "));
            }
        }
    }

    fn note(&mut self, broker: &Broker, results: Result<PerName, BrokerError>) {
        match results {
            Ok(results) => {
                for (name, result) in results {
                    if let Err(error) = result {
                        self.fail(&name, condition_error(broker, &error));
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

/// The topic with the settings of other clients: the request to change settings resets those that it does not contain.
fn complete(topic: &TopicPlan, found: &ObservedTopic, own_before: Option<&BTreeSet<String>>) -> DesiredTopic {
    let mut desired = desired_topic(topic);
    for (key, value) in &found.config {
        if !own_before.is_some_and(|own| own.contains(key)) {
            desired.config.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    desired
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
