//! `spec.exposure`: how clients outside the cluster reach the gateway. Must not depend on the controller.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// How clients outside the cluster reach the gateway.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("self.type == 'Ingress' || !has(self.ingress)")
        .message("ingress may be set only with type Ingress"),
    validation = Rule::new("self.type != 'Ingress' || (has(self.hostnames) && self.hostnames.size() > 0)")
        .message("hostnames is required with type Ingress")
)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// The kind of route to the gateway: `Ingress` or `None`.
    #[serde(default, rename = "type")]
    pub type_: ExposureType,
    /// Host names of the shop. Required with type `Ingress`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hostnames: Vec<String>,
    /// Options of the Ingress; used with type `Ingress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressOptions>,
    /// Where TLS terminates. Default: nowhere, the shop is served over plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ExposureTls>,
    /// Origins that CORS allows to call the API, for example `https://shop.example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 253), regex(pattern = agora_topology::CORS_ORIGIN_PATTERN))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub cors_origins: Vec<String>,
    /// Beginning of the addresses of the shop's files, such as a content delivery network: `https://cdn.example.com/shop`. A
    /// product with the picture `/chairs/oak.png` is shown with it in front. Default: paths belong to the shop's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 512), regex(pattern = rules::HTTP_ADDRESS))]
    pub asset_base_url: Option<String>,
    /// Whether the gateway serves the compatibility routes. Default: `Enabled` in profile Development, `Disabled` in other
    /// profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy_aliases: Option<LegacyAliases>,
    /// The ConfigMap with the documents that the GraphQL API executes, by their SHA-256 in hexadecimal. Default: it executes any
    /// document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persisted_documents: Option<PersistedDocuments>,
    /// Limits of requests, shared by all replicas of the gateway. They take the place of the defaults of the profile for the
    /// same class and key. A change is taken over without a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into(), "key".into()]))]
    pub rate_limits: Vec<RateLimit>,
    /// How many proxies in front of the gateway add the address that they see to the header `X-Forwarded-For`. Limits by address
    /// count the address that the first of them saw. Default 0: that of the connection, unless it is private.
    #[serde(default)]
    #[schemars(range(min = 0, max = agora_topology::TRUSTED_PROXIES_MAX))]
    pub trusted_proxies: i32,
}

/// A ConfigMap in the namespace of the Marketplace, with a JSON object under the key `documents.json`. Pods that start need it;
/// running ones read a change within two minutes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersistedDocuments {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The kind of route to the gateway.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ExposureType {
    /// An Ingress that routes every host name to the gateway.
    Ingress,
    /// No route: the gateway has only its Service.
    #[default]
    None,
}

/// Options of the Ingress.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IngressOptions {
    /// Ingress class. Default: the default class of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Annotations of the Ingress, for the Ingress controller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

/// Where TLS terminates.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("(self.type == 'Secret') == has(self.secret)")
    .message("member secret is required with type Secret and may not be set with another type"))]
#[serde(rename_all = "camelCase")]
pub struct ExposureTls {
    /// Where the certificate is: in a `Secret`, or `External` to the cluster.
    #[serde(rename = "type")]
    pub type_: ExposureTlsType,
    /// The Secret with the certificate; used with type `Secret`. A renewed certificate is taken over without a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<CertificateSecret>,
    /// Tells browsers to use nothing but TLS for the shop's host from now on (HTTP Strict Transport Security). They keep to it
    /// when TLS is turned off later. Default: they are not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
}

/// For how long, and for which hosts, browsers use nothing but TLS.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hsts {
    /// Time since a browser's last visit, in seconds. 0 makes browsers forget what they were told.
    #[serde(default = "hsts_max_age_seconds")]
    #[schemars(range(min = 0, max = 63_072_000))]
    pub max_age_seconds: i32,
    /// Whether it is for the subdomains of the shop's host too, all of which then need TLS.
    #[serde(default)]
    pub subdomains: HstsSubdomains,
}

fn hsts_max_age_seconds() -> i32 {
    31_536_000
}

/// Whether subdomains are included.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum HstsSubdomains {
    /// Every subdomain is included.
    Included,
    /// Only the host itself.
    #[default]
    Excluded,
}

/// Where the certificate is.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ExposureTlsType {
    /// In a Secret of type `kubernetes.io/tls`. With exposure type `Ingress` the Ingress terminates TLS, with type `None` the
    /// gateway does, at port 443 of its Service; its plain port then only sends browsers there.
    Secret,
    /// Outside the cluster: a proxy in front of it terminates TLS.
    External,
}

/// A Secret of type `kubernetes.io/tls` in the namespace of the Marketplace, labelled `agoraplatform.dev/usable: "true"`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Whether the gateway serves the compatibility routes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum LegacyAliases {
    /// The compatibility routes are served.
    Enabled,
    /// The compatibility routes answer 404.
    Disabled,
}

/// How often one client may use the routes of a class. Beyond, the gateway answers 429 with `Retry-After`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// The class of routes.
    pub name: RateLimitClass,
    /// What a client is counted by: its `Address`, or its account (`User`).
    pub key: RateLimitKey,
    /// Requests a minute.
    #[schemars(range(min = 1, max = agora_topology::RATE_LIMIT_PER_MINUTE_MAX))]
    pub requests_per_minute: i32,
    /// Requests at once. Default: a tenth of those of a minute, at least 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = agora_topology::RATE_LIMIT_BURST_MAX))]
    pub burst: Option<i32>,
}

/// A class of routes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RateLimitClass {
    /// Products, search and recommendations.
    Browsing,
    /// The work of administrators.
    Admin,
    /// Profile, addresses, notifications and past orders.
    Account,
    /// Registration, login and passwords.
    Credentials,
    /// Carts.
    Cart,
    /// Orders and payments that are being made.
    Checkout,
}

/// What a client is counted by.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum RateLimitKey {
    /// The address; of IPv6 the network of 64 bits.
    Address,
    /// The account of the access token.
    User,
}
