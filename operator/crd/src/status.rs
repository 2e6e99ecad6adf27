//! The status that the operator reports: conditions with a closed list of reasons, services, topics and the defaults in
//! effect. Must not depend on the controller.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Observed state of a Marketplace, written by the operator.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MarketplaceStatus {
    /// `metadata.generation` of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Version that all services run; unchanged until a rollout is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Number of ready services, for example `7/7 services ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// One condition of each type. The messages name the object and the remedy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// State of each service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceStatus>,
    /// The databases and the server that holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseStatus>,
    /// State of the topics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaStatus>,
    /// Values in effect, including defaults that depend on the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<Effective>,
}

/// State of one service.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Name of the service.
    pub name: String,
    /// Image ID of the running pods, as the kubelet reports it.
    #[serde(rename = "imageID", skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// Number of desired pods.
    pub desired: i32,
    /// Number of ready pods.
    pub ready: i32,
    /// State of the rollout.
    #[serde(default)]
    pub rollout: ServiceRollout,
    /// Time of the last change of `rollout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// State of a rollout.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ServiceRollout {
    /// The service waits for its database migration or a Secret.
    #[default]
    Waiting,
    /// Pods are being replaced.
    Progressing,
    /// All pods have the current template and are ready.
    Stable,
    /// The new pods do not become ready.
    Failed,
}

/// The databases and the server that holds them, as seen at the last inspection.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// Address of the server: `host:port`.
    pub address: String,
    /// Identity of the server: the system identifier of PostgreSQL, or the address if the server does not disclose it.
    pub identifier: String,
    /// Databases that were created. One that is missing is lost, and is not created again until the loss is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub databases: Vec<DatabaseRecord>,
    /// Servers that held the databases before, and where the logins of the services are not locked yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_servers: Vec<FormerServer>,
}

/// A server that held the databases before.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FormerServer {
    /// Address of the server: `host:port`.
    pub address: String,
    /// Identity of the server: the system identifier of PostgreSQL, or the address if the server does not disclose it.
    pub identifier: String,
}

/// A database that was created.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseRecord {
    /// Name of the database.
    pub name: String,
    /// PostgreSQL's `oid` of the database; a database that was deleted and created again has another one.
    pub oid: i64,
}

/// State of the topics.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaStatus {
    /// Bootstrap addresses of the cluster that holds the topics, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Identity of that cluster: Kafka's cluster id, or the addresses if the cluster does not disclose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// Topics that were created. One that is missing is lost, and is not created again until the loss is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Settings that the operator has set. One that the spec does not contain any more is reset; settings of other clients stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_settings: Vec<TopicSettings>,
    /// Number of topics that the spec asks for.
    pub topics_desired: i32,
    /// Number of topics that match the spec.
    pub topics_in_sync: i32,
    /// Topics that do not match the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_in_sync: Vec<TopicDifference>,
}

/// The settings of one topic that the operator has set.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicSettings {
    /// Name of the topic with the prefix of the isolation key.
    pub topic: String,
    /// Kafka's names of the settings.
    pub names: Vec<String>,
}

/// A topic that does not match the spec.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicDifference {
    /// Name of the topic with the prefix of the isolation key.
    pub name: String,
    /// Reason of the difference, in CamelCase; one of the condition reasons.
    pub reason: String,
    /// The difference and the remedy.
    pub message: String,
}

/// Values in effect, including defaults that depend on the profile.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// Prefix of the names of databases, roles, topics, consumer groups and Redis keys.
    pub isolation_key: String,
    /// Image of all services.
    pub image: String,
    /// TLS mode of the database connections.
    pub database_tls: String,
    /// TLS mode of the Kafka connections.
    pub kafka_tls: String,
    /// SASL mechanism at the brokers.
    pub kafka_authentication: String,
    /// Number of partitions of a topic without an override.
    pub topic_partitions: i32,
    /// Replication factor of the topics.
    pub topic_replicas: i32,
    /// The payment provider.
    pub payments: String,
    /// Whether the gateway serves the compatibility routes.
    pub legacy_aliases: String,
    /// Address of the mail server; `Suppressed` if there is none: notifications are listed and no mail is sent.
    #[serde(default)]
    pub mail: String,
    /// Database connections that are divided among the connection pools; absent until the server has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i32>,
    /// Size of the connection pool of each pod; absent until the server has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<i32>,
}

