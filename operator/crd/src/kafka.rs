//! `spec.kafka`: the Kafka cluster and the settings of topics. Must not depend on the controller.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DeletionPolicy, SecretRef, Tls, rules};

/// The Kafka cluster that holds all topics: a union of `type` and the member that `type` names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Kafka {
    /// How the cluster is provided. Only `External` is supported.
    #[serde(default, rename = "type")]
    pub type_: KafkaType,
    /// Addresses and login of the cluster; used with type `External`.
    pub external: ExternalKafka,
    /// What the operator does to topics: `Full`, `CreateOnly` or `None`.
    #[serde(default)]
    pub topic_management: TopicManagement,
    /// Settings of every topic. Default: 12 partitions and 3 replicas; in profile Development 3 partitions and 1 replica.
    #[serde(default)]
    pub topic_defaults: TopicDefaults,
    /// Settings of single topics; they override `topicDefaults`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub topics: Vec<TopicOverride>,
    /// What happens to the topics and consumer groups when the Marketplace is deleted: `Retain` or `Delete`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// How the Kafka cluster is provided.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum KafkaType {
    /// The cluster exists already and is not managed by the operator.
    #[default]
    External,
}

/// A Kafka cluster that the operator does not manage.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalKafka {
    /// Bootstrap servers: `host:port` of one or more brokers.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 3, max = 260), regex(pattern = rules::HOST_AND_PORT))
    )]
    pub bootstrap_servers: Vec<String>,
    /// TLS of the connections. Default: mode `Disable` in profile Development, `VerifyFull` in other profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Authentication at the brokers. Default in profile Development: type `None`; required in other profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<KafkaAuthentication>,
}

/// Authentication at the brokers: a union of `type` and the member that `type` names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("(self.type == 'Plain') == has(self.plain)")
        .message("member plain is required with type Plain and may not be set with another type"),
    validation = Rule::new("(self.type == 'ScramSha256') == has(self.scramSha256)")
        .message("member scramSha256 is required with type ScramSha256 and may not be set with another type"),
    validation = Rule::new("(self.type == 'ScramSha512') == has(self.scramSha512)")
        .message("member scramSha512 is required with type ScramSha512 and may not be set with another type")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaAuthentication {
    /// SASL mechanism, or `None`.
    #[serde(rename = "type")]
    pub type_: KafkaAuthenticationType,
    /// User and password; used with type `Plain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain: Option<KafkaCredentials>,
    /// User and password; used with type `ScramSha256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scram_sha256: Option<KafkaCredentials>,
    /// User and password; used with type `ScramSha512`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scram_sha512: Option<KafkaCredentials>,
}

/// SASL mechanism of the authentication at the brokers.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum KafkaAuthenticationType {
    /// Clients do not authenticate.
    None,
    /// SASL/PLAIN: user name and password.
    Plain,
    /// SASL/SCRAM with SHA-256.
    ScramSha256,
    /// SASL/SCRAM with SHA-512.
    ScramSha512,
}

/// User and password at the brokers.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaCredentials {
    /// Secret of type `kubernetes.io/basic-auth` with the keys `username` and `password`. Its annotation lists
    /// `kafka=<host>:<port>` for each broker.
    pub secret_ref: SecretRef,
}

/// What the operator does to topics.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum TopicManagement {
    /// The operator creates topics and keeps their settings and partitions as the spec describes.
    #[default]
    Full,
    /// The operator creates missing topics and never changes existing ones.
    CreateOnly,
    /// The operator neither creates nor changes topics: create them before the services start.
    None,
}

/// Settings of every topic.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("!has(self.config) || !('min.insync.replicas' in self.config) || !has(self.replicas) || int(self.config['min.insync.replicas']) <= self.replicas")
    .message("min.insync.replicas is greater than replicas"))]
#[serde(rename_all = "camelCase")]
pub struct TopicDefaults {
    /// Number of partitions. Default: 12; in profile Development 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub partitions: Option<i32>,
    /// Replication factor. Default: 3; in profile Development 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub replicas: Option<i32>,
    /// Topic-level configuration by Kafka's names, for example `min.insync.replicas`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 256}))]
    pub config: BTreeMap<String, String>,
}

/// Settings of one topic that differ from `topicDefaults`.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("!has(oldSelf.partitions) || (has(self.partitions) && self.partitions >= oldSelf.partitions)")
    .message("partitions can never be reduced")
    .field_path(".partitions"))]
#[serde(rename_all = "camelCase")]
pub struct TopicOverride {
    /// Name of the topic without the prefix of the isolation key, for example `order-events`.
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[a-z][-a-z0-9]*$"))]
    pub name: String,
    /// Number of partitions. To raise it on an existing topic, also set the annotation
    /// `agoraplatform.dev/accept-partitions: <name>=<n>`: keys move to other partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub partitions: Option<i32>,
    /// Retention of records, in seconds (`retention.ms`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 3_153_600_000_i64))]
    pub retention_seconds: Option<i64>,
}
