//! The operations on the data servers, as traits. The adapters `postgres`, `kafka` and `redis` implement them; must not name
//! a Marketplace, a Kubernetes object or a client library.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use agora_vocab::Secret;
use async_trait::async_trait;

use crate::decide::servers::{AdminDatabase, Broker, DesiredDatabase, DesiredTopic, ObservedBroker, ObservedServer};

/// An error of a client library.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An error of a client library that several callers get.
pub type SharedError = Arc<dyn Error + Send + Sync>;

pub fn shared(error: impl Into<BoxError>) -> SharedError {
    error.into().into()
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection, or it broke.
    #[error("cannot reach the database server {host}:{port}")]
    Unreachable { host: String, port: u16, source: SharedError },
    /// Its certificate is of an unknown authority or for another name.
    #[error("the certificate of the database server {host}:{port} is not trusted")]
    Untrusted { host: String, port: u16, source: SharedError },
    /// Its server asks for the password in clear text, and the connection would have no TLS.
    #[error("no password was sent to the database server {host}:{port}, which asks for it in clear text without TLS")]
    ClearTextPassword { host: String, port: u16 },
    #[error("the database server rejected the login of {user}")]
    AuthenticationFailed { user: String },
    /// `owner` is the COMMENT on the database or role, or names the role that owns it.
    #[error("the database {database} belongs to {owner}")]
    IsolationConflict { database: String, owner: String },
    #[error("the role {role} exists and is not managed by this operator")]
    RoleConflict { role: String },
    #[error("the login {user} lacks the right to {action}")]
    Forbidden { user: String, action: String },
    #[error("the database server failed to {action}")]
    Failed { action: String, source: SharedError },
}

/// Databases and roles of database servers. Every operation is idempotent.
#[async_trait]
pub trait DatabaseAdmin: Send + Sync {
    /// Reads the state of the desired databases. Calls for one server and login at the same time share one session.
    async fn inspect(
        &self,
        admin: &AdminDatabase,
        databases: &[DesiredDatabase],
    ) -> Result<ObservedServer, DatabaseError>;

    /// Creates or corrects database, roles, membership, rights and COMMENT.
    async fn ensure(&self, admin: &AdminDatabase, database: &DesiredDatabase) -> Result<(), DatabaseError>;

    /// Locks the login, ends its sessions, and drops the database and both roles.
    async fn drop(&self, admin: &AdminDatabase, database: &DesiredDatabase) -> Result<(), DatabaseError>;

    /// Locks the login and ends its sessions. The database stays.
    async fn lock(&self, admin: &AdminDatabase, database: &DesiredDatabase) -> Result<(), DatabaseError>;
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum BrokerError {
    /// No connection to any of the bootstrap addresses.
    #[error("cannot reach the broker {bootstrap}")]
    Unreachable { bootstrap: String, source: SharedError },
    /// Its certificate is of an unknown authority or for another name.
    #[error("the certificate of the broker {bootstrap} is not trusted")]
    Untrusted { bootstrap: String },
    #[error("the broker rejected the login")]
    AuthenticationFailed,
    #[error("the login lacks the right for {action}")]
    Forbidden { action: String },
    /// The broker rejected the request for one topic or group. `code` is Kafka's name of the error.
    #[error("the broker rejected {action} {name}: {code}")]
    Refused { action: &'static str, name: String, code: String },
    #[error("the broker failed at {action}")]
    Failed { action: &'static str, source: SharedError },
}

/// One result for each requested topic or group.
pub type PerName = BTreeMap<String, Result<(), BrokerError>>;

/// Topics and consumer groups of brokers. Every operation is idempotent.
#[async_trait]
pub trait TopicAdmin: Send + Sync {
    /// Reads the state of the named topics, and the names of the topics that begin with `marker_prefix`. The cluster id is
    /// read if `identify` is true or a named topic is missing. Calls for one cluster and login at the same time share their
    /// requests to it.
    async fn inspect(
        &self,
        broker: &Broker,
        names: &[String],
        marker_prefix: &str,
        identify: bool,
    ) -> Result<ObservedBroker, BrokerError>;

    /// Succeeds for a topic that exists, without changing it.
    async fn create(&self, broker: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError>;

    /// Sets the settings of topics to exactly `config`; other settings are reset to the broker's defaults.
    async fn set_config(&self, broker: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError>;

    async fn add_partitions(&self, broker: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError>;

    /// Succeeds for a topic that does not exist.
    async fn delete(&self, broker: &Broker, names: &[String]) -> Result<PerName, BrokerError>;

    /// Succeeds for a group that does not exist.
    async fn delete_groups(&self, broker: &Broker, names: &[String]) -> Result<PerName, BrokerError>;
}

#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// No connection, or no answer in time. `endpoint` is `host:port`.
    #[error("cannot reach Redis at {endpoint}")]
    Unreachable { endpoint: String, source: BoxError },
    /// The password was rejected, or one is required.
    #[error("Redis at {endpoint} rejected the password")]
    AuthenticationFailed { endpoint: String },
}

#[async_trait]
pub trait RedisProbe: Send + Sync {
    /// Sends one PING; the connection is kept for the next call.
    async fn ping(&self, endpoint: &str, password: Option<&Secret>) -> Result<(), RedisError>;
}

/// An error of the request for a readiness report.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the readiness at {url}")]
pub struct ProbeError {
    pub url: String,
    pub source: BoxError,
}

/// The readiness reports of services.
#[async_trait]
pub trait ServiceProbe: Send + Sync {
    /// The dependencies that the service reports as not available, with the reasons.
    async fn degraded(&self, url: &str) -> Result<BTreeMap<String, String>, ProbeError>;
}

/// The text of an error with its source in parentheses, for condition messages.
pub fn with_source(error: &dyn Error) -> String {
    let source = error.source().map(|source| format!(" ({source})")).unwrap_or_default();
    format!("{error}{source}")
}
