//! Which images run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretRef;

/// The release to run: image `<registry>/agora:<version>`, by digest where one is given.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Version, the tag of the image.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"))]
    pub version: String,
    /// Registry and folder of the image.
    #[serde(default = "registry")]
    #[schemars(length(min = 1, max = 253))]
    pub registry: String,
    /// Digest of the image: `sha256:…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// When the kubelet pulls.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,
    /// Secrets of type `kubernetes.io/dockerconfigjson` for the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<SecretRef>,
}

fn registry() -> String {
    "ghcr.io/agoraplatform".to_owned()
}

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ImagePullPolicy {
    /// At every start of a pod.
    Always,
    /// When the node has none.
    #[default]
    IfNotPresent,
    /// Never.
    Never,
}
