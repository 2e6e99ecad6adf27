//! Queries of notifications, dead letters and webhooks, as text where the service says what is wrong with them.

use agora_vocab::UserId;
use serde::Deserialize;

/// Query of the lists of notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationsQuery {
    /// For admins alone.
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub user_id: Option<UserId>,
    /// `USER_UPDATE`, `ORDER_UPDATE`, `PROMOTION`, `EMAIL` or `RECOMMENDATION`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `critical` or `standard`.
    pub priority: Option<String>,
    /// Only those that are read, or are not.
    pub read: Option<bool>,
    /// Only those with this text.
    pub q: Option<String>,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// How many items to pass over, at most 10000.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub offset: Option<String>,
    /// From 1, in place of `offset`.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub page: Option<String>,
}

/// `GET /admin/notifications/preview/{template}?format=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct PreviewQuery {
    /// `html` by default, or `text`.
    pub format: Option<String>,
}

/// `GET /admin/dead-letters?state=&limit=&cursor=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct LettersQuery {
    /// `open`, `replayed` or `discarded`.
    pub state: Option<String>,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// `GET /admin/webhooks/{id}/deliveries?status=&limit=&cursor=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct DeliveriesQuery {
    /// `waiting`, `delivered` or `failed`.
    pub status: Option<String>,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}
