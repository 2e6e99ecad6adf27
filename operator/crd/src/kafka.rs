//! The broker of all topics, and what topics look like.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DeletionPolicy, SecretRef, Tls};

/// The broker of all topics: a union, `type` and the member that it names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Kafka {
    /// Who runs the broker.
    #[serde(default, rename = "type")]
    pub type_: KafkaType,
    /// Of type External.
    pub external: ExternalKafka,
    /// What the operator does to topics.
    #[serde(default)]
    pub topic_management: TopicManagement,
    /// What every topic has. Default: 12 partitions and 3 replicas; in profile Development 3 and 1.
    #[serde(default)]
    pub topic_defaults: TopicDefaults,
    /// What differs, by topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub topics: Vec<TopicOverride>,
    /// What happens to topics when the Marketplace is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// Who runs the broker.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum KafkaType {
    /// Somebody else.
    #[default]
    External,
}

/// A broker that somebody else runs.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalKafka {
    /// `host:port` of one or more brokers.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 3, max = 260), regex(pattern = r"^[A-Za-z0-9.-]+:[0-9]{1,5}$"))
    )]
    pub bootstrap_servers: Vec<String>,
    /// Protection of the connections. Default: Disable in profile Development, else `VerifyFull`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The login. Default in profile Development: None; required in any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<KafkaAuthentication>,
}

/// The login at the broker: a union, `type` and the member that it names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("(self.type == 'Plain') == has(self.plain)")
        .message("type Plain takes the member plain, and no other does"),
    validation = Rule::new("(self.type == 'ScramSha256') == has(self.scramSha256)")
        .message("type ScramSha256 takes the member scramSha256, and no other does"),
    validation = Rule::new("(self.type == 'ScramSha512') == has(self.scramSha512)")
        .message("type ScramSha512 takes the member scramSha512, and no other does")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaAuthentication {
    /// The mechanism.
    #[serde(rename = "type")]
    pub type_: KafkaAuthenticationType,
    /// Of type Plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain: Option<KafkaCredentials>,
    /// Of type `ScramSha256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scram_sha256: Option<KafkaCredentials>,
    /// Of type `ScramSha512`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scram_sha512: Option<KafkaCredentials>,
}

/// The mechanism of a login at the broker.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum KafkaAuthenticationType {
    /// No login.
    None,
    /// SASL PLAIN.
    Plain,
    /// SASL SCRAM-SHA-256.
    ScramSha256,
    /// SASL SCRAM-SHA-512.
    ScramSha512,
}

/// User and password at the broker.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaCredentials {
    /// Secret of type `kubernetes.io/basic-auth`.
    pub secret_ref: SecretRef,
}

/// What the operator does to topics.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum TopicManagement {
    /// Creates them and keeps their settings and partitions as described.
    #[default]
    Full,
    /// Creates them and then leaves them alone.
    CreateOnly,
    /// Nothing: somebody else makes them.
    None,
}

/// What every topic has.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("!has(self.config) || !('min.insync.replicas' in self.config) || !has(self.replicas) || int(self.config['min.insync.replicas']) <= self.replicas")
    .message("min.insync.replicas is greater than replicas"))]
#[serde(rename_all = "camelCase")]
pub struct TopicDefaults {
    /// Partitions of a new topic. Default: 12; in profile Development 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub partitions: Option<i32>,
    /// Replicas of each partition. Default: 3; in profile Development 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub replicas: Option<i32>,
    /// Settings by Kafka's names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 256}))]
    pub config: BTreeMap<String, String>,
}

/// What differs from the defaults for one topic.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("!has(oldSelf.partitions) || (has(self.partitions) && self.partitions >= oldSelf.partitions)")
    .message("partitions can never become fewer")
    .field_path(".partitions"))]
#[serde(rename_all = "camelCase")]
pub struct TopicOverride {
    /// Bare name of the topic, without the isolation key.
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[a-z][-a-z0-9]*$"))]
    pub name: String,
    /// Partitions; more than the topic has need the annotation `agoraplatform.dev/accept-partitions: <name>=<n>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub partitions: Option<i32>,
    /// How long messages are kept, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 3_153_600_000_i64))]
    pub retention_seconds: Option<i64>,
}
