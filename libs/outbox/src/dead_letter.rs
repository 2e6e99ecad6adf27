//! Puts aside a message that cannot be handled, and tells of it.
//!
//! Knows `dead_letter` and its topic; must not decide what cannot be handled.

use agora_events::{DeadLetter, DeadLetterEvent, DeadLetterMetadata, Envelope};
use agora_kafka::Incoming;
use agora_postgres::Db;
use agora_vocab::{Epoch, Ids};
use base64::{Engine, prelude::BASE64_STANDARD};
use time::OffsetDateTime;

use crate::{Error, Fact, emit};

/// A reason is for reading, and an error may quote what it met.
const REASON_CHARS_MAX: usize = 300;

/// A message and why it is put aside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter<'a> {
    pub consumer: &'static str,
    pub message: &'a Incoming,
    pub envelope: Option<&'a Envelope>,
    pub reason: &'a str,
    pub attempts: u32,
    pub first_at: OffsetDateTime,
}

/// Writes the row and the fact in one transaction; a message that was put aside before changes nothing.
pub(crate) async fn bury(db: &Db, ids: &dyn Ids, letter: Letter<'_>) -> Result<(), Error> {
    const BURY: &str = "insert into dead_letter (consumer, topic, partition, \"offset\", key, payload, event_id, reason, \
        attempts, first_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
        on conflict on constraint dead_letter_place do nothing";
    let Letter { consumer, message, envelope, reason, attempts, first_at } = letter;
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let mut tx = db.begin().await?;
    let written = sqlx::query(BURY)
        .bind(consumer)
        .bind(message.partition.topic.name())
        .bind(message.partition.number)
        .bind(message.offset)
        .bind(message.key.as_deref())
        .bind(&message.payload)
        .bind(envelope.map(|envelope| envelope.id))
        .bind(&reason)
        .bind(i32::try_from(attempts).unwrap_or(i32::MAX))
        .bind(first_at)
        .execute(&mut *tx)
        .await?;
    if written.rows_affected() == 1 {
        let event = told(consumer, message, reason);
        let fact = Fact {
            event: &event,
            aggregate: ids.next(),
            seq: 1,
            correlation: envelope.and_then(|envelope| envelope.correlation_id),
            causation: envelope.map(|envelope| envelope.id),
        };
        // The fact stands for a message: it belongs to the epoch that this came from.
        emit(&mut tx, ids, Epoch(envelope.map_or(0, |envelope| envelope.epoch)), fact).await?;
    }
    Ok(tx.commit().await?)
}

fn told(consumer: &str, message: &Incoming, reason: String) -> DeadLetterEvent {
    DeadLetterEvent::Dead(DeadLetter {
        original_message: BASE64_STANDARD.encode(&message.payload),
        metadata: DeadLetterMetadata {
            consumer: consumer.to_owned(),
            original_topic: message.partition.topic.name().to_owned(),
            partition: message.partition.number,
            offset: message.offset,
            reason,
        },
    })
}
