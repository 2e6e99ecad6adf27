//! Bodies of shipping methods.

use agora_vocab::{Money, Patch};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The body of `POST /admin/shipping-methods`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewShippingMethod {
    /// 1 to 32 letters, digits and hyphens; unique without regard to case.
    pub code: String,
    /// 1 to 100 characters.
    pub name: String,
    pub price: Money,
    /// Sum of the items less the discount from which it costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_from: Option<Money>,
    /// ISO 3166-1 codes of two letters; every country if absent or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<String>>,
    /// True if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// A shipping method as admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShippingMethod {
    /// In small letters.
    pub code: String,
    pub name: String,
    pub price: Money,
    /// Sum of the items less the discount from which it costs nothing.
    pub free_from: Option<Money>,
    /// Every country if empty.
    pub countries: Vec<String>,
    pub active: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// `PATCH /admin/shipping-methods/{code}`, a JSON merge patch (RFC 7396): absent fields do not change, `null` removes
/// `freeFrom`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeShippingMethod {
    /// 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// Sum of the items less the discount from which it costs nothing.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Money>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub free_from: Patch<Money>,
    /// ISO 3166-1 codes of two letters; every country if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}
