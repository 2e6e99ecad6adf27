//! The root of the custom resource: the parts of a spec and the validation rules that span them. Must not depend on the
//! controller.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Archive, ConfigMapRef, Database, Disruption, Exposure, Identity, Kafka, Languages, Mail, MarketplaceStatus,
    Network, Observability, Orders, Payments, Pod, Promotions, Recommendations, Recovery, Redis, Release, ServiceSpec,
};

/// Spec of a marketplace: its services, databases, topics and routes.
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
    doc = "A marketplace: the operator keeps its services, databases, topics and routes as the spec describes.",
    cel,
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$')")
        .message("metadata.name must have at most 30 characters of a-z, 0-9 and -, start with a letter and not end with -"),
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
        .message("isolationKey is part of the name of every database and topic: it cannot be added, changed or removed")
        .field_path(".isolationKey"),
    validation = Rule::new("self.profile == 'Development' || !has(self.database.external.tls) || self.database.external.tls.mode != 'Disable'")
        .message("TLS may be disabled only in profile Development")
        .field_path(".database"),
    validation = Rule::new("self.profile == 'Development' || !has(self.kafka.external.tls) || self.kafka.external.tls.mode != 'Disable'")
        .message("TLS may be disabled only in profile Development")
        .field_path(".kafka"),
    validation = Rule::new("self.profile == 'Development' || has(self.kafka.external.authentication)")
        .message("authentication is required outside profile Development (its type may be None)")
        .field_path(".kafka"),
    validation = Rule::new("self.profile == 'Development' || !has(self.redis.external.secretRef)")
        .message("connections to Redis are not encrypted: a password may be used only in profile Development")
        .field_path(".redis"),
    validation = Rule::new("self.profile == 'Development' || !has(self.archive) || !has(self.archive.s3.endpoint) || self.archive.s3.endpoint.startsWith('https://')")
        .message("the archive's endpoint must use https outside profile Development")
        .field_path(".archive"),
    validation = Rule::new("self.profile == 'Development' || has(self.payments)")
        .message("payments is required outside profile Development")
        .field_path(".payments"),
    validation = Rule::new("self.profile == 'Development' || !has(self.payments) || self.payments.type != 'Simulator'")
        .message("type Simulator may be chosen only in profile Development")
        .field_path(".payments"),
    validation = Rule::new("self.profile == 'Development' || !has(self.payments) || !has(self.payments.stripeCompatible) || self.payments.stripeCompatible.baseUrl.startsWith('https://')")
        .message("stripeCompatible.baseUrl must begin with https:// outside profile Development")
        .field_path(".payments"),
    validation = Rule::new("self.profile == 'Development' || !has(self.identity) || !has(self.identity.staff) || !has(self.identity.staff.oidc) || self.identity.staff.oidc.issuerUrl.startsWith('https://')")
        .message("oidc.issuerUrl must begin with https:// outside profile Development")
        .field_path(".identity"),
    validation = Rule::new("self.profile == 'Development' || !has(self.mail) || !has(self.mail.smtp.tls) || self.mail.smtp.tls.mode != 'Disable'")
        .message("TLS may be disabled only in profile Development")
        .field_path(".mail")
)]
#[serde(rename_all = "camelCase")]
pub struct MarketplaceSpec {
    /// The release that all services run.
    pub release: Release,
    /// Size of the marketplace: the defaults of replicas, requests, limits and disruption. They change only with a release
    /// of the operator.
    #[serde(default)]
    pub profile: Profile,
    /// Prefix of the names of databases, roles, topics, consumer groups and Redis keys. Default: namespace and name, for
    /// example `shop-main`. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub isolation_key: Option<String>,
    /// What the operator may do. Only `Reconcile` is supported.
    #[serde(default)]
    pub management_policy: ManagementPolicy,
    /// How clients outside the cluster reach the gateway.
    #[serde(default)]
    pub exposure: Exposure,
    /// The PostgreSQL server that holds the databases of all services.
    pub database: Database,
    /// The Kafka cluster that holds all topics.
    pub kafka: Kafka,
    /// The Redis server for cached data. Its data may be lost without loss of orders or payments.
    pub redis: Redis,
    /// Access tokens, their keys, and how members of the staff log in.
    #[serde(default)]
    pub identity: Identity,
    /// The payment provider. Default in profile Development: type `Simulator`; required in other profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payments: Option<Payments>,
    /// Limits of orders that are not paid yet.
    #[serde(default)]
    pub orders: Orders,
    /// Languages of the catalog.
    #[serde(default)]
    pub languages: Languages,
    /// How products are recommended to users.
    #[serde(default)]
    pub recommendations: Recommendations,
    /// Where every event is kept. Default: events are kept only as long as their topics keep them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// Promotions of the catalog. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotions: Option<Promotions>,
    /// The mail server. Without it, notifications are listed and no mail is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// The ConfigMap with the feature flags of the shop: under key `flags`, a line such as `takeOrders: false` for each flag that
    /// differs from its default. The services take a change over without a restart, and list the flags at `/info` of their admin
    /// ports. Without the ConfigMap or the key, every flag has its default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings_ref: Option<ConfigMapRef>,
    /// Labels, annotations and scheduling of all pods.
    #[serde(default)]
    pub pod: Pod,
    /// Settings of single services; they override the profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceSpec>,
    /// Network policies of the pods.
    #[serde(default)]
    pub network: Network,
    /// Disruption budgets and spreading of the pods.
    #[serde(default)]
    pub disruption: Disruption,
    /// Export of traces and metrics.
    #[serde(default)]
    pub observability: Observability,
    /// Recovery after the restore of a backup.
    #[serde(default)]
    pub recovery: Recovery,
}

/// Size of a marketplace.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum Profile {
    /// One machine, connections without TLS, simulated payments.
    Development,
    /// A small shop: the default.
    #[default]
    Small,
    /// A medium-sized shop.
    Medium,
    /// A large shop.
    Large,
}

/// What the operator may do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ManagementPolicy {
    /// Create and change objects, databases and topics as the spec describes.
    #[default]
    Reconcile,
}
