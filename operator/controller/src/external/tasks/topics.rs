//! One look at a broker: topics that are missing are made, those that were altered are put right.

use std::collections::BTreeMap;
use std::error::Error as _;

use agora_crd::Reason;

use super::Look;
use crate::decide::correction::Correction;
use crate::decide::desired::external::{Fingerprint, TopicsWanted};
use crate::decide::observed::{TopicsOutcome, Trouble};
use crate::decide::plan::TopicPlan;
use crate::decide::servers::{Broker, TopicSeen, TopicWanted};
use crate::decide::topic_diff::change;
use crate::external::ports::{BrokerError, PerName, TopicAdmin};

/// Compares and puts right. `first`: what is then changed is a wish, later a correction.
pub(super) async fn tend(admin: &dyn TopicAdmin, wanted: &TopicsWanted, first: bool) -> Look<TopicsOutcome> {
    let names: Vec<String> = wanted.topics.iter().map(|topic| topic.name.clone()).collect();
    let mut corrected = Vec::new();
    let topics = match admin.inspect(&wanted.broker, &names).await {
        Ok(seen) => {
            let mut work = Work::sort(wanted, &seen);
            if !first {
                corrected = work.corrections();
            }
            work.perform(admin, &wanted.broker).await;
            Ok(work.results)
        }
        Err(error) => Err(trouble(&wanted.broker, &error)),
    };
    // A topic that cannot be put right by itself is no reason to hurry.
    let hopeless = |result: &Result<(), Trouble>| result.as_ref().is_err_and(|trouble| !trouble.reason.stalls());
    let good = topics.as_ref().is_ok_and(|topics| !topics.values().any(hopeless));
    Look { outcome: TopicsOutcome { wanted: wanted.fingerprint(), topics }, good, corrected }
}

#[derive(Default)]
struct Work {
    create: Vec<TopicWanted>,
    grow: Vec<TopicWanted>,
    configure: Vec<TopicWanted>,
    results: BTreeMap<String, Result<(), Trouble>>,
}

impl Work {
    fn sort(wanted: &TopicsWanted, seen: &BTreeMap<String, TopicSeen>) -> Self {
        let mut work = Self::default();
        for topic in &wanted.topics {
            let change = change(topic, seen.get(&topic.name), wanted.management);
            work.results.insert(topic.name.clone(), change.trouble.map_or(Ok(()), Err));
            work.create.extend(change.create.then(|| as_wanted(topic)));
            work.grow.extend(change.grow.then(|| as_wanted(topic)));
            work.configure.extend(change.configure.then(|| as_wanted(topic)));
        }
        work
    }

    fn corrections(&self) -> Vec<Correction> {
        let of = |topic: &TopicWanted, part, note| Correction::outside("Topic", &topic.name, part, note);
        let made = |topic: &TopicWanted| of(topic, None, format!("topic {} was gone and was made anew", topic.name));
        let set = |topic: &TopicWanted| {
            of(topic, Some("settings"), format!("settings of topic {} had been altered", topic.name))
        };
        self.create.iter().map(made).chain(self.configure.iter().map(set)).collect()
    }

    async fn perform(&mut self, admin: &dyn TopicAdmin, broker: &Broker) {
        if !self.create.is_empty() {
            let done = admin.create(broker, &self.create).await;
            self.note(broker, done);
        }
        if !self.grow.is_empty() {
            let done = admin.add_partitions(broker, &self.grow).await;
            self.note(broker, done);
        }
        if !self.configure.is_empty() {
            let done = admin.set_config(broker, &self.configure).await;
            self.note(broker, done);
        }
    }

    fn note(&mut self, broker: &Broker, done: Result<PerName, BrokerError>) {
        match done {
            Ok(each) => {
                for (name, result) in each {
                    if let Err(error) = result {
                        self.results.insert(name, Err(trouble(broker, &error)));
                    }
                }
            }
            Err(error) => {
                let all = trouble(broker, &error);
                self.results.values_mut().for_each(|result| *result = Err(all.clone()));
            }
        }
    }
}

fn as_wanted(topic: &TopicPlan) -> TopicWanted {
    TopicWanted {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replicas: topic.replicas,
        config: topic.config.clone(),
    }
}

/// The condition's words for a failure.
pub fn trouble(broker: &Broker, error: &BrokerError) -> Trouble {
    let (reason, remedy) = match error {
        BrokerError::Unreachable { .. } => (Reason::BrokerUnreachable, "see spec.kafka.external and the broker"),
        BrokerError::Untrusted { .. } => (
            Reason::BrokerUnreachable,
            "correct the Secret that spec.kafka.external.tls.caSecretRef names, or the broker's certificate",
        ),
        BrokerError::AuthenticationFailed => {
            (Reason::AuthenticationFailed, "correct the Secret that spec.kafka.external.authentication names")
        }
        BrokerError::Forbidden { .. } => (Reason::Forbidden, "give the login the right to manage topics"),
        BrokerError::Refused { .. } => (Reason::TopicConflict, "see spec.kafka.topicDefaults and the broker"),
        BrokerError::Failed { .. } => (Reason::BrokerUnreachable, "see the broker's log"),
    };
    let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
    Trouble::new(reason, format!("{error}{cause}, at {}: {remedy}", broker.bootstrap.join(",")))
}
