//! `spec.redis`: the Redis server for cached data. Must not depend on the controller.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SecretRef, rules};

/// The Redis server for cached data: a union of `type` and the member that `type` names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// How the server is provided. Only `External` is supported.
    #[serde(default, rename = "type")]
    pub type_: RedisType,
    /// Address and password of the server; used with type `External`.
    pub external: ExternalRedis,
}

/// How the Redis server is provided.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum RedisType {
    /// The server exists already and is not managed by the operator.
    #[default]
    External,
}

/// A Redis that the operator does not manage: a union of `type` and the member that `type` names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRedis {
    /// Topology of the Redis. Only `Standalone` is supported.
    #[serde(default, rename = "type")]
    pub type_: RedisTopology,
    /// Address of the server; used with type `Standalone`.
    pub standalone: StandaloneRedis,
    /// Secret of type `kubernetes.io/basic-auth` with the key `password`. Its annotation lists `redis=<host>:<port>`. Only in
    /// profile Development.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// Topology of a Redis.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum RedisTopology {
    /// One server without replicas.
    #[default]
    Standalone,
}

/// A Redis of one server.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StandaloneRedis {
    /// Address of the server: `host:port`.
    #[schemars(length(min = 3, max = 260), regex(pattern = rules::HOST_AND_PORT))]
    pub endpoint: String,
}
