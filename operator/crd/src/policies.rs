//! The small parts of a spec: tokens, orders, payments, languages, recommendations, promotions, pods, network, disruption,
//! traces, recovery, deletion. Must not depend on the controller.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SecretRef, rules};

/// What happens to data when the Marketplace is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum DeletionPolicy {
    /// Logins are locked and data stay. A new Marketplace with the same namespace and name adopts them.
    #[default]
    Retain,
    /// Databases and roles, or topics and consumer groups, are deleted.
    Delete,
}

/// Access tokens, the keys of tokens, and how members of the staff log in.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Lifetime of an access token, in seconds.
    #[serde(default = "access_token_lifetime_seconds")]
    #[schemars(range(min = 60, max = 3_600))]
    pub access_token_lifetime_seconds: i32,
    /// Age at which the keys of access tokens and of calls between services are replaced, in seconds. The new keys are accepted
    /// by every service before they are used.
    #[serde(default = "key_rotation_period_seconds")]
    #[schemars(range(min = 3_600, max = 31_536_000))]
    pub key_rotation_period_seconds: i32,
    /// An identity provider of the staff. Without it, the first admin gives roles to accounts of the shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staff: Option<crate::Staff>,
}

fn key_rotation_period_seconds() -> i32 {
    2_592_000
}

fn access_token_lifetime_seconds() -> i32 {
    900
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            access_token_lifetime_seconds: access_token_lifetime_seconds(),
            key_rotation_period_seconds: key_rotation_period_seconds(),
            staff: None,
        }
    }
}

/// The payment provider: a union of `type` and the member that `type` names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("(self.type == 'StripeCompatible') == has(self.stripeCompatible)")
    .message("member stripeCompatible is required with type StripeCompatible and may not be set with another type"))]
#[serde(rename_all = "camelCase")]
pub struct Payments {
    /// The provider: `Simulator`, `StripeCompatible` or `None`.
    #[serde(rename = "type")]
    pub type_: PaymentProvider,
    /// A provider with Stripe's HTTP interface; used with type `StripeCompatible`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stripe_compatible: Option<StripeCompatible>,
}

/// A payment provider with Stripe's HTTP interface. Its messages (webhooks) go to `/api/v1/payments/webhooks/stripe`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StripeCompatible {
    /// Address of the provider, for example `https://api.stripe.com`. Without TLS only in profile Development.
    #[schemars(length(min = 8, max = 512), regex(pattern = rules::HTTP_ADDRESS))]
    pub base_url: String,
    /// Secret with the key `api-key`, and `webhook-secret` with the signing secrets of the webhook endpoint, one a line. Its
    /// annotation lists `payments=<host>:<port>`, or `payments` for any address.
    pub secret_ref: SecretRef,
    /// Where the payer's bank sends a payer back to after an authentication. Without it, only payments that need none and
    /// those of clients with the provider's own scripts succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2_048), regex(pattern = "^https?://"))]
    pub return_url: Option<String>,
}

/// A payment provider.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum PaymentProvider {
    /// A simulator that moves no money. Only in profile Development.
    Simulator,
    /// A provider with Stripe's HTTP interface.
    StripeCompatible,
    /// No provider: requests to pay are answered with 503.
    None,
}

/// Limits of orders that are not paid yet: they hold stock.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Orders {
    /// Time after its creation in which an order can be paid, in seconds; then it expires. Default: 900.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 85_500))]
    pub payment_window_seconds: Option<i32>,
    /// Unpaid orders that a user may have. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub unpaid_orders_max: Option<i32>,
    /// Units in all unpaid orders of a user. Default: 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub unpaid_units_max: Option<i32>,
}

/// Languages of the catalog.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Languages {
    /// The language in which the own names and descriptions of products are written, as a BCP 47 tag like `en` or `de-AT`. A
    /// client that prefers another one gets the product's translation, if there is one. It does not translate anything: change
    /// it together with the names.
    #[serde(default = "languages_default")]
    #[schemars(
        length(min = 2, max = agora_vocab::LANGUAGE_TAG_CHARACTERS_MAX),
        regex(pattern = agora_vocab::LANGUAGE_TAG_PATTERN)
    )]
    pub default: String,
}

fn languages_default() -> String {
    "en".to_owned()
}

impl Default for Languages {
    fn default() -> Self {
        Self { default: languages_default() }
    }
}

/// How products are recommended to users.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recommendations {
    /// Time from the end of one run that computes the recommendations of all users to the start of the next, in seconds. The
    /// recommendations of a user who orders are computed at once.
    #[serde(default = "recommendations_interval_seconds")]
    #[schemars(range(min = 10, max = 86_400))]
    pub interval_seconds: i32,
    /// Category that is recommended to users without purchases.
    #[serde(default = "recommendations_default_category")]
    #[schemars(length(min = 1, max = 100))]
    pub default_category: String,
}

