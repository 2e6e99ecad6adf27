//! The broker: a producer that awaits acknowledgement, a consumer that commits what it is told to.
//!
//! Knows bytes, topics' names and offsets; must not know what a fact means or whether it was seen before.

mod admin;
mod config;
mod consumer;
mod producer;
mod rotation;
mod trouble;

pub use admin::ensure_topics;
pub use config::Config;
pub use consumer::{Consumer, Incoming, Partition};
pub use producer::{Outgoing, Producer};

/// Why the broker did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka does not accept the settings.
    #[error("setting up a Kafka client")]
    Client(#[source] rdkafka::error::KafkaError),
    /// Part of a batch was not acknowledged; any part of it may have been written.
    #[error("sending to Kafka")]
    Send(#[source] rdkafka::error::KafkaError),
    /// The client was dropped while messages were under way.
    #[error("the Kafka client ended before the broker acknowledged")]
    Cancelled,
    /// The broker did not give a message.
    #[error("receiving from Kafka")]
    Receive(#[source] rdkafka::error::KafkaError),
    /// Committing, pausing or resuming failed.
    #[error("managing the partitions of a Kafka consumer")]
    Partition(#[source] rdkafka::error::KafkaError),
    /// The broker refused to make a topic.
    #[error("making a Kafka topic")]
    Topic(#[source] rdkafka::error::KafkaError),
}
