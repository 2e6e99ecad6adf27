//! Sends batches of messages and awaits their acknowledgement.
//!
//! Must not depend on where a batch comes from.

use std::sync::{Arc, Mutex, PoisonError};

use crc::{CRC_32_ISO_HDLC, Crc};
use futures::{channel::oneshot, future::join_all};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::BaseRecord,
};

use crate::{
    Config, Error,
    delivery::{Client, Report},
};

/// Time for a message of a batch to be acknowledged, in milliseconds.
const MESSAGE_MS_MAX: &str = "3000";
/// Time for a message that is sent by itself to be acknowledged, in milliseconds.
const SINGLE_MESSAGE_MS_MAX: &str = "800";
/// Time after which a topic that the broker does not know is an error, in milliseconds.
const UNKNOWN_TOPIC_MS: &str = "500";
/// Time to collect messages into one request, in milliseconds.
const LINGER_MS: &str = "2";
/// Memory for unacknowledged messages, in KiB; a batch of the outbox relay is far smaller.
const BUFFER_KIB_MAX: &str = "16384";

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic's name without the isolation key.
    pub topic: String,
    /// The message key: selects the partition, so that messages of one key stay in order.
    pub key: String,
    /// The message value.
    pub payload: Vec<u8>,
    /// W3C `traceparent`, sent as a header.
    pub trace: Option<String>,
}

/// Which messages of a batch were not acknowledged. They may have been written all the same.
#[derive(Debug, thiserror::Error)]
#[error("{} messages of a batch were not acknowledged", failed.len())]
pub struct BatchError {
    /// How many were acknowledged.
    pub acknowledged: usize,
    /// Those that were not; never empty. One rejected message fails all that follow it.
    pub failed: Vec<Unacknowledged>,
}

/// A message of a batch that was not acknowledged.
#[derive(Debug)]
pub struct Unacknowledged {
    /// Its position in the batch.
    pub at: usize,
    /// The partition that it was for; `None` if that was not determined.
    pub partition: Option<i32>,
    pub error: Error,
}

/// The partition of a message key in a topic of `count` partitions: that of librdkafka's default partitioner. 0 for a topic
/// without partitions.
pub fn partition_of(key: &str, count: i32) -> i32 {
    const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    let Ok(count) = u32::try_from(count.max(1)) else { return 0 };
    i32::try_from(CRC.checksum(key.as_bytes()) % count).unwrap_or(0)
}

/// An idempotent producer. Cheap to clone; connects on first use.
#[derive(Clone)]
pub struct Producer(Arc<Inner>);

struct Inner {
    config: Config,
    /// For batches: the first failure ends the client, so that no later message of a key overtakes an earlier one.
    batches: Mutex<Option<Arc<Client>>>,
    /// For messages that are sent by themselves.
    singles: Mutex<Option<Arc<Client>>>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Producer {
    /// Does not connect yet.
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Inner { config: config.clone(), batches: Mutex::default(), singles: Mutex::default() }))
    }

    /// Sends all messages in order and returns when each is acknowledged. After an error any part of the batch may have been
    /// written and no more of it will be: the caller may send it again.
    pub async fn send_all(&self, messages: &[Outgoing]) -> Result<(), BatchError> {
        let whole =
            |error| BatchError { acknowledged: 0, failed: vec![Unacknowledged { at: 0, partition: None, error }] };
        let client = self.client(&self.0.batches, MESSAGE_MS_MAX, "true").map_err(whole)?;
        let result = send(&self.0.config, &client, messages).await;
        if result.is_err() {
            drop_client(&self.0.batches);
            client.purge();
        }
        result
    }

    /// Sends one message and returns when it is acknowledged, within 0.8 s. After an error it may have been written.
    ///
    /// The caller sends the messages of a key one after the other. A rejected one does not disturb those that follow.
    pub async fn send_one(&self, message: &Outgoing) -> Result<(), Error> {
        let client = self.client(&self.0.singles, SINGLE_MESSAGE_MS_MAX, "false")?;
        let sent = match enqueue(&self.0.config, &client, message) {
            Ok(report) => delivered(report).await.map_err(|(error, _)| error),
            Err(error) => Err(error),
        };
        if sent.as_ref().is_err_and(|error| error.rejection().is_none()) {
            drop_client(&self.0.singles);
            client.purge();
        }
        sent
    }

    /// The number of partitions of a topic, within about a second.
    pub async fn partition_count(&self, topic: &str) -> Result<i32, Error> {
        let client = self.client(&self.0.singles, SINGLE_MESSAGE_MS_MAX, "false")?;
        let topic = self.0.config.name_on_broker(topic);
        let count = tokio::task::spawn_blocking(move || client.partition_count(&topic)).await;
        count.unwrap_or(Err(KafkaError::Canceled)).map_err(Error::Topic)
    }

    fn client(&self, kept: &Mutex<Option<Arc<Client>>>, message_ms: &str, gapless: &str) -> Result<Arc<Client>, Error> {
        let mut current = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*current {
            return Ok(client.clone());
        }
        let mut settings = self.0.config.client();
        settings
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", gapless)
            .set("compression.type", "lz4")
            .set("linger.ms", LINGER_MS)
            .set("message.timeout.ms", message_ms)
            .set("topic.metadata.propagation.max.ms", UNKNOWN_TOPIC_MS)
            .set("queue.buffering.max.kbytes", BUFFER_KIB_MAX);
        let client = Arc::new(Client::new(&settings).map_err(Error::Client)?);
        Ok(current.insert(client).clone())
    }
}

