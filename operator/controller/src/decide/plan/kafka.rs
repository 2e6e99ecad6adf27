//! The part of the plan for the broker and the topics.

use std::collections::BTreeMap;

use agora_crd::{
    ACCEPT_PARTITIONS, DeletionPolicy, KafkaAuthenticationType, Marketplace, Profile, Reason, TopicManagement,
};
use agora_topology as topology;
use kube::ResourceExt;

use super::{Scope, TlsPlan, Violation};
use crate::names;

/// Partitions and replicas of a topic in profile Development.
const DEVELOPMENT: (i32, i32) = (3, 1);
/// Partitions and replicas of a topic in the other profiles.
const PRODUCTION: (i32, i32) = (12, 3);
/// The topic setting for the number of replicas that must have a message before it is acknowledged.
const MIN_INSYNC: &str = "min.insync.replicas";

#[derive(Clone, Debug)]
pub struct KafkaPlan {
    /// `host:port` of one or more brokers.
    pub bootstrap: Vec<String>,
    pub tls: TlsPlan,
    pub mechanism: Mechanism,
    /// Name of the Secret with user and password.
    pub credentials: Option<String>,
    pub management: TopicManagement,
    /// Partitions of a topic without an own value in the spec.
    pub partitions: i32,
    pub replicas: i32,
    pub topics: Vec<TopicPlan>,
    pub deletion: DeletionPolicy,
}

impl KafkaPlan {
    /// The topic that marks the owner of the isolation key. It holds no messages.
    pub fn marker(&self, name: String) -> TopicPlan {
        TopicPlan {
            bare_name: name.clone(),
            name,
            partitions: 1,
            replicas: self.replicas,
            config: BTreeMap::new(),
            accepted: None,
        }
    }
}

/// The SASL mechanism of the login at the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    None,
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    /// The name in Kafka's configuration; `None` without a login.
    pub const fn sasl(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Plain => Some("PLAIN"),
            Self::ScramSha256 => Some("SCRAM-SHA-256"),
            Self::ScramSha512 => Some("SCRAM-SHA-512"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlan {
    /// Without the isolation key.
    pub bare_name: String,
    /// At the broker, with the isolation key.
    pub name: String,
    pub partitions: i32,
    /// Replicas of each partition.
    pub replicas: i32,
    /// By Kafka's setting names.
    pub config: BTreeMap<String, String>,
    /// The number of partitions that an annotation of the Marketplace accepts.
    pub accepted: Option<i32>,
}

pub(super) fn kafka(market: &Marketplace, isolation_key: &str, violations: &mut Vec<Violation>) -> KafkaPlan {
    let (spec, external) = (&market.spec, &market.spec.kafka.external);
    let default = if spec.profile == Profile::Development { DEVELOPMENT } else { PRODUCTION };
    let partitions = spec.kafka.topic_defaults.partitions.unwrap_or(default.0);
    let replicas = spec.kafka.topic_defaults.replicas.unwrap_or(default.1);
    let tls = TlsPlan::of(external.tls.as_ref(), spec.profile);
    let (mechanism, credentials) = login(market, violations);
    if mechanism == Mechanism::Plain && !tls.verified() && spec.profile != Profile::Development {
        let message = "spec.kafka.external.authentication.type Plain sends the password in clear text without TLS: set \
                       spec.kafka.external.tls.mode to VerifyFull, or use type ScramSha512";
        violations.push(Violation::new(Reason::InvalidSpec, Scope::Broker, message));
    }
    let mut plan = KafkaPlan {
        bootstrap: external.bootstrap_servers.clone(),
        tls,
        mechanism,
        credentials,
        management: spec.kafka.topic_management,
        partitions,
        replicas,
        topics: Vec::new(),
        deletion: spec.kafka.deletion_policy,
    };
    plan.topics = topics(market, isolation_key, &plan, violations);
    plan
}

fn login(market: &Marketplace, violations: &mut Vec<Violation>) -> (Mechanism, Option<String>) {
    let Some(login) = &market.spec.kafka.external.authentication else {
        if market.spec.profile != Profile::Development {
            let message =
                "spec.kafka.external.authentication is required outside profile Development: set its type and Secret";
            violations.push(Violation::new(Reason::InvalidSpec, Scope::Broker, message));
        }
        return (Mechanism::None, None);
    };
    let (mechanism, credentials) = match login.type_ {
        KafkaAuthenticationType::None => (Mechanism::None, &None),
        KafkaAuthenticationType::Plain => (Mechanism::Plain, &login.plain),
        KafkaAuthenticationType::ScramSha256 => (Mechanism::ScramSha256, &login.scram_sha256),
        KafkaAuthenticationType::ScramSha512 => (Mechanism::ScramSha512, &login.scram_sha512),
    };
    (mechanism, credentials.as_ref().map(|credentials| credentials.secret_ref.name.clone()))
}

fn topics(
    market: &Marketplace,
    isolation_key: &str,
    plan: &KafkaPlan,
    violations: &mut Vec<Violation>,
) -> Vec<TopicPlan> {
    let spec = &market.spec.kafka;
    let known: Vec<&str> = topology::all_topics().into_iter().map(agora_events::Topic::name).collect();
    for unknown in spec.topics.iter().filter(|topic| !known.contains(&topic.name.as_str())) {
        let message = format!("spec.kafka.topics[{}]: unknown topic; known are {}", unknown.name, known.join(", "));
        violations.push(Violation::new(Reason::InvalidSpec, Scope::Topics, message));
    }
    let needed = spec.topic_defaults.config.get(MIN_INSYNC).and_then(|text| text.parse::<i32>().ok()).unwrap_or(1);
    if needed > plan.replicas {
        let message = format!(
            "spec.kafka.topicDefaults: {MIN_INSYNC} is {needed} and replicas is {}: lower the one or raise the other",
            plan.replicas
        );
        violations.push(Violation::new(Reason::InvalidSpec, Scope::Topics, message));
    }
    let accepted = accepted_partitions(market);
    known
        .into_iter()
        .map(|bare_name| {
            let given = spec.topics.iter().find(|topic| topic.name == bare_name);
            let mut config = spec.topic_defaults.config.clone();
            if let Some(seconds) = given.and_then(|topic| topic.retention_seconds) {
                config.insert("retention.ms".to_owned(), (seconds * 1_000).to_string());
            }
            TopicPlan {
                bare_name: bare_name.to_owned(),
                name: names::at_broker(isolation_key, bare_name),
                partitions: given.and_then(|topic| topic.partitions).unwrap_or(plan.partitions),
                replicas: plan.replicas,
                config,
                accepted: accepted.get(bare_name).copied(),
            }
        })
        .collect()
}

/// Reads `order-events=24,cart-events=6`. Parts with another syntax accept nothing.
fn accepted_partitions(market: &Marketplace) -> BTreeMap<String, i32> {
    let text = market.annotations().get(ACCEPT_PARTITIONS).map(String::as_str).unwrap_or_default();
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .filter_map(|(name, number)| Some((name.trim().to_owned(), number.trim().parse().ok()?)))
        .collect()
}
