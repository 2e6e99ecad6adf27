//! `spec.archive`: where every event of every topic is kept. Must not depend on the controller.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretRef;

/// Where every event of every topic is kept, as compressed lines of JSON: a union of `type` and the member that `type` names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// What kind of store it is. Only `S3` is supported.
    #[serde(default, rename = "type")]
    pub type_: ArchiveType,
    /// Bucket and login; used with type `S3`.
    pub s3: S3Archive,
    /// Days that events are kept; older days are deleted as a whole. Default: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub retention_days: Option<i32>,
}

/// Kind of store of an archive.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ArchiveType {
    /// Amazon S3 or a store with the same interface.
    #[default]
    S3,
}

/// A bucket for the archive.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct S3Archive {
    /// Name of the bucket.
    #[schemars(length(min = 3, max = 63), regex(pattern = r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$"))]
    pub bucket: String,
    /// Folder in the bucket. Default: the isolation key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$"))]
    pub prefix: Option<String>,
    /// Address of a store other than Amazon's, for example `https://minio.data.svc:9000`. HTTP only in profile Development.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^https?://[^/\s]+$"))]
    pub endpoint: Option<String>,
    /// Region of the bucket.
    #[serde(default = "region")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9-]+$"))]
    pub region: String,
    /// Secret of type `kubernetes.io/basic-auth` with the access key: its id under `username`, the key under `password`. Its
    /// annotation `agoraplatform.dev/usable-for` lists `archive=<host>:<port>` of the endpoint, or `archive=<bucket>` without one.
    pub secret_ref: SecretRef,
}

fn region() -> String {
    "us-east-1".to_owned()
}
