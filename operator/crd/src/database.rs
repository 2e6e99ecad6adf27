//! The PostgreSQL server of all databases.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DeletionPolicy, SecretRef, Tls};

/// The PostgreSQL server of all databases: a union, `type` and the member that it names.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// Who runs the server.
    #[serde(default, rename = "type")]
    pub type_: DatabaseType,
    /// Of type External.
    pub external: ExternalDatabase,
    /// Connections that may be divided into pools. Default: what the server says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 100_000))]
    pub max_connections: Option<i32>,
    /// What happens to databases when the Marketplace is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// Who runs the database server.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum DatabaseType {
    /// Somebody else.
    #[default]
    External,
}

/// A server that somebody else runs.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDatabase {
    /// Host name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$"))]
    pub host: String,
    /// Port.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Secret of type `kubernetes.io/basic-auth` with a login that has CREATEDB and CREATEROLE and need not be a
    /// superuser.
    pub admin_secret_ref: SecretRef,
    /// Protection of the connections. Default: Disable in profile Development, else `VerifyFull`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

fn port() -> i32 {
    5432
}
