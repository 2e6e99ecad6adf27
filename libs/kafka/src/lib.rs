//! Kafka client: a producer that awaits acknowledgements, and a consumer with explicit commits.
//!
//! Contains bytes, topic names and offsets. Must not depend on the meaning of an event or on deduplication.

mod admin;
mod config;
mod consumer;
mod delivery;
mod error_log;
mod producer;
mod rotation;

pub use admin::ensure_topics;
pub use config::Config;
pub use consumer::{Consumer, Incoming, Partition};
pub use producer::{Outgoing, Producer};

/// Why a Kafka operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka rejects the properties.
    #[error("setting up a Kafka client")]
    Client(#[source] rdkafka::error::KafkaError),
    /// A message of a batch was not acknowledged. Any part of the batch may have been written.
    #[error("sending to Kafka")]
    Send(#[source] rdkafka::error::KafkaError),
    /// The client was dropped before the acknowledgement.
    #[error("the Kafka client ended before the broker acknowledged")]
    Cancelled,
    /// Receiving a message failed.
    #[error("receiving from Kafka")]
    Receive(#[source] rdkafka::error::KafkaError),
    /// A commit, pause or resume failed.
    #[error("managing the partitions of a Kafka consumer")]
    Partition(#[source] rdkafka::error::KafkaError),
    /// The broker rejected the creation of a topic.
    #[error("creating a Kafka topic")]
    Topic(#[source] rdkafka::error::KafkaError),
}
