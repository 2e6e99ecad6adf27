//! Sends batches of messages and awaits their acknowledgement.
//!
//! Must not depend on where a batch comes from.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{channel::oneshot, future::try_join_all};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::BaseRecord,
};

use crate::{
    Config, Error,
    delivery::{Client, Report},
};

/// Time for a message to be acknowledged, in milliseconds.
const MESSAGE_MS_MAX: &str = "3000";
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

/// An idempotent producer. Cheap to clone; connects on first use.
#[derive(Clone)]
pub struct Producer(Arc<Inner>);

struct Inner {
    config: Config,
    client: Mutex<Option<Arc<Client>>>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Producer {
    /// Does not connect yet.
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Inner { config: config.clone(), client: Mutex::new(None) }))
    }

    /// Sends all messages in order and returns when each is acknowledged. After an error any part of the batch may have been
    /// written and no more of it will be: the caller may send it again.
    pub async fn send_all(&self, messages: &[Outgoing]) -> Result<(), Error> {
        let client = self.client()?;
        let result = send(&self.0.config, &client, messages).await;
        if result.is_err() {
            self.drop_client();
            client.purge();
        }
        result
    }

    fn client(&self) -> Result<Arc<Client>, Error> {
        let mut current = self.0.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*current {
            return Ok(client.clone());
        }
        let mut settings = self.0.config.client();
        settings
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("enable.gapless.guarantee", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", LINGER_MS)
            .set("message.timeout.ms", MESSAGE_MS_MAX)
            .set("queue.buffering.max.kbytes", BUFFER_KIB_MAX);
        let client = Arc::new(Client::new(&settings).map_err(Error::Client)?);
        Ok(current.insert(client).clone())
    }

    /// Drops the client: after a failure it may be unusable, or still hold messages of the failed batch.
    fn drop_client(&self) {
        *self.0.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

async fn send(config: &Config, client: &Client, messages: &[Outgoing]) -> Result<(), Error> {
    let mut deliveries = Vec::with_capacity(messages.len());
    for message in messages {
        deliveries.push(delivered(enqueue(config, client, message)?));
    }
    try_join_all(deliveries).await.map(drop)
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

async fn delivered(report: oneshot::Receiver<Report>) -> Result<(), Error> {
    match report.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(KafkaError::MessageProduction(RDKafkaErrorCode::PurgeInflight | RDKafkaErrorCode::PurgeQueue)))
        | Err(_) => Err(Error::Cancelled),
        Ok(Err(error)) => Err(Error::Send(error)),
    }
}
