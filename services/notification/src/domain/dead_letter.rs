//! Messages and mails that were given up.

use agora_vocab::{NotificationId, UserId};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::kinds::names;

/// The consumer of dead letters that are mails.
pub const MAIL_CONSUMER: &str = "notification-mail";

names! {
    /// What was given up.
    DeadLetterKind of "kind" {
        /// A message that a service could not handle.
        Message = "message",
        /// A mail of this service.
        Mail = "mail",
    }
}

names! {
    /// What an admin decided.
    LetterState of "state" {
        /// Neither replayed nor discarded yet.
        Open = "open",
        Replayed = "replayed",
        Discarded = "discarded",
    }
}

/// A message or mail that was given up.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    pub id: Uuid,
    pub kind: DeadLetterKind,
    /// The consumer that gave it up.
    pub consumer: String,
    /// Where a message came from.
    pub origin: Option<Origin>,
    /// The message as it came; absent for mails, in lists, and for a message of more than 256 KiB.
    pub payload: Option<Vec<u8>>,
    pub notification: Option<NotificationId>,
    pub reason: String,
    pub state: LetterState,
    pub decided_by: Option<UserId>,
    pub decided_at: Option<OffsetDateTime>,
    pub note: Option<String>,
    pub created_at: OffsetDateTime,
}

/// Where a message came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub headers: Map<String, Value>,
}
