//! What the operator reports: conditions with a closed list of reasons, services, topics, late defaults.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator reports.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MarketplaceStatus {
    /// The spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The release that every service runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `6/6 services ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// One of each type; messages name the object and the remedy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Each service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceStatus>,
    /// The topics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaStatus>,
    /// Defaults that the schema could not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<Effective>,
}

/// One service.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// The image as the kubelet reports it.
    #[serde(rename = "imageID", skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// Pods wanted.
    pub desired: i32,
    /// Pods ready.
    pub ready: i32,
    /// Where its rollout is.
    #[serde(default)]
    pub rollout: ServiceRollout,
    /// When `rollout` changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// Where a rollout is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ServiceRollout {
    /// Waits for its migration or its Secrets.
    #[default]
    Waiting,
    /// Pods are being replaced.
    Progressing,
    /// Every pod is of the newest template and ready.
    Stable,
    /// The newest pods do not become ready.
    Failed,
}

/// The topics.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaStatus {
    /// How many there should be.
    pub topics_desired: i32,
    /// How many are as they should be.
    pub topics_in_sync: i32,
    /// The others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_in_sync: Vec<TopicDifference>,
}

/// A topic that is not as it should be.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicDifference {
    /// Its full name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// What differs and what to do.
    pub message: String,
}

/// Defaults that the schema could not know.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// Prefix of everything outside the cluster.
    pub isolation_key: String,
    /// The image that runs.
    pub image: String,
    /// Protection of database connections.
    pub database_tls: String,
    /// Protection of broker connections.
    pub kafka_tls: String,
    /// Login at the broker.
    pub kafka_authentication: String,
    /// Partitions of a topic without an override.
    pub topic_partitions: i32,
    /// Replicas of a topic's partitions.
    pub topic_replicas: i32,
    /// The payment provider.
    pub payments: String,
    /// Whether the routes of the older documents are served.
    pub legacy_aliases: String,
    /// Connections that are divided into pools; absent until a server answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i32>,
    /// Connections of each pod to its database; absent until a server answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<i32>,
}

/// The types of conditions, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// Shoppers can buy.
    Available,
    /// The spec is realised.
    Ready,
    /// Work is under way.
    Reconciling,
    /// It does not go on by itself.
    Stalled,
    /// Databases, roles and logins.
    DatabaseReady,
    /// Topics.
    KafkaReady,
    /// Redis.
    RedisReady,
    /// Secrets.
    CredentialsReady,
    /// Migrations, Deployments and what belongs to them.
    WorkloadsReady,
    /// Autoscalers.
    AutoscalingReady,
    /// The way in.
    RouteReady,
}

impl ConditionType {
    /// All of them.
    pub const ALL: [Self; 11] = [
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
    ];
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why a condition is what it is: a closed list, part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is one word that says what it means")]
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
    ProgressDeadlineExceeded,
    DatabaseUnreachable,
    RedisUnreachable,
    AuthenticationFailed,
    RoleConflict,
    IsolationConflict,
    SecretMissing,
    SecretNotUsable,
    MigrationFailed,
    BrokerUnreachable,
    PartitionIncreaseNotAccepted,
    PartitionDecreaseRefused,
    ReplicationChangeUnsupported,
    TopicConflict,
    MetricsUnavailable,
    DriftCorrected,
    FieldConflict,
    ConnectionBudgetExceeded,
    Paused,
    QuotaExceeded,
    Forbidden,
    Terminating,
    RetainedOnDelete,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Reason {
    /// Whether somebody has to act: waiting alone does not help.
    pub const fn stalls(self) -> bool {
        matches!(
            self,
            Self::InvalidSpec
                | Self::ImageUnavailable
                | Self::CrashLooping
                | Self::ProgressDeadlineExceeded
                | Self::AuthenticationFailed
                | Self::RoleConflict
                | Self::IsolationConflict
                | Self::SecretMissing
                | Self::SecretNotUsable
                | Self::MigrationFailed
                | Self::PartitionIncreaseNotAccepted
                | Self::PartitionDecreaseRefused
                | Self::ReplicationChangeUnsupported
                | Self::TopicConflict
                | Self::FieldConflict
                | Self::ConnectionBudgetExceeded
                | Self::QuotaExceeded
                | Self::Forbidden
        )
    }
}
