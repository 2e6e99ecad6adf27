//! The small parts of a spec: tokens, payments, pods, network, disruption, traces, recovery, deletion.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to data when the Marketplace is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum DeletionPolicy {
    /// Logins are locked, data stay; a Marketplace of the same namespace and name takes them over again.
    #[default]
    Retain,
    /// Data are deleted.
    Delete,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// How long an access token is good, in seconds.
    #[serde(default = "access_token_lifetime_seconds")]
    #[schemars(range(min = 60, max = 3_600))]
    pub access_token_lifetime_seconds: i32,
}

fn access_token_lifetime_seconds() -> i32 {
    900
}

impl Default for Identity {
    fn default() -> Self {
        Self { access_token_lifetime_seconds: access_token_lifetime_seconds() }
    }
}

/// The payment provider.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payments {
    /// Which one.
    #[serde(rename = "type")]
    pub type_: PaymentProvider,
}

/// A payment provider.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum PaymentProvider {
    /// Pretends; profile Development alone.
    Simulator,
    /// None: paying answers 503.
    None,
}

/// What every pod carries.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Labels beside the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Annotations beside the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// Name of a `PriorityClass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Annotations of the services' accounts, for a cloud's workload identity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub service_account_annotations: BTreeMap<String, String>,
}

/// Who may talk to whom.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Whether the operator writes network policies.
    #[serde(default)]
    pub policy: NetworkPolicyMode,
    /// Where the services may go beside each other and name servers. A port of a data service that is named here is
    /// reached at these addresses alone, else at any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub egress: Vec<EgressRule>,
}

/// Whether network policies are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum NetworkPolicyMode {
    /// Default deny; the edges of the design alone.
    #[default]
    Restricted,
    /// None: somebody else writes them.
    None,
}

/// Addresses and ports that the services may reach.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressRule {
    /// What it is for.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Addresses: `10.20.0.0/16`.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"))]
    pub cidr: String,
    /// TCP ports.
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 65_535)))]
    pub ports: Vec<i32>,
}

/// What drains and failing zones may take away.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disruption {
    /// Pods of a service that a drain may take at once. Default: 1; in profile Development no budget is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_unavailable: Option<i32>,
    /// Label of nodes over whose values a service's pods are spread.
    #[serde(default = "topology_key")]
    #[schemars(length(min = 1, max = 317))]
    pub topology_key: String,
}

fn topology_key() -> String {
    "kubernetes.io/hostname".to_owned()
}

impl Default for Disruption {
    fn default() -> Self {
        Self { max_unavailable: None, topology_key: topology_key() }
    }
}

/// Where traces go.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observability {
    /// OTLP over gRPC: `http://collector.observability.svc:4317`. Default: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^https?://[^/\s]+/?$"))]
    pub otlp_endpoint: Option<String>,
}

/// What to raise after a restore.
#[derive(KubeSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// Raised by one after a restore, so that order numbers and keys of the lost time are not used again.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    #[x_kube(validation = Rule::new("self >= oldSelf").message("epoch never falls"))]
    pub epoch: i32,
}
