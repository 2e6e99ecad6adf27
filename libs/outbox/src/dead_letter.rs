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
/// A larger message is not copied into the event, which a topic of the usual size would not take: the row holds it.
const COPIED_BYTES_MAX: usize = 256 * 1024;
/// The reason of a dead letter whose own reason, envelope or event could not be stored.
const UNSTORABLE: &str = "could not be handled, for a reason that cannot be stored";

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

/// A reason as it can be stored and read: without control characters, of limited length.
pub(crate) fn printable(reason: &str) -> String {
    let shown = |char: char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char };
    reason.chars().take(REASON_CHARS_MAX).map(shown).collect()
}

/// Stores a dead letter whatever it holds. An error means that the database is unavailable.
pub(crate) async fn store(db: &Db, ids: &dyn Ids, draft: DeadLetterDraft<'_>) -> Result<(), Error> {
    match dead_letter(db, ids, draft).await {
        Err(error) if !is_unavailable(&error) => {
            tracing::error!(error = agora_chassis::chain(&error), "storing a dead letter without its reason");
            dead_letter(db, ids, DeadLetterDraft { reason: UNSTORABLE, envelope: None, ..draft }).await
        }
        stored => stored,
    }
}

fn is_unavailable(error: &Error) -> bool {
    matches!(error, Error::Unavailable(error) if agora_postgres::unavailable(error))
}

/// Writes the row and its event in one transaction. Idempotent by consumer, topic, partition and offset.
async fn dead_letter(db: &Db, ids: &dyn Ids, draft: DeadLetterDraft<'_>) -> Result<(), Error> {
    const INSERT: &str = "insert into dead_letter (consumer, topic, partition, \"offset\", key, payload, event_id, reason, \
        attempts, first_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
        on conflict on constraint dead_letter_place do nothing";
    let DeadLetterDraft { consumer, message, envelope, reason, attempts, first_at } = draft;
    let mut tx = db.begin().await?;
    let written = sqlx::query(INSERT)
        .bind(consumer)
        .bind(message.partition.topic.name())
        .bind(message.partition.number)
        .bind(message.offset)
        .bind(message.key.as_deref())
        .bind(&message.payload)
        .bind(envelope.map(|envelope| envelope.id))
        .bind(reason)
        .bind(i32::try_from(attempts).unwrap_or(i32::MAX))
        .bind(first_at)
        .execute(&mut *tx)
        .await?;
    if written.rows_affected() == 1 {
        let event = dead_letter_event(consumer, message, reason.to_owned());
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
        original_message: (message.payload.len() <= COPIED_BYTES_MAX).then(|| BASE64_STANDARD.encode(&message.payload)),
        metadata: DeadLetterMetadata {
            consumer: consumer.to_owned(),
            original_topic: message.partition.topic.name().to_owned(),
            partition: message.partition.number,
            offset: message.offset,
            reason,
            headers: message.headers.iter().map(|(name, value)| (printable(name), header(value))).collect(),
        },
    })
}

/// The value of a header as text of limited length.
fn header(value: &[u8]) -> String {
    printable(&String::from_utf8_lossy(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_readable_and_short_whatever_it_quotes() {
        assert_eq!(printable("found `\0\n\u{7}` at 1"), "found `\u{FFFD}\u{FFFD}\u{FFFD}` at 1");
        assert_eq!(printable(&"\u{10FFFF}".repeat(5_000)).chars().count(), REASON_CHARS_MAX);
    }
}
