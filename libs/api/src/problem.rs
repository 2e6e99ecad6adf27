//! The body of every refusal: RFC 9457 problem details, with the marketplace's members.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words; the same for each occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence in words, with the remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The kind for programs, such as `INSUFFICIENT_QUANTITY`.
    pub code: String,
    /// What is wrong with which field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// Find the request's log lines by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The title again, for compatibility routes.
    #[serde(default)]
    pub error: String,
    /// Members of this kind alone, such as `productId`, `requested`, `available`.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Detail {
    /// The field's path, such as `items[0].quantity`.
    pub field: String,
    /// What would be acceptable.
    pub message: String,
}
