//! The envelope around every event, and the letter that wraps one which could not be handled.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Event;

/// One event on its way: `{id, type, version, time, key, seq, epoch, trace, correlationId, causationId, data}`.
///
/// Unknown fields are ignored, so that a newer release may add one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Unique for ever: consumers deduplicate by it.
    pub id: Uuid,
    /// The event's type, such as `order.paid`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the shape of `data`.
    pub version: u16,
    /// When it happened, by the owner's database.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// The aggregate's id, which is also the Kafka key: events of one aggregate keep their order.
    pub key: String,
    /// Sequence number among the events of this aggregate: from 1, without gaps.
    pub seq: i64,
    /// The recovery epoch of the database that it left.
    pub epoch: u32,
    /// W3C `traceparent` of the request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The order (or other business case) that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// The event or command that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The event's own JSON, shaped by `type` and `version`. It is serialised once and not parsed between the event's
    /// owner and its consumer.
    pub data: Box<RawValue>,
}

impl Envelope {
    /// The event as `E`; `None` for a type that this build does not know, which a consumer skips.
    pub fn event<E: Event>(&self) -> Result<Option<E>, serde_json::Error> {
        E::from_parts(&self.kind, &self.data)
    }

    /// `type` and `data` of an event, as they stand in an envelope.
    pub fn parts<E: Event>(event: &E) -> Result<(&'static str, Box<RawValue>), serde_json::Error> {
        Ok((event.kind(), event.data()?))
    }
}

/// What `dead-letter-queue` holds: the message as it came, and why it was put aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The message's bytes in base64: it may be anything, JSON or not.
    pub original_message: String,
    /// Where it came from, and why it is here.
    pub metadata: DeadLetterMetadata,
}

/// Where a dead letter came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterMetadata {
    /// The consumer that put it aside.
    pub consumer: String,
    /// The topic's bare name.
    pub original_topic: String,
    /// The partition that it was read from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Why it could not be handled; never a payload.
    pub reason: String,
}

crate::events! {
    /// Events of `dead-letter-queue`.
    DeadLetterEvent on crate::topics::DEAD_LETTER;
    /// A message was put aside.
    "message.dead" => Dead(DeadLetter),
}
