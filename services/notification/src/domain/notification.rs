//! Notifications as they are written and read.

use agora_vocab::{NotificationId, UserId};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    content::Content,
    kinds::{Kind, MailState, Priority},
};

/// Longest text that an admin may send, in characters.
pub const CONTENT_CHARS_MAX: usize = 4_000;
/// Longest subject, in characters.
pub const SUBJECT_CHARS_MAX: usize = 200;

/// A notification to store. A repetition has the same source and user, and so the same id.
#[derive(Clone, Debug, PartialEq)]
pub struct NewNotification {
    /// The event, promotion or request that it is about.
    pub source: Uuid,
    pub user: UserId,
    pub kind: Kind,
    pub priority: Priority,
    pub content: Content,
    /// What it is about, for programs.
    pub metadata: Map<String, Value>,
    /// When it happened.
    pub at: OffsetDateTime,
}

/// A stored notification as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    pub id: NotificationId,
    pub user: UserId,
    pub kind: Kind,
    pub priority: Priority,
    pub subject: String,
    pub summary: String,
    pub metadata: Map<String, Value>,
    pub read_at: Option<OffsetDateTime>,
    pub mail: MailState,
    pub mail_error: Option<String>,
    pub sent_at: Option<OffsetDateTime>,
    /// Identifies the picture in its mail.
    pub tracking: Option<Uuid>,
    pub opened_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
}

impl NewNotification {
    /// The same for each delivery of the event to the user.
    pub fn id(&self) -> NotificationId {
        notification_id(self.source, self.user)
    }

    /// Its subject, on one line and of limited length.
    pub fn subject(&self) -> String {
        one_line(&self.content.subject(), SUBJECT_CHARS_MAX)
    }
}

/// The id of the notification of a user about a source. Must never change: rows written by one build are found by another.
pub fn notification_id(source: Uuid, user: UserId) -> NotificationId {
    NotificationId::new(Uuid::new_v5(&source, user.uuid().as_bytes()))
}

/// A text without control characters, cut to a number of characters: a subject must not add a header.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let line: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(chars_max).collect();
    line.trim().to_owned()
}