fn recommendations_interval_seconds() -> i32 {
    300
}

fn recommendations_default_category() -> String {
    "Electronics".to_owned()
}

impl Default for Recommendations {
    fn default() -> Self {
        Self {
            interval_seconds: recommendations_interval_seconds(),
            default_category: recommendations_default_category(),
        }
    }
}

/// Promotions of the catalog, which start by schedule. Users who want promotions get a mail for each.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promotions {
    /// Time from the start of one promotion to the start of the next, in seconds.
    #[schemars(range(min = 60, max = 2_592_000))]
    pub interval_seconds: i32,
    /// Title of each promotion, on one line.
    #[serde(default = "promotions_title")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"^[^\x00-\x1F\x7F]*[^\x00-\x20\x7F][^\x00-\x1F\x7F]*$"))]
    pub title: String,
}

fn promotions_title() -> String {
    "Recommended this week".to_owned()
}

/// Labels, annotations and scheduling of all pods.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Labels of the pods, in addition to those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods, in addition to those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node must have to run the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// Name of the `PriorityClass` of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Annotations of the `ServiceAccounts`, for the workload identity of a cloud.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub service_account_annotations: BTreeMap<String, String>,
}

/// Network policies of the pods.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Whether the operator writes network policies: `Restricted` or `None`.
    #[serde(default)]
    pub policy: NetworkPolicyMode,
    /// Addresses outside the Marketplace that services and their migrations may connect to. Connections to other services and to DNS are always
    /// allowed as needed. If a rule names the port of PostgreSQL, Kafka or the trace collector, that port may be reached
    /// only at the addresses of such rules; without a rule it may be reached at any address. A network plugin compares the
    /// port of the pod behind a Service. The operator allows it too where it may read the Service (the chart's value
    /// `dataNamespaces`); elsewhere, add a rule with the pod's port if it differs from the port of the Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub egress: Vec<EgressRule>,
    /// Where the metrics of the pods are read from. Default: only pods in the namespace of the Marketplace may read them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,
}

/// Where the metrics of the pods are read from, in addition to the namespace of the Marketplace.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Selects the namespaces whose pods may connect to the admin port of the pods.
    pub namespace_selector: NamespaceSelector,
}

/// Selects namespaces by their labels.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Labels that a namespace must have, for example `kubernetes.io/metadata.name: monitoring`.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub match_labels: BTreeMap<String, String>,
}

/// Whether the operator writes network policies.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum NetworkPolicyMode {
    /// Deny by default; allow the connections that the services need.
    #[default]
    Restricted,
    /// The operator writes no network policies.
    None,
}

/// Addresses and ports that services may connect to.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("isCIDR(self.cidr)").message("cidr is not an address range, for example 10.20.0.0/16").field_path(".cidr"))]
#[serde(rename_all = "camelCase")]
pub struct EgressRule {
    /// Name of the rule: what the connections are for.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Address range in CIDR notation, for example `10.20.0.0/16`.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"))]
    pub cidr: String,
    /// Protocol of the ports: `TCP` or `UDP`.
    #[serde(default)]
    pub protocol: Protocol,
    /// Ports of the destination.
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 65_535)))]
    pub ports: Vec<i32>,
}

/// Protocol of a port.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum Protocol {
    /// Transmission Control Protocol.
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    /// User Datagram Protocol.
    #[serde(rename = "UDP")]
    Udp,
}

/// Disruption budgets and spreading of the pods.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disruption {
    /// Pods of a service that may be evicted at the same time. Default: 1; in profile Development the operator writes no
    /// disruption budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_unavailable: Option<i32>,
    /// Node label by which the pods of a service are spread, for example `topology.kubernetes.io/zone`.
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

/// Export of traces and metrics. Metrics can always be scraped from the admin ports.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observability {
    /// OTLP endpoint over gRPC, for example `http://collector.observability.svc:4317`. Default: neither is exported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^https?://[^/\s]+/?$"))]
    pub otlp_endpoint: Option<String>,
    /// Share of the traces that are exported, in percent. Each begins at the gateway or with the work of a service; what clients
    /// send decides nothing. Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub sampled_percent: Option<i32>,
}

/// Reference to a ConfigMap of the same namespace.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapRef {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Recovery after the restore of a backup.
#[derive(KubeSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// Raise this number by one after the restore of a backup, so that order numbers and keys issued after the backup are
    /// not issued again.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    #[x_kube(validation = Rule::new("self >= oldSelf").message("epoch cannot be lowered"))]
    pub epoch: i32,
}
