//! Sends messages to the broker again, as they came.

use agora_events::topics;
use agora_kafka::{Outgoing, Producer};
use async_trait::async_trait;

use crate::ports::{Broker, BrokerError, Resent};

/// The broker of the shop.
#[derive(Clone, Debug)]
pub struct KafkaBroker(pub Producer);

#[async_trait]
impl Broker for KafkaBroker {
    async fn resend(&self, message: Resent) -> Result<(), BrokerError> {
        let Resent { topic, key, payload, trace } = message;
        let known = topics::named(&topic).ok_or_else(|| BrokerError(format!("no topic {topic} is known").into()))?;
        let message = Outgoing { topic: known.name().to_owned(), key, payload, trace };
        self.0.send_one(&message).await.map_err(|error| BrokerError(error.into()))
    }
}