/// Types of conditions, in the order of `status.conditions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// Shoppers can place orders.
    Available,
    /// The current spec is fully applied and healthy.
    Ready,
    /// The operator is changing objects or waits for them.
    Reconciling,
    /// Reconciliation cannot continue without a change by a user.
    Stalled,
    /// State of databases, roles and logins.
    DatabaseReady,
    /// State of the topics.
    KafkaReady,
    /// State of the connection to Redis.
    RedisReady,
    /// State of the Secrets.
    CredentialsReady,
    /// State of the migration Jobs, Deployments and the objects that belong to them.
    WorkloadsReady,
    /// State of the autoscalers.
    AutoscalingReady,
    /// State of the Ingress.
    RouteReady,
    /// State of the archive of events.
    ArchiveReady,
}

impl ConditionType {
    /// All types, in the order of `status.conditions`.
    pub const ALL: [Self; 12] = [
        Self::Available,
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::DatabaseReady,
        Self::KafkaReady,
        Self::RedisReady,
        Self::CredentialsReady,
        Self::WorkloadsReady,
        Self::AutoscalingReady,
        Self::RouteReady,
        Self::ArchiveReady,
    ];
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Reason of a condition: a closed list, part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    ShoppersCanBuy,
    AllComponentsReady,
    UpToDate,
    Progressing,
    Provisioned,
    TopicsInSync,
    Reachable,
    NotRequested,
    Current,
    MinimumReplicasAvailable,
    ValidMetricFound,
    Applied,
    WaitingForDependency,
    MigrationRunning,
    InvalidSpec,
    ImageUnavailable,
    CrashLooping,
    ContainerNotCreated,
    Unschedulable,
    PodsRefused,
    ProgressDeadlineExceeded,
    DatabaseUnreachable,
    RedisUnreachable,
    ServiceUnreachable,
    AuthenticationFailed,
    RoleConflict,
    IsolationConflict,
    SecretMissing,
    SecretNotUsable,
    SecretCorrupt,
    MigrationFailed,
    BrokerUnreachable,
    ArchiveUnavailable,
    PartitionIncreaseNotAccepted,
    PartitionDecreaseRefused,
    ReplicationChangeUnsupported,
    TopicConflict,
    MetricsUnavailable,
    DriftCorrected,
    DriftContested,
    FieldConflict,
    ConnectionBudgetExceeded,
    DataLost,
    DataServerChanged,
    Paused,
    QuotaExceeded,
    Forbidden,
    Terminating,
    RetainedOnDelete,
    Migrated,
    RolledOut,
    Scaled,
    NotAvailable,
    NeedsUser,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Reason {
    /// Whether the condition needs a change by a user: waiting does not help.
    pub const fn stalls(self) -> bool {
        matches!(
            self,
            Self::InvalidSpec
                | Self::ImageUnavailable
                | Self::CrashLooping
                | Self::ContainerNotCreated
                | Self::PodsRefused
                | Self::ProgressDeadlineExceeded
                | Self::AuthenticationFailed
                | Self::RoleConflict
                | Self::IsolationConflict
                | Self::SecretMissing
                | Self::SecretNotUsable
                | Self::SecretCorrupt
                | Self::MigrationFailed
                | Self::PartitionIncreaseNotAccepted
                | Self::PartitionDecreaseRefused
                | Self::ReplicationChangeUnsupported
                | Self::TopicConflict
                | Self::DriftContested
                | Self::FieldConflict
                | Self::ConnectionBudgetExceeded
                | Self::DataLost
                | Self::DataServerChanged
                | Self::QuotaExceeded
                | Self::Forbidden
        )
    }
}
