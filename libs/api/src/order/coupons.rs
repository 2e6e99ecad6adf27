//! Bodies of coupons.

use agora_vocab::{Money, Patch};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The body of `POST /admin/coupons`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCoupon {
    /// 3 to 32 letters, digits and hyphens; unique without regard to case.
    pub code: String,
    /// `percent` or `fixed`.
    pub kind: String,
    /// The share of the items' sum, of `percent`: 1 to 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis_points: Option<i64>,
    /// What is taken off, of `fixed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Least sum of the items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_total: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub valid_from: Option<OffsetDateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub valid_until: Option<OffsetDateTime>,
    /// Uses in all; any number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_max: Option<i64>,
    /// Uses of one user; any number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_per_user_max: Option<i64>,
    /// True if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// A coupon as admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Coupon {
    /// In capitals, as it is compared.
    pub code: String,
    /// `percent` or `fixed`.
    pub kind: String,
    /// The share of the items' sum, of `percent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis_points: Option<i32>,
    /// What is taken off, of `fixed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Least sum of the items.
    pub minimum_total: Option<Money>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub valid_from: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub valid_until: Option<OffsetDateTime>,
    /// Uses in all.
    pub uses_max: Option<i32>,
    /// Uses of one user.
    pub uses_per_user_max: Option<i32>,
    /// Orders that use it, without those that ended before their payment.
    pub uses: i32,
    pub active: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// `PATCH /admin/coupons/{code}`, a JSON merge patch (RFC 7396): absent fields do not change, `null` removes a term.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeCoupon {
    /// Least sum of the items.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Money>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub minimum_total: Patch<Money>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<OffsetDateTime>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub valid_from: Patch<Moment>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<OffsetDateTime>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub valid_until: Patch<Moment>,
    /// Uses in all.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub uses_max: Patch<i64>,
    /// Uses of one user.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub uses_per_user_max: Patch<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// A time in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(#[serde(with = "time::serde::rfc3339")] pub OffsetDateTime);
