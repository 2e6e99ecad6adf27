//! How shoppers reach the gateway.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How shoppers reach the gateway.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("self.type == 'Ingress' || !has(self.ingress)")
        .message("ingress belongs to type Ingress"),
    validation = Rule::new("self.type != 'Ingress' || (has(self.hostnames) && self.hostnames.size() > 0)")
        .message("type Ingress needs hostnames")
)]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// The kind of route.
    #[serde(default, rename = "type")]
    pub type_: ExposureType,
    /// Host names of the shop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hostnames: Vec<String>,
    /// Of type Ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressOptions>,
    /// Where TLS ends. Default: nowhere in the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ExposureTls>,
    /// Origins whose scripts may call the API: `https://shop.example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = r"^https?://[^/,\s]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub cors_origins: Vec<String>,
    /// Routes of the older documents. Default: Enabled in profile Development, else Disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy_aliases: Option<LegacyAliases>,
}

/// The kind of route to the gateway.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ExposureType {
    /// An Ingress.
    Ingress,
    /// None: the Service of the gateway is all there is.
    #[default]
    None,
}

/// The Ingress.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IngressOptions {
    /// Which controller serves it. Default: the cluster's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Annotations for the controller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

/// Where TLS ends.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("(self.type == 'Secret') == has(self.secret)")
    .message("type Secret takes the member secret, and no other does"))]
#[serde(rename_all = "camelCase")]
pub struct ExposureTls {
    /// Who holds the certificate.
    #[serde(rename = "type")]
    pub type_: ExposureTlsType,
    /// Of type Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<CertificateSecret>,
}

/// Who holds the certificate.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ExposureTlsType {
    /// A Secret of type `kubernetes.io/tls`.
    Secret,
    /// Something in front of the cluster.
    External,
}

/// A Secret of type `kubernetes.io/tls`, labelled `agoraplatform.dev/usable: "true"`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSecret {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Whether the routes of the older documents are served.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum LegacyAliases {
    /// They are.
    Enabled,
    /// They are not.
    Disabled,
}
