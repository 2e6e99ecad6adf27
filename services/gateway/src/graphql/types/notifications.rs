//! Notifications.

use async_graphql::{ID, Json, SimpleObject};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::graphql::scalars::{DateTime, Long};

/// A notification as its user and support see it.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    pub id: ID,
    pub user_id: ID,
    /// `USER_UPDATE`, `ORDER_UPDATE`, `PROMOTION`, `EMAIL` or `RECOMMENDATION`.
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// `critical` or `standard`.
    pub priority: String,
    pub subject: String,
    pub content: String,
    /// What it is about, for programs: `orderId`, `promotionId`, …
    pub metadata: Json<Map<String, Value>>,
    pub read: bool,
    pub read_at: Option<DateTime>,
    /// What became of its mail: `pending`, `sent`, `suppressed`, `opted_out`, `expired` or `failed`.
    pub mail: String,
    pub sent_at: Option<DateTime>,
    pub opened_at: Option<DateTime>,
    pub created_at: DateTime,
}

/// How many notifications were unread and are read now.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct MarkedRead {
    pub updated_count: Long,
}

super::pages! {
    NotificationPage of Notification;
}
