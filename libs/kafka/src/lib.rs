//! Kafka client: a producer that awaits acknowledgements, a consumer with explicit commits, and a reader without a group.
//!
//! Contains bytes, topic names and offsets. Must not depend on the meaning of an event or on deduplication.

mod admin;
mod config;
mod consumer;
mod delivery;
mod error_log;
mod lag;
mod producer;
mod reader;
mod rotation;

pub use admin::ensure_topics;
pub use config::Config;
pub use consumer::{Consumer, Incoming, Partition, Rebalanced};
pub use producer::{BatchError, Outgoing, Producer, Unacknowledged, partition_of};
pub use reader::{ReadPositions, Reader};

/// Why a Kafka operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka rejects the properties.
    #[error("setting up a Kafka client")]
    Client(#[source] rdkafka::error::KafkaError),
    /// A message was not acknowledged. It may have been written.
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
    /// The broker rejected the creation of a topic, or did not describe it.
    #[error("creating or describing a Kafka topic")]
    Topic(#[source] rdkafka::error::KafkaError),
}

/// What the broker does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// This message, however often it is sent: it is too large for its topic or against the topic's rules.
    Message,
    /// Any message of the topic, until the topic is created or the login may write to it.
    Topic,
}

impl Error {
    /// The name of the reason, one of a closed list: for the label of a metric.
    pub fn reason(&self) -> String {
        let error = match self {
            Self::Cancelled => return "Cancelled".to_owned(),
            Self::Client(error)
            | Self::Send(error)
            | Self::Receive(error)
            | Self::Partition(error)
            | Self::Topic(error) => error,
        };
        error.rdkafka_error_code().map_or_else(|| "Client".to_owned(), |code| format!("{code:?}"))
    }

    /// What the broker rejected; `None` for an error that is not about a message or its topic.
    pub fn rejection(&self) -> Option<Rejection> {
        use rdkafka::error::RDKafkaErrorCode as Code;
        let Self::Send(error) = self else { return None };
        match error.rdkafka_error_code()? {
            Code::MessageSizeTooLarge | Code::InvalidRecord | Code::InvalidTimestamp | Code::PolicyViolation => {
                Some(Rejection::Message)
            }
            Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed => Some(Rejection::Topic),
            _ => None,
        }
    }
}
