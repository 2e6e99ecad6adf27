//! What lies outside the cluster: database servers, brokers, Redis.
//!
//! The operator decides with these terms alone; the adapters (`database`, `topics`, `redis_probe`) are the only places
//! that speak the protocols. Nothing here names a Marketplace, a Kubernetes object or a client library.

use std::collections::BTreeMap;
use std::error::Error;

use agora_vocab::Secret;
use async_trait::async_trait;

use crate::decide::servers::{AdminDatabase, Broker, DatabaseWanted, ServerFacts, TopicSeen, TopicWanted};

/// The cause of a failed call, as the adapter saw it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a database server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection, or it broke.
    #[error("the database server {host}:{port} does not answer")]
    Unreachable {
        /// Host of the server.
        host: String,
        /// Its port.
        port: u16,
        /// What the driver said.
        source: BoxError,
    },
    /// Its certificate is not of a known authority, or not for this name.
    #[error("the certificate of the database server {host}:{port} is not trusted")]
    Untrusted {
        /// Host of the server.
        host: String,
        /// Its port.
        port: u16,
        /// What the driver said.
        source: BoxError,
    },
    /// The admin login was refused.
    #[error("the database server refuses the login {user}")]
    AuthenticationFailed {
        /// The login.
        user: String,
    },
    /// Somebody else claimed the database.
    #[error("the database {database} belongs to {owner}")]
    IsolationConflict {
        /// The database.
        database: String,
        /// The COMMENT on it.
        owner: String,
    },
    /// A role of that name exists and is not ours, or cannot be altered.
    #[error("the role {role} exists and is not managed here")]
    RoleConflict {
        /// The role.
        role: String,
    },
    /// The admin login lacks a right.
    #[error("the login {user} may not {action}")]
    Forbidden {
        /// The admin login.
        user: String,
        /// What it tried.
        action: String,
    },
    /// Anything else that the server answered.
    #[error("the database server failed at {action}")]
    Failed {
        /// What was tried.
        action: String,
        /// What the driver said.
        source: BoxError,
    },
}

/// Databases and logins on servers.
#[async_trait]
pub trait DatabaseAdmin: Send + Sync {
    /// What is there; one query in the steady state.
    async fn inspect(&self, admin: &AdminDatabase, wanted: &[DatabaseWanted]) -> Result<ServerFacts, DatabaseError>;

    /// Makes database, owner, login, membership and comment as wanted; harmless to repeat.
    async fn ensure(&self, admin: &AdminDatabase, wanted: &DatabaseWanted) -> Result<(), DatabaseError>;

    /// Locks the login, ends its sessions, drops the database and the roles; harmless to repeat.
    async fn drop(&self, admin: &AdminDatabase, wanted: &DatabaseWanted) -> Result<(), DatabaseError>;

    /// Locks the login and ends its sessions; the data stay.
    async fn lock(&self, admin: &AdminDatabase, wanted: &DatabaseWanted) -> Result<(), DatabaseError>;
}

/// Why a broker did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No connection to any of the bootstrap addresses.
    #[error("the broker {bootstrap} does not answer")]
    Unreachable {
        /// The addresses, by comma.
        bootstrap: String,
        /// What the client said.
        source: BoxError,
    },
    /// Its certificate is not of a known authority, or not for this name.
    #[error("the certificate of the broker {bootstrap} is not trusted")]
    Untrusted {
        /// The addresses, by comma.
        bootstrap: String,
    },
    /// The login was refused.
    #[error("the broker refuses the login")]
    AuthenticationFailed,
    /// The login lacks a right.
    #[error("the broker forbids {action}")]
    Forbidden {
        /// What was tried.
        action: String,
    },
    /// The broker refused one topic or group.
    #[error("the broker refuses {action} of {name}: {code}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// The topic or group.
        name: String,
        /// Kafka's name of the error.
        code: String,
    },
    /// Anything else.
    #[error("the broker failed at {action}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// What the client said.
        source: BoxError,
    },
}

/// A result for each name that was asked for.
pub type PerName = BTreeMap<String, Result<(), BrokerError>>;

/// Topics and consumer groups on brokers.
#[async_trait]
pub trait TopicAdmin: Send + Sync {
    /// What is there of the named topics; an absent topic has no entry. One round trip for all of them.
    async fn inspect(&self, broker: &Broker, names: &[String]) -> Result<BTreeMap<String, TopicSeen>, BrokerError>;

    /// Creates topics; one that exists is no error.
    async fn create(&self, broker: &Broker, topics: &[TopicWanted]) -> Result<PerName, BrokerError>;

    /// Sets the settings of topics to `config`, exactly.
    async fn set_config(&self, broker: &Broker, topics: &[TopicWanted]) -> Result<PerName, BrokerError>;

    /// Raises the number of partitions to that wanted.
    async fn add_partitions(&self, broker: &Broker, topics: &[TopicWanted]) -> Result<PerName, BrokerError>;

    /// Deletes topics; an absent one is no error.
    async fn delete(&self, broker: &Broker, names: &[String]) -> Result<PerName, BrokerError>;

    /// Deletes consumer groups; an absent one is no error.
    async fn delete_groups(&self, broker: &Broker, names: &[String]) -> Result<PerName, BrokerError>;
}

/// Why a Redis did not answer.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// No connection, or no answer in time.
    #[error("the Redis {endpoint} does not answer")]
    Unreachable {
        /// `host:port`.
        endpoint: String,
        /// What the client said.
        source: BoxError,
    },
    /// The password was refused, or one is needed.
    #[error("the Redis {endpoint} refuses the password")]
    AuthenticationFailed {
        /// `host:port`.
        endpoint: String,
    },
}

/// Whether a Redis is there.
#[async_trait]
pub trait RedisProbe: Send + Sync {
    /// One PING over a connection that is kept.
    async fn ping(&self, endpoint: &str, password: Option<&Secret>) -> Result<(), RedisError>;
}
