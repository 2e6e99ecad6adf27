//! References to Secrets and TLS settings. A referenced Secret must be in the namespace of the Marketplace and have the
//! label `agoraplatform.dev/usable: "true"`, and its annotation `agoraplatform.dev/usable-for` says what for. Must not depend on
//! the controller.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reference to a Secret of the same namespace with the label `agoraplatform.dev/usable: "true"`. Its annotation
/// `agoraplatform.dev/usable-for` lists what it may be used for.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Reference to one key of a Secret of the same namespace with the label `agoraplatform.dev/usable: "true"` and the annotation
/// `agoraplatform.dev/usable-for: env`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret in the namespace of the Marketplace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// TLS settings of a connection.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[x_kube(validation = Rule::new("self.mode == 'VerifyFull' || !has(self.caSecretRef)")
    .message("caSecretRef may be set only with mode VerifyFull"))]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// TLS mode: `Disable` or `VerifyFull`.
    pub mode: TlsMode,
    /// Secret with the CA certificates under key `ca.crt`. Its annotation lists `tls`. Default: the root certificates of the
    /// system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
}

/// TLS mode of a connection.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum TlsMode {
    /// The connection is not encrypted. Only in profile Development.
    Disable,
    /// The connection is encrypted; the certificate and the host name are verified.
    VerifyFull,
}
