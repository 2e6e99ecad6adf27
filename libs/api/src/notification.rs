//! Bodies of notifications, and of the messages and mails that were given up.

mod queries;
pub mod routes;
mod webhooks;

use agora_vocab::{NotificationId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

pub use queries::{DeliveriesQuery, LettersQuery, NotificationsQuery, PreviewQuery};
pub use webhooks::{
    ChangeWebhook, NewWebhook, Redrive, Redriven, Webhook, WebhookDelivery, WebhookDisabled, WebhookWithSecret,
};

/// A notification as its user and admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    pub id: NotificationId,
    pub user_id: UserId,
    /// `USER_UPDATE`, `ORDER_UPDATE`, `PROMOTION`, `EMAIL` or `RECOMMENDATION`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `critical` or `standard`.
    pub priority: String,
    pub subject: String,
    /// What it says, in one or two sentences of plain text.
    pub content: String,
    /// What it is about, for programs: `orderId`, `promotionId`, …
    pub metadata: Map<String, Value>,
    pub read: bool,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub read_at: Option<OffsetDateTime>,
    /// What became of its mail: `pending`, `sent`, `suppressed` (the shop has no mail server), `opted_out`, `expired` (it
    /// would have come too late) or `failed`.
    pub mail: String,
    /// Why the last attempt to send the mail failed; for admins alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_error: Option<String>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub sent_at: Option<OffsetDateTime>,
    /// When the mail was first opened, if the shop tracks that.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub opened_at: Option<OffsetDateTime>,
    /// Path of the picture by which opening the mail is noticed, if the shop tracks that; for admins alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking_url: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// `POST /admin/notifications`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewNotification {
    pub user_id: UserId,
    /// `USER_UPDATE`, `ORDER_UPDATE`, `PROMOTION`, `EMAIL` or `RECOMMENDATION`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Plain text, 1 to 4000 characters.
    pub content: String,
    /// One line, 1 to 200 characters; by default the type in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `standard` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// `PATCH /notifications/read`: without members, all of the user's notifications.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarkRead {
    /// Only those of this priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// Only these, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_ids: Option<Vec<NotificationId>>,
}

/// How many notifications were unread and are read now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MarkedRead {
    pub updated_count: u64,
}

/// A message that a service could not handle, or a mail that could not be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    pub id: Uuid,
    /// `message` or `mail`.
    pub kind: String,
    /// The consumer that could not handle the message; `notification-mail` for a mail.
    pub consumer: String,
    /// Where the message came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The notification whose mail was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_id: Option<NotificationId>,
    pub reason: String,
    /// `open`, `replayed` or `discarded`.
    pub state: String,
    /// The admin who replayed or discarded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<UserId>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub decided_at: Option<OffsetDateTime>,
    /// Why the admin did so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The message: JSON as such, any other bytes as text with replacement characters. Only where one letter is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Value>,
}

/// Where a message was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Headers of the message by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Value>,
}

/// `POST /admin/dead-letters/{id}/replay` and `…/discard`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Why: 1 to 500 characters, kept with the letter.
    pub reason: String,
}
