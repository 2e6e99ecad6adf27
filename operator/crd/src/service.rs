//! What differs from the profile for one service.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SecretKeyRef, rules};

/// What differs from the profile for one service.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Which one.
    pub name: ServiceName,
    /// Whether it runs.
    #[serde(default)]
    pub state: ServiceState,
    /// How many pods, and when more. Default: the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// CPU and memory. Default: the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Environment beside that which the operator sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
}

/// A service of the catalogue.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceName {
    /// The way in.
    Gateway,
    /// Accounts and tokens.
    User,
    /// Products and stock.
    Catalog,
    /// Carts.
    Cart,
    /// Orders.
    Order,
    /// Payments and the ledger.
    Payment,
}

impl ServiceName {
    /// The name as the table of services has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::User => "user",
            Self::Catalog => "catalog",
            Self::Cart => "cart",
            Self::Order => "order",
            Self::Payment => "payment",
        }
    }
}

/// Whether a service runs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ServiceState {
    /// It runs.
    #[default]
    Enabled,
    /// It does not; its database and topics stay.
    Disabled,
}

/// How many pods, and when more.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas")
    .message("minReplicas is greater than maxReplicas"))]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// Fewest pods. Default: the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub min_replicas: Option<i32>,
    /// Most pods; equal to the fewest: no autoscaler. Default: the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max_replicas: Option<i32>,
    /// What makes more pods. Default: CPU at 70 % of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub metrics: Vec<Metric>,
    /// How long a lower need must last before pods go, in seconds.
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

/// What makes more pods: a union, `type` and the member that it names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Its name in this list.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What is measured.
    #[serde(rename = "type")]
    pub type_: MetricType,
    /// Of type CPU.
    pub cpu: CpuTarget,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum MetricType {
    /// Processor time.
    #[serde(rename = "CPU")]
    Cpu,
}

/// Aim of the autoscaler by processor time.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CpuTarget {
    /// Mean use over the pods, in percent of the request.
    #[schemars(range(min = 1, max = 1_000))]
    pub average_utilization: i32,
}

/// CPU and memory.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler sets aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
    /// What the pod may not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// Amounts of CPU and memory.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// Processors: `250m` or `"1"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]+(\.[0-9]+)?m?$"))]
    pub cpu: Option<String>,
    /// Memory: `256Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]+(k|Ki|M|Mi|G|Gi)?$"))]
    pub memory: Option<String>,
}

/// One environment variable.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new(rules::env_name_is_free()).message("the operator sets this variable").field_path(".name"),
    validation = Rule::new("has(self.value) != has(self.valueFrom)").message("exactly one of value and valueFrom")
)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Z][A-Z0-9_]*$"))]
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub value: Option<String>,
    /// Where its value is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Where a value is.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EnvVarSource {
    /// In a Secret.
    pub secret_key_ref: SecretKeyRef,
}