/// Drops a client: after a failure it may be unusable, or still hold messages of the failed batch.
fn drop_client(kept: &Mutex<Option<Arc<Client>>>) {
    *kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

async fn send(config: &Config, client: &Client, messages: &[Outgoing]) -> Result<(), BatchError> {
    let mut deliveries = Vec::with_capacity(messages.len());
    let mut refused = None;
    for message in messages {
        match enqueue(config, client, message) {
            Ok(report) => deliveries.push(delivered(report)),
            Err(error) => {
                refused = Some(Unacknowledged { at: deliveries.len(), partition: None, error });
                break;
            }
        }
    }
    let reports = join_all(deliveries).await;
    let acknowledged = reports.iter().filter(|report| report.is_ok()).count();
    let failed = (0..).zip(reports).filter_map(|(at, report)| {
        let (error, partition) = report.err()?;
        Some(Unacknowledged { at, partition, error })
    });
    let failed: Vec<_> = failed.chain(refused).collect();
    if failed.is_empty() { Ok(()) } else { Err(BatchError { acknowledged, failed }) }
}

fn enqueue(config: &Config, client: &Client, message: &Outgoing) -> Result<oneshot::Receiver<Report>, Error> {
    let topic = config.name_on_broker(&message.topic);
    let (reported, report) = oneshot::channel();
    let mut record = BaseRecord::with_opaque_to(&topic, Box::new(reported))
        .key(message.key.as_str())
        .payload(message.payload.as_slice());
    if let Some(trace) = &message.trace {
        record = record.headers(OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(trace) }));
    }
    client.enqueue(record).map_err(Error::Send)?;
    Ok(report)
}

async fn delivered(report: oneshot::Receiver<Report>) -> Result<(), (Error, Option<i32>)> {
    match report.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err((
            KafkaError::MessageProduction(RDKafkaErrorCode::PurgeInflight | RDKafkaErrorCode::PurgeQueue),
            partition,
        ))) => Err((Error::Cancelled, partition)),
        Ok(Err((error, partition))) => Err((Error::Send(error), partition)),
        Err(_) => Err((Error::Cancelled, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_partition_of_the_crc_of_its_bytes() {
        // The check value of this CRC: 0xCBF43926.
        assert_eq!(partition_of("123456789", i32::MAX), 0xCBF4_3926_u32.rem_euclid(0x7FFF_FFFF).cast_signed());
        assert_eq!(partition_of("123456789", 12), (0xCBF4_3926_u32 % 12).cast_signed());
        assert_eq!((partition_of("k", 1), partition_of("k", 0)), (0, 0));
    }
}
