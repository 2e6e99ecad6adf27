//! The gateway's own routes, besides those that it forwards.

pub mod routes;

use serde::Deserialize;

/// `?lastEventId=` of the streams of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamQuery {
    /// As the header `Last-Event-ID`, for clients that cannot set one.
    pub last_event_id: Option<String>,
}
