//! `spec.exposure`: how clients outside the cluster reach the gateway. Must not depend on the controller.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Where TLS terminates. Default: the Ingress serves plain HTTP.
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
    /// Whether the gateway serves the compatibility routes. Default: `Enabled` in profile Development, `Disabled` in other
    /// profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy_aliases: Option<LegacyAliases>,
    /// The ConfigMap with the documents that the GraphQL API executes, by their SHA-256 in hexadecimal. Default: it executes any
    /// document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persisted_documents: Option<PersistedDocuments>,
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
    /// The Secret with the certificate; used with type `Secret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<CertificateSecret>,
}

/// Where the certificate is.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ExposureTlsType {
    /// In a Secret of type `kubernetes.io/tls`: the Ingress terminates TLS.
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
