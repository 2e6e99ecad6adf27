//! The envelope around every event, and the letter that wraps one which could not be handled.

use std::collections::BTreeMap;

use agora_vocab::{NotificationId, UserId};
use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Event;

/// One event on its way: `{id, type, version, time, key, seq, epoch, trace, correlationId, causationId, data}`.
///
/// Unknown fields are ignored, so that a newer release may add one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: Box<RawValue>,
}

impl Envelope {
    /// The event as `E`; `None` for a type that this build does not know, which a consumer skips. An error also for an event
    /// whose `data` has another shape than this build's, by its version, or that has no place among its aggregate's.
    pub fn event<E: Event>(&self) -> Result<Option<E>, serde_json::Error> {
        if E::KINDS.contains(&self.kind.as_str()) {
            if self.version != E::VERSION {
                let (found, known) = (self.version, E::VERSION);
                return Err(serde_json::Error::custom(format!("version {found} of an event that is known in {known}")));
            }
            if self.seq < 1 {
                return Err(serde_json::Error::custom("an event without a sequence number"));
            }
        }
        E::from_parts(&self.kind, &self.data)
    }

    /// `type` and `data` of an event, as they stand in an envelope.
    pub fn parts<E: Event>(event: &E) -> Result<(&'static str, Box<RawValue>), serde_json::Error> {
        Ok((event.kind(), event.data()?))
    }
}

/// What `dead-letter-queue` holds: the message as it came, and why it was put aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The message's bytes in base64: it may be anything, JSON or not. Absent if it is larger than 256 KiB: the row of
    /// `dead_letter` in the consumer's database holds it, found by consumer, topic, partition and offset of `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_message: Option<String>,
    /// Where it came from, and why it is here.
    pub metadata: DeadLetterMetadata,
}

/// Where a dead letter came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// The message's headers by name, each value as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

crate::events! {
    /// Events of `dead-letter-queue`.
    DeadLetterEvent on crate::topics::DEAD_LETTER;
    /// A message was put aside.
    "message.dead" => Dead(DeadLetter),
    /// A mail was given up.
    "mail.dead" => DeadMail(DeadMail),
}

/// A mail that was given up after its last attempt. Without its address and text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadMail {
    /// The notification that it carries.
    pub notification_id: NotificationId,
    pub user_id: UserId,
    /// The event, promotion or request that it was written for.
    pub source_id: Uuid,
    /// How often it was tried.
    pub attempts: i32,
    /// Why the last attempt failed.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::OrderEvent;

    fn envelope(kind: &str, version: u16, seq: i64) -> Envelope {
        let text = format!(
            r#"{{"id":"00000000-0000-0000-0000-000000000001","type":"{kind}","version":{version},
                "time":"2026-01-01T00:00:00Z","key":"k","seq":{seq},"epoch":0,"data":{{}}}}"#
        );
        serde_json::from_str(&text).expect("an envelope")
    }

    #[test]
    fn an_event_of_another_version_or_without_a_sequence_number_is_not_read_and_an_unknown_type_is_skipped() {
        let reason = |kind: &str, version, seq| {
            envelope(kind, version, seq).event::<OrderEvent>().expect_err("not to be read").to_string()
        };
        assert!(reason("order.paid", 2, 1).starts_with("version 2 of an event that is known in 1"));
        assert!(reason("order.paid", 0, 1).starts_with("version 0"));
        assert!(reason("order.paid", 1, 0).starts_with("an event without a sequence number"));
        assert!(reason("order.paid", 1, 1).starts_with("missing field"));
        assert_eq!(envelope("order.teleported", 2, 0).event::<OrderEvent>().expect("skipped"), None);
    }
}
