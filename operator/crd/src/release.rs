//! `spec.release`: the container image of all services. Must not depend on the controller.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretRef;

/// The release that all services run: image `<registry>/agora:<version>`, pinned by `digest` if it is set.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Version of the release; the tag of the image.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"))]
    pub version: String,
    /// Registry and path of the image, without the image name.
    #[serde(default = "registry")]
    #[schemars(length(min = 1, max = 253))]
    pub registry: String,
    /// Digest of the image: `sha256:…`. It takes precedence over the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// When the kubelet pulls the image: `Always`, `IfNotPresent` or `Never`.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,
    /// Secrets of type `kubernetes.io/dockerconfigjson` with the login at the registry.
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
    /// At every start of a container.
    Always,
    /// When the image is not present on the node.
    #[default]
    IfNotPresent,
    /// The kubelet never pulls: the image must be present on the node.
    Never,
}
