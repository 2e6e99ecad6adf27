//! The root of the resource: which parts a spec has, and the rules that span them.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Database, Disruption, Exposure, Identity, Kafka, MarketplaceStatus, Network, Observability, Payments, Pod,
    Recovery, Redis, Release, ServiceSpec,
};

/// A shop: services, databases, topics and routes, kept as described here.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "agoraplatform.dev",
    version = "v1alpha1",
    kind = "Marketplace",
    plural = "marketplaces",
    shortname = "mkt",
    category = "agora",
    namespaced,
    status = "MarketplaceStatus",
    derive = "PartialEq",
    doc = "A shop: services, databases, topics and routes, kept as described.",
    cel,
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$')")
        .message("metadata.name: at most 30 of a-z, 0-9 and -, the first a letter, the last no -"),
    printcolumn(name = "Available", type_ = "string", json_path = ".status.conditions[?(@.type==\"Available\")].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Services", type_ = "string", json_path = ".status.summary"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Database",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"DatabaseReady\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Topics",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"KafkaReady\")].reason",
        priority = 1
    )
)]
#[x_kube(
    validation = Rule::new("has(self.isolationKey) == has(oldSelf.isolationKey) && (!has(self.isolationKey) || self.isolationKey == oldSelf.isolationKey)")
        .message("isolationKey is part of every database's and topic's name: it can be neither added, changed nor removed")
        .field_path(".isolationKey"),
    validation = Rule::new("self.profile == 'Development' || !has(self.database.external.tls) || self.database.external.tls.mode != 'Disable'")
        .message("TLS may be disabled in profile Development alone")
        .field_path(".database"),
    validation = Rule::new("self.profile == 'Development' || !has(self.kafka.external.tls) || self.kafka.external.tls.mode != 'Disable'")
        .message("TLS may be disabled in profile Development alone")
        .field_path(".kafka"),
    validation = Rule::new("self.profile == 'Development' || has(self.kafka.external.authentication)")
        .message("authentication is required outside profile Development (its type may be None)")
        .field_path(".kafka"),
    validation = Rule::new("self.profile == 'Development' || !has(self.redis.external.secretRef)")
        .message("Redis is reached in the clear: a password may be used in profile Development alone")
        .field_path(".redis"),
    validation = Rule::new("self.profile == 'Development' || has(self.payments)")
        .message("payments is required outside profile Development")
        .field_path(".payments"),
    validation = Rule::new("self.profile == 'Development' || !has(self.payments) || self.payments.type != 'Simulator'")
        .message("the simulator may be chosen in profile Development alone")
        .field_path(".payments")
)]
#[serde(rename_all = "camelCase")]
pub struct MarketplaceSpec {
    /// The release to run.
    pub release: Release,
    /// How large: replicas, requests, limits and disruption; frozen per release.
    #[serde(default)]
    pub profile: Profile,
    /// Prefix of databases, roles, topics, groups and Redis keys. Default: namespace and name, `shop-main`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub isolation_key: Option<String>,
    /// What the operator may do.
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// How shoppers reach the gateway.
    #[serde(default)]
    pub exposure: Exposure,
    /// The PostgreSQL server of all databases.
    pub database: Database,
    /// The broker of all topics.
    pub kafka: Kafka,
    /// The Redis of hints.
    pub redis: Redis,
    /// Tokens.
    #[serde(default)]
    pub identity: Identity,
    /// The payment provider. Default in profile Development: the simulator; required in any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payments: Option<Payments>,
    /// What every pod carries.
    #[serde(default)]
    pub pod: Pod,
    /// What differs from the profile, by service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceSpec>,
    /// Who may talk to whom.
    #[serde(default)]
    pub network: Network,
    /// What drains and failing zones may take away.
    #[serde(default)]
    pub disruption: Disruption,
    /// Where traces go.
    #[serde(default)]
    pub observability: Observability,
    /// What to raise after a restore.
    #[serde(default)]
    pub recovery: Recovery,
}

/// How large a marketplace is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum Profile {
    /// One machine, in the clear, simulated payments.
    Development,
    /// A small shop.
    #[default]
    Small,
    /// A shop with a team.
    Medium,
    /// A large shop.
    Large,
}

/// What the operator may do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ManagementPolicy {
    /// Make and keep everything as described.
    #[default]
    Reconcile,
}
