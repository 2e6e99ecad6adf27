//! A line of the archive: a message with its place in its topic.

use agora_events::Envelope;
use agora_kafka::Incoming;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::{Duration, OffsetDateTime};

/// A message of a topic as it is archived.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The topic's name without the isolation key.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// The message key; absent if it has none or it is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The envelope as it was sent; absent for a message that is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<RawValue>>,
    /// The bytes of a message that is no envelope, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Record {
    /// The record of a message, and the time that decides its hour: that of its event, or else of its sending. Both are the
    /// same whenever the message is received.
    pub(crate) fn of(incoming: &Incoming) -> (Self, OffsetDateTime) {
        let envelope: Option<Envelope> = serde_json::from_slice(&incoming.payload).ok();
        let text = std::str::from_utf8(&incoming.payload).ok();
        let event = envelope.as_ref().zip(text).and_then(|(_, text)| RawValue::from_string(text.to_owned()).ok());
        let message = event.is_none().then(|| BASE64_STANDARD.encode(&incoming.payload));
        let record = Self {
            topic: incoming.partition.topic.name().to_owned(),
            partition: incoming.partition.number,
            offset: incoming.offset,
            key: incoming.key.clone().and_then(|key| String::from_utf8(key).ok()),
            event,
            message,
        };
        let sent_at = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::milliseconds(incoming.sent_at_ms));
        (record, envelope.map_or(sent_at, |envelope| envelope.time))
    }

    /// The line of the record, with its line break at the end and nowhere else.
    pub(crate) fn line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        // Between the values of an envelope that was sent with line breaks; within a text they are escaped.
        for byte in &mut line {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        line.push(b'\n');
        Ok(line)
    }

    /// The bytes of the message as they were sent, but for line breaks between the values of an envelope; `None` if the
    /// record has been changed so that it has none.
    pub fn payload(&self) -> Option<Vec<u8>> {
        match (&self.event, &self.message) {
            (Some(event), _) => Some(event.get().as_bytes().to_vec()),
            (None, Some(message)) => BASE64_STANDARD.decode(message).ok(),
            (None, None) => None,
        }
    }

    /// The envelope; `None` for a message that is none.
    pub fn envelope(&self) -> Option<Envelope> {
        serde_json::from_str(self.event.as_ref()?.get()).ok()
    }
}

#[cfg(test)]
mod tests {
    use agora_events::topics;
    use agora_kafka::Partition;
    use time::macros::datetime;

    use super::*;

    const ENVELOPE: &str = r#"{"id":"00000000-0000-0000-0000-000000000001","type":"order.paid","version":1,"time":"2026-01-01T05:00:00Z","key":"k","seq":1,"epoch":0,"data":{"a": [1,2]},"fieldOfTomorrow":1}"#;

    fn incoming(payload: &[u8], sent_at: OffsetDateTime) -> Incoming {
        let partition = Partition { topic: topics::ORDER, number: 2 };
        let sent_at_ms = sent_at.unix_timestamp() * 1_000;
        Incoming {
            partition,
            offset: 7,
            key: Some(b"k".to_vec()),
            payload: payload.to_vec(),
            sent_at_ms,
            headers: vec![],
        }
    }

    #[test]
    fn every_message_comes_back_as_it_was_sent() {
        let sent_at = datetime!(2026-03-03 03:03 UTC);
        let pretty = ENVELOPE.replace(',', ",\n ");
        for (payload, time) in [
            (ENVELOPE.as_bytes(), datetime!(2026-01-01 05:00 UTC)),
            (pretty.as_bytes(), datetime!(2026-01-01 05:00 UTC)),
            (b"no envelope".as_slice(), sent_at),
            ([0xFF, 0, b'\n'].as_slice(), sent_at),
            (b"".as_slice(), sent_at),
        ] {
            let (record, at) = Record::of(&incoming(payload, sent_at));
            let line = record.line().unwrap();
            assert_eq!((at, line.split(|byte| *byte == b'\n').count()), (time, 2));
            let back: Record = serde_json::from_slice(&line).unwrap();
            assert_eq!((back.offset, back.key.as_deref()), (7, Some("k")));
            let value = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json);
            let payload_back = back.payload().unwrap();
            match value(payload) {
                Ok(sent) => assert_eq!(value(&payload_back).unwrap(), sent),
                Err(_) => assert_eq!(payload_back, payload),
            }
        }
    }
}
