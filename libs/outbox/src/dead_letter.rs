//! Stores a message that cannot be handled, and appends an event for the dead letter queue.
//!
//! Contains the statement on `dead_letter`. Must not decide which messages cannot be handled.

use agora_events::{DeadLetter, DeadLetterEvent, DeadLetterMetadata, Envelope};
use agora_kafka::Incoming;
use agora_postgres::Db;
use agora_vocab::{Epoch, Ids};
use base64::{Engine, prelude::BASE64_STANDARD};
use time::OffsetDateTime;

use crate::{Error, NewEvent, emit};

/// Limits the stored reason: an error may quote the message that it failed on.
const REASON_CHARS_MAX: usize = 300;

/// A message and the reason why it is stored as a dead letter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeadLetterDraft<'a> {
    pub consumer: &'static str,
    pub message: &'a Incoming,
    pub envelope: Option<&'a Envelope>,
    pub reason: &'a str,
    pub attempts: u32,
    pub first_at: OffsetDateTime,
}

/// Writes the row and its event in one transaction. Idempotent by consumer, topic, partition and offset.
pub(crate) async fn dead_letter(db: &Db, ids: &dyn Ids, draft: DeadLetterDraft<'_>) -> Result<(), Error> {
    const INSERT: &str = "insert into dead_letter (consumer, topic, partition, \"offset\", key, payload, event_id, reason, \
        attempts, first_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
        on conflict on constraint dead_letter_place do nothing";
    let DeadLetterDraft { consumer, message, envelope, reason, attempts, first_at } = draft;
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let mut tx = db.begin().await?;
    let written = sqlx::query(INSERT)
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
        let event = dead_letter_event(consumer, message, reason);
        let new_event = NewEvent {
            event: &event,
            aggregate: ids.next(),
            seq: 1,
            correlation: envelope.and_then(|envelope| envelope.correlation_id),
            causation: envelope.map(|envelope| envelope.id),
        };
        // The event represents the message and keeps its recovery epoch.
        emit(&mut tx, ids, Epoch(envelope.map_or(0, |envelope| envelope.epoch)), new_event).await?;
    }
    Ok(tx.commit().await?)
}

fn dead_letter_event(consumer: &str, message: &Incoming, reason: String) -> DeadLetterEvent {
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
