//! Rows and their conversions.

use std::time::Duration;

use agora_chassis::BoxError;
use agora_vocab::{NotificationId, UserId};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{
        Attempt, DeadLetter, DeadLetterKind, Kind, LetterState, MailState, NewNotification, Notification, Origin,
        Preferences, Priority, Recipient,
    },
    ports::{DueMail, StoreError},
};

/// A notification to store: the composite type `new_notification`.
#[derive(sqlx::Encode)]
pub(super) struct NewRow {
    id: Uuid,
    source_id: Uuid,
    user_id: Uuid,
    kind: &'static str,
    priority: &'static str,
    subject: String,
    summary: String,
    content: String,
    metadata: String,
    tracking_id: Option<Uuid>,
    created_at: OffsetDateTime,
}

agora_postgres::composite!(NewRow, "new_notification");

impl NewRow {
    pub fn of(new: &NewNotification, tracking_id: Option<Uuid>) -> Result<Self, StoreError> {
        Ok(Self {
            id: new.id().uuid(),
            source_id: new.source,
            user_id: new.user.uuid(),
            kind: new.kind.as_str(),
            priority: new.priority.as_str(),
            subject: new.subject(),
            summary: new.content.summary(),
            content: serde_json::to_string(&new.content).map_err(broken)?,
            metadata: serde_json::to_string(&new.metadata).map_err(broken)?,
            tracking_id,
            created_at: new.at,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct NotificationRow {
    id: Uuid,
    user_id: Uuid,
    kind: String,
    priority: String,
    subject: String,
    summary: String,
    metadata: String,
    read_at: Option<OffsetDateTime>,
    mail: String,
    mail_error: Option<String>,
    sent_at: Option<OffsetDateTime>,
    tracking_id: Option<Uuid>,
    opened_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
}

impl TryFrom<NotificationRow> for Notification {
    type Error = StoreError;

    fn try_from(row: NotificationRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: NotificationId::new(row.id),
            user: UserId::new(row.user_id),
            kind: Kind::parse(&row.kind).map_err(broken)?,
            priority: Priority::parse(&row.priority).map_err(broken)?,
            subject: row.subject,
            summary: row.summary,
            metadata: map(&row.metadata)?,
            read_at: row.read_at,
            mail: MailState::parse(&row.mail).map_err(broken)?,
            mail_error: row.mail_error,
            sent_at: row.sent_at,
            tracking: row.tracking_id,
            opened_at: row.opened_at,
            created_at: row.created_at,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct RecipientRow {
    email: String,
    name: Option<String>,
    promotions: bool,
    order_updates: bool,
    recommendations: bool,
}

impl From<RecipientRow> for Recipient {
    fn from(row: RecipientRow) -> Self {
        let RecipientRow { email, name, promotions, order_updates, recommendations } = row;
        Self { email, name, preferences: Preferences { promotions, order_updates, recommendations } }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct DueRow {
    id: Uuid,
    source_id: Uuid,
    user_id: Uuid,
    kind: String,
    priority: String,
    content: String,
    tracking_id: Option<Uuid>,
    attempts: i32,
    refusals: i32,
    trace: Option<String>,
    queued_seconds: f64,
    email: Option<String>,
    name: Option<String>,
    promotions: bool,
    order_updates: bool,
    recommendations: bool,
}

impl TryFrom<DueRow> for DueMail {
    type Error = StoreError;

    fn try_from(row: DueRow) -> Result<Self, StoreError> {
        let DueRow { email, name, promotions, order_updates, recommendations, .. } = row;
        let preferences = Preferences { promotions, order_updates, recommendations };
        Ok(Self {
            id: NotificationId::new(row.id),
            source: row.source_id,
            user: UserId::new(row.user_id),
            kind: Kind::parse(&row.kind).map_err(broken)?,
            priority: Priority::parse(&row.priority).map_err(broken)?,
            content: serde_json::from_str(&row.content).map_err(broken)?,
            tracking: row.tracking_id,
            attempt: Attempt { number: row.attempts, refusals: row.refusals },
            trace: row.trace,
            queued_for: Duration::try_from_secs_f64(row.queued_seconds).unwrap_or_default(),
            recipient: email.map(|email| Recipient { email, name, preferences }),
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct LetterRow {
    id: Uuid,
    kind: String,
    consumer: String,
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    headers: String,
    payload: Option<Vec<u8>>,
    notification_id: Option<Uuid>,
    reason: String,
    state: String,
    decided_by: Option<Uuid>,
    decided_at: Option<OffsetDateTime>,
    note: Option<String>,
    created_at: OffsetDateTime,
}

impl TryFrom<LetterRow> for DeadLetter {
    type Error = StoreError;

    fn try_from(row: LetterRow) -> Result<Self, StoreError> {
        let headers = map(&row.headers)?;
        let origin = match (row.topic, row.partition, row.offset) {
            (Some(topic), Some(partition), Some(offset)) => Some(Origin { topic, partition, offset, headers }),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            kind: DeadLetterKind::parse(&row.kind).map_err(broken)?,
            consumer: row.consumer,
            origin,
            payload: row.payload,
            notification: row.notification_id.map(NotificationId::new),
            reason: row.reason,
            state: LetterState::parse(&row.state).map_err(broken)?,
            decided_by: row.decided_by.map(UserId::new),
            decided_at: row.decided_at,
            note: row.note,
            created_at: row.created_at,
        })
    }
}

fn map(json: &str) -> Result<Map<String, Value>, StoreError> {
    serde_json::from_str(json).map_err(broken)
}

/// A stored value that this build cannot read.
pub(super) fn broken(error: impl Into<BoxError>) -> StoreError {
    StoreError::Broken(error.into())
}
