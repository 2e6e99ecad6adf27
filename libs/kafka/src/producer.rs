//! Sends batches and awaits that the broker has them.
//!
//! Knows acknowledgement; must not know where a batch comes from.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::try_join_all;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer as _, PurgeConfig, future_producer::DeliveryFuture},
};

use crate::{Config, Error, trouble::Trouble};

/// A message that is not acknowledged in this time has failed, in milliseconds.
const MESSAGE_MS_MAX: &str = "3000";
/// How long messages are gathered into one request, in milliseconds.
const LINGER_MS: &str = "2";
/// Memory for messages under way, in KiB; a batch of the relay is far smaller.
const BUFFER_KIB_MAX: &str = "16384";

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic's bare name.
    pub topic: String,
    /// Messages of one key keep their order.
    pub key: String,
    /// The bytes.
    pub payload: Vec<u8>,
    /// W3C `traceparent`, sent as a header.
    pub trace: Option<String>,
}

/// Sends to the broker. Cheap to clone; connects at the first use.
#[derive(Clone)]
pub struct Producer(Arc<Inner>);

struct Inner {
    config: Config,
    client: Mutex<Option<FutureProducer<Trouble>>>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer for that broker.
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Inner { config: config.clone(), client: Mutex::new(None) }))
    }

    /// Sends all, in order, and returns when the broker has acknowledged each. After an error any part may have been
    /// written, and nothing more of the batch will be: it may be sent again.
    pub async fn send_all(&self, messages: &[Outgoing]) -> Result<(), Error> {
        let client = self.client()?;
        let result = send(&self.0.config, &client, messages).await;
        if result.is_err() {
            self.forget();
            client.purge(PurgeConfig::default().queue().inflight());
        }
        result
    }

    fn client(&self) -> Result<FutureProducer<Trouble>, Error> {
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
        let client: FutureProducer<Trouble> =
            settings.create_with_context(Trouble::default()).map_err(Error::Client)?;
        Ok(current.insert(client).clone())
    }

    /// A client that failed may be broken for good, or still hold messages of the failed batch.
    fn forget(&self) {
        *self.0.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

async fn send(config: &Config, client: &FutureProducer<Trouble>, messages: &[Outgoing]) -> Result<(), Error> {
    let mut deliveries = Vec::with_capacity(messages.len());
    for message in messages {
        deliveries.push(delivered(enqueue(config, client, message)?));
    }
    try_join_all(deliveries).await.map(drop)
}

fn enqueue(config: &Config, client: &FutureProducer<Trouble>, message: &Outgoing) -> Result<DeliveryFuture, Error> {
    let topic = config.name_on_broker(&message.topic);
    let mut record = FutureRecord::to(&topic).key(&message.key).payload(&message.payload);
    if let Some(trace) = &message.trace {
        record = record.headers(OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(trace) }));
    }
    client.send_result(record).map_err(|(error, _)| Error::Send(error))
}

async fn delivered(delivery: DeliveryFuture) -> Result<(), Error> {
    match delivery.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((KafkaError::MessageProduction(RDKafkaErrorCode::PurgeInflight | RDKafkaErrorCode::PurgeQueue), _)))
        | Err(_) => Err(Error::Cancelled),
        Ok(Err((error, _))) => Err(Error::Send(error)),
    }
}
