//! `spec.services`: settings of one service that override the profile. Must not depend on the controller.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SecretKeyRef, rules};

/// Settings of one service that override the profile.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new(rules::database_is_of_a_service_that_has_one())
    .message("the service has no database: remove database from its settings")
    .field_path(".database"))]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Name of the service.
    pub name: ServiceName,
    /// Whether the service runs: `Enabled` or `Disabled`.
    #[serde(default)]
    pub state: ServiceState,
    /// Number of pods and autoscaling. Default: as in the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// CPU and memory of each pod. Default: as in the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Connections of each pod to its database, and settings of their sessions. Default: as the operator divides the connections
    /// of the server, and as the server says. Not for the gateway, which has no database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<ServiceDatabase>,
    /// Environment variables, in addition to those that the operator sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
}

/// Connections of each pod of a service to its database, and settings of their sessions. The operator gives them to the
/// pods, and sets those of sessions on the service's login, where it repairs them.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDatabase {
    /// Connections of each pod, at most. What is left of the server's connections is divided among the other services. Default: an
    /// equal share.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 200))]
    pub pool_size: Option<i32>,
    /// `statement_timeout`: time after which the server cancels a statement, in seconds. Migrations have no limit. Default:
    /// 10 for the service, and the server's for other clients that use its login.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub statement_timeout_seconds: Option<i32>,
    /// `work_mem`: memory of a sort or hash of a statement before it uses files, in MiB. Default: the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_024))]
    pub work_mem_mebibytes: Option<i32>,
}

/// Name of a service.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceName {
    /// Entry point of all requests from outside.
    Gateway,
    /// User accounts and tokens.
    User,
    /// Products and stock.
    Catalog,
    /// Carts and their checkouts.
    Cart,
    /// Orders and the order saga.
    Order,
    /// Payments and the ledger.
    Payment,
    /// Notifications and mails.
    Notification,
    /// The search index.
    Search,
    /// Products that users may want next.
    Recommendation,
}

impl ServiceName {
    /// The name in the service table of `agora-topology`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::User => "user",
            Self::Catalog => "catalog",
            Self::Cart => "cart",
            Self::Order => "order",
            Self::Payment => "payment",
            Self::Notification => "notification",
            Self::Search => "search",
            Self::Recommendation => "recommendation",
        }
    }
}

/// Whether a service runs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ServiceState {
    /// The service runs.
    #[default]
    Enabled,
    /// The service does not run; its database and topics stay.
    Disabled,
}

/// Number of pods and autoscaling.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas")
    .message("minReplicas is greater than maxReplicas"))]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// Minimum number of pods. Default: as in the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub min_replicas: Option<i32>,
    /// Maximum number of pods. If it equals `minReplicas`, no autoscaler is written. Default: as in the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max_replicas: Option<i32>,
    /// Metrics of the autoscaler. Default: CPU utilization of 70 % of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub metrics: Vec<Metric>,
    /// Stabilization window before the autoscaler removes pods, in seconds.
    #[serde(default = "scale_down_stabilization_seconds")]
    #[schemars(range(min = 0, max = 3_600))]
    pub scale_down_stabilization_seconds: i32,
}

fn scale_down_stabilization_seconds() -> i32 {
    300
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            min_replicas: None,
            max_replicas: None,
            metrics: Vec::new(),
            scale_down_stabilization_seconds: scale_down_stabilization_seconds(),
        }
    }
}

/// A metric of the autoscaler: a union of `type` and the member that `type` names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Name of the metric, unique in the list.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Type of the metric. Only `CPU` is supported.
    #[serde(rename = "type")]
    pub type_: MetricType,
    /// Target of the CPU utilization; used with type `CPU`.
    pub cpu: CpuTarget,
}

/// Type of a metric.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum MetricType {
    /// CPU utilization of the pods.
    #[serde(rename = "CPU")]
    Cpu,
}

/// Target of the CPU utilization.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CpuTarget {
    /// Average CPU utilization over all pods, in percent of the request.
    #[schemars(range(min = 1, max = 1_000))]
    pub average_utilization: i32,
}

/// CPU and memory of a pod.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new(rules::request_is_within_limit("cpu")).message("requests.cpu is greater than limits.cpu"),
    validation = Rule::new(rules::request_is_within_limit("memory")).message("requests.memory is greater than limits.memory")
)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Resources that the scheduler reserves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
    /// Resources that the pod may not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// Amounts of CPU and memory.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// CPU cores, for example `250m` or `"1"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]+(\.[0-9]+)?m?$"))]
    pub cpu: Option<String>,
    /// Memory in bytes, for example `256Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]+(k|Ki|M|Mi|G|Gi)?$"))]
    pub memory: Option<String>,
}

/// An environment variable of a container.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new(rules::env_name_is_free()).message("the operator sets this variable").field_path(".name"),
    validation = Rule::new("has(self.value) != has(self.valueFrom)").message("exactly one of value and valueFrom must be set")
)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Z][A-Z0-9_]*$"))]
    pub name: String,
    /// Value of the variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub value: Option<String>,
    /// Source of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Source of the value of an environment variable.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EnvVarSource {
    /// Key of a Secret that holds the value.
    pub secret_key_ref: SecretKeyRef,
}
