//! The Redis of hints: losing it loses nothing.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretRef;

/// The Redis of hints: a union, `type` and the member that it names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// Who runs it.
    #[serde(default, rename = "type")]
    pub type_: RedisType,
    /// Of type External.
    pub external: ExternalRedis,
}

/// Who runs the Redis.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum RedisType {
    /// Somebody else.
    #[default]
    External,
}

/// A Redis that somebody else runs: a union, `type` and the member that it names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRedis {
    /// How many servers there are and who leads.
    #[serde(default, rename = "type")]
    pub type_: RedisTopology,
    /// Of type Standalone.
    pub standalone: StandaloneRedis,
    /// Secret of type `kubernetes.io/basic-auth` with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// How many servers a Redis has and who leads.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum RedisTopology {
    /// One server.
    #[default]
    Standalone,
}

/// One server.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StandaloneRedis {
    /// `host:port`.
    #[schemars(length(min = 3, max = 260), regex(pattern = r"^[A-Za-z0-9.-]+:[0-9]{1,5}$"))]
    pub endpoint: String,
}
