//! The data servers as plain data: addresses and logins, databases and topics as they should be and as they are.

use std::collections::BTreeMap;

use agora_vocab::Secret;

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// In the clear: profile Development alone.
    Disable,
    /// Encrypted, with the server's certificate and name verified.
    VerifyFull {
        /// The authority's certificates; `None`: those of the system.
        ca_pem: Option<String>,
    },
}

/// The login of the operator on a database server; no superuser (`LOGIN CREATEDB CREATEROLE`).
#[derive(Clone, Debug)]
pub struct AdminDatabase {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Name of the login.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Protection of the connection.
    pub tls: Tls,
}

/// One database with the roles that it needs.
#[derive(Clone, Debug)]
pub struct DatabaseWanted {
    /// Name of the database.
    pub name: String,
    /// The role without login that owns the database and every table in it.
    pub owner_role: String,
    /// The login of the service, a member of the owner with `role = owner` set.
    pub login: String,
    /// The login's password; it leaves the process as a SCRAM verifier only.
    pub password: Secret,
    /// Who claims it, `namespace/name uid`: the COMMENT on the database.
    pub marketplace: String,
    /// Most connections of the login; `None`: the server's limit alone.
    pub connection_limit: Option<i32>,
}

/// What the server holds of one wanted database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseSeen {
    /// Whether the database exists.
    pub exists: bool,
    /// Whether the login's attributes, its membership and its role setting are as wanted.
    pub login_works: bool,
    /// The COMMENT: who claimed it.
    pub owner: Option<String>,
}

/// What one look at a server tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// `server_version_num`, as 180000.
    pub version: u32,
    /// `max_connections`.
    pub max_connections: i32,
    /// By database name, one for each wanted.
    pub databases: BTreeMap<String, DatabaseSeen>,
}

/// Protection of the connection to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerTls {
    /// The authority's certificates; `None`: those of the system.
    pub ca_pem: Option<String>,
}

/// How the operator and the services log in to a broker.
#[derive(Clone, Debug)]
pub enum BrokerAuthentication {
    /// No login.
    None,
    /// SASL PLAIN.
    Plain {
        /// Name of the login.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// SASL SCRAM-SHA-256.
    ScramSha256 {
        /// Name of the login.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// SASL SCRAM-SHA-512.
    ScramSha512 {
        /// Name of the login.
        user: String,
        /// Its password.
        password: Secret,
    },
}

/// A broker and the way in.
#[derive(Clone, Debug)]
pub struct Broker {
    /// `host:port`, one or more.
    pub bootstrap: Vec<String>,
    /// `None`: in the clear.
    pub tls: Option<BrokerTls>,
    /// The login.
    pub authentication: BrokerAuthentication,
}

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicWanted {
    /// Full name, with the isolation key.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of each partition.
    pub replicas: i32,
    /// Settings that differ from the broker's.
    pub config: BTreeMap<String, String>,
}

/// A topic as the broker has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicSeen {
    /// Number of partitions.
    pub partitions: i32,
    /// Fewest replicas of any partition.
    pub replicas: i32,
    /// Settings of the topic that are not the broker's defaults.
    pub config: BTreeMap<String, String>,
}
