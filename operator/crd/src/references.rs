//! How a spec names Secrets and protects connections. A named Secret lives in the Marketplace's namespace and carries
//! the label `agoraplatform.dev/usable: "true"`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Secret of the same namespace, labelled `agoraplatform.dev/usable: "true"`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// One key of a Secret of the same namespace, labelled `agoraplatform.dev/usable: "true"`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// How a connection is protected.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("self.mode == 'VerifyFull' || !has(self.caSecretRef)")
    .message("caSecretRef belongs to mode VerifyFull"))]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Default in profile Development: Disable; in any other: `VerifyFull`.
    pub mode: TlsMode,
    /// Secret with the authority's certificates under `ca.crt`. Default: the system's roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
}

/// Whether a connection is encrypted and verified.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum TlsMode {
    /// In the clear: profile Development alone.
    Disable,
    /// Encrypted, certificate and name verified.
    VerifyFull,
}
