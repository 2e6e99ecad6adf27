//! The data servers as plain data: addresses and logins, and databases and topics as they should be and as they are.

use std::collections::BTreeMap;

use agora_vocab::Secret;

use crate::decide::claim::Claim;
use crate::names;

const IDENTITY_DIGITS: usize = 32;

/// How the connection to a database server is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    Disable,
    /// Encrypted, and the server's certificate and name are verified.
    VerifyFull {
        /// The certificates of the authority; `None`: those of the system.
        ca_pem: Option<String>,
    },
}

/// The operator's login on a database server. It needs `createdb createrole` and is no superuser.
#[derive(Clone, Debug)]
pub struct AdminDatabase {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Secret,
    pub tls: Tls,
}

impl AdminDatabase {
    /// A hash of address, login and protection: equal for all Marketplaces that use the server in the same way.
    pub fn identity(&self) -> String {
        let Self { host, port, user, password, tls } = self;
        names::short_hash(&format!("{host:?} {port} {user:?} {:?} {tls:?}", password.expose()), IDENTITY_DIGITS)
    }
}

/// One database with its two roles.
#[derive(Clone, Debug)]
pub struct DesiredDatabase {
    pub name: String,
    /// The `nologin` role that owns the database and its tables.
    pub owner_role: String,
    /// The service's login, a member of the owner role with `role = owner` set.
    pub login: String,
    /// Sent to the server as a SCRAM verifier only.
    pub password: Secret,
    /// The owner, recorded in the COMMENTs of the database and its roles.
    pub claim: Claim,
    /// Hashes of other owners from whom the database may be taken over.
    pub accepted_owners: Vec<String>,
    /// Connections that the pods of the service may open. They are recorded in the login's COMMENT, for other Marketplaces.
    pub reserved_connections: i32,
    /// Connection limit of the login; `None`: only the server's limit applies.
    pub connection_limit: Option<i32>,
    /// What each session of the login begins with.
    pub session: SessionSettings,
}

/// Settings of the sessions of a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionSettings {
    /// Time after which the server cancels a statement; `None`: as the server says.
    pub statement_timeout_seconds: Option<i32>,
    /// Memory of a sort or hash of a statement before it uses files; `None`: as the server says.
    pub work_mem_mebibytes: Option<i32>,
}

impl SessionSettings {
    /// Name and value of each setting, as the server stores them; without a value it is as the server says.
    pub fn each(self) -> [(&'static str, Option<String>); 2] {
        let Self { statement_timeout_seconds, work_mem_mebibytes } = self;
        [
            ("statement_timeout", statement_timeout_seconds.map(|seconds| format!("{seconds}s"))),
            ("work_mem", work_mem_mebibytes.map(|mebibytes| format!("{mebibytes}MB"))),
        ]
    }
}

/// One desired database as it is on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedDatabase {
    pub exists: bool,
    /// Identity of the existing database; it differs after the database was deleted and created again.
    pub oid: i64,
    /// Whether the owner role's COMMENT says that this Marketplace's database was created.
    pub was_created: bool,
    /// Whether the roles, their attributes and settings, the membership and the rights are as desired.
    pub login_works: bool,
    /// Sessions of the login at the server.
    pub sessions: i64,
    /// The COMMENT on the database; the claim's text if it names the desired owner.
    pub owner: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedServer {
    /// `server_version_num`, for example 180000.
    pub version: u32,
    pub max_connections: i32,
    /// Connections that the logins of other Marketplaces reserve which were created before those of the desired databases.
    pub reserved_by_others: i32,
    /// Identity of the server's data, which a copy of its files and a replica share; `None` if the login may not read it.
    pub system_identifier: Option<String>,
    /// By name; one entry for each desired database.
    pub databases: BTreeMap<String, ObservedDatabase>,
}

/// Encryption of the connection to a broker, with a verified certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerTls {
    /// The certificates of the authority; `None`: those of the system.
    pub ca_pem: Option<String>,
}

/// The SASL login at a broker.
#[derive(Clone, Debug)]
pub enum BrokerAuthentication {
    None,
    Plain { user: String, password: Secret },
    ScramSha256 { user: String, password: Secret },
    ScramSha512 { user: String, password: Secret },
}

#[derive(Clone, Debug)]
pub struct Broker {
    /// `host:port` of one or more brokers.
    pub bootstrap: Vec<String>,
    /// `None`: without encryption.
    pub tls: Option<BrokerTls>,
    pub authentication: BrokerAuthentication,
}

impl Broker {
    /// A hash of addresses, login and protection: equal for all Marketplaces that use the cluster in the same way.
    pub fn identity(&self) -> String {
        let password = match &self.authentication {
            BrokerAuthentication::None => "",
            BrokerAuthentication::Plain { password, .. }
            | BrokerAuthentication::ScramSha256 { password, .. }
            | BrokerAuthentication::ScramSha512 { password, .. } => password.expose(),
        };
        names::short_hash(&format!("{self:?} {password:?}"), IDENTITY_DIGITS)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredTopic {
    /// With the isolation key.
    pub name: String,
    pub partitions: i32,
    /// Replicas of each partition.
    pub replicas: i32,
    /// The settings that differ from the broker's defaults.
    pub config: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedBroker {
    /// Kafka's cluster id; `None` if it was not requested or the broker does not disclose it.
    pub cluster_id: Option<String>,
    /// Names of the topics that mark an owner of the isolation key.
    pub markers: Vec<String>,
    /// By name; a missing topic has no entry.
    pub topics: BTreeMap<String, ObservedTopic>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedTopic {
    pub partitions: i32,
    /// The smallest number of replicas of any partition.
    pub replicas: i32,
    /// The settings that are not the broker's defaults.
    pub config: BTreeMap<String, String>,
}
