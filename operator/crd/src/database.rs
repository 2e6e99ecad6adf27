//! `spec.database`: the PostgreSQL server that holds the databases of all services. Must not depend on the controller.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DeletionPolicy, SecretRef, Tls, rules};

/// The PostgreSQL server that holds the databases of all services: a union of `type` and the member that `type` names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// How the server is provided. Only `External` is supported.
    #[serde(default, rename = "type")]
    pub type_: DatabaseType,
    /// Address and admin login of the server; used with type `External`.
    pub external: ExternalDatabase,
    /// Connections that the operator divides among the connection pools of the pods. Default, and at most: `max_connections` of the
    /// server, less what older Marketplaces on it reserve.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 100_000))]
    pub max_connections: Option<i32>,
    /// What happens to the databases when the Marketplace is deleted: `Retain` or `Delete`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// How the database server is provided.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum DatabaseType {
    /// The server exists already and is not managed by the operator.
    #[default]
    External,
}

/// A PostgreSQL server that the operator does not manage. Version 15 or later.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// Host name, IPv4 address, or IPv6 address without brackets.
    #[schemars(length(min = 1, max = 253), regex(pattern = rules::HOST))]
    pub host: String,
    /// TCP port of the server.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Host name or address of a read replica, a physical standby of the server, at the same port. Reads that may lag behind are
    /// sent there while it follows closely: searches. Default: the server itself answers them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = rules::HOST))]
    pub read_host: Option<String>,
    /// Secret of type `kubernetes.io/basic-auth` with the login that creates databases and roles. The login needs CREATEDB
    /// and CREATEROLE, but not SUPERUSER. Its annotation lists `database=<host>:<port>`.
    pub admin_secret_ref: SecretRef,
    /// TLS of the connections. Default: mode `Disable` in profile Development, `VerifyFull` in other profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

fn port() -> i32 {
    5432
}
