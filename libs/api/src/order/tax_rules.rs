//! Bodies of tax rules, and the tax of an order.

use agora_vocab::Money;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// `POST /admin/tax-rules`: the tax that prices of goods, or of shipping, include in orders to a country.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTaxRule {
    /// ISO 3166-1 code of two letters.
    pub country: String,
    /// `goods` or `shipping`; `goods` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Share of the net price: 0 to 10000.
    pub basis_points: i64,
    /// `half_up` or `half_even`; `half_up` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<String>,
    /// True if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// A tax rule as admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TaxRule {
    pub country: String,
    /// `goods` or `shipping`.
    pub category: String,
    /// Share of the net price.
    pub basis_points: i32,
    /// `half_up` or `half_even`.
    pub rounding: String,
    pub active: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The tax of an order's items, by the rule that applied when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tax {
    pub country: String,
    /// Share of the net price.
    pub basis_points: i32,
    /// Whether the prices of the items include it.
    pub included: bool,
    /// `half_up` or `half_even`, of each item.
    pub rounding: String,
    /// Sum of the items' taxes.
    pub amount: Money,
}

/// The tax of an order's delivery, by the rule that applied when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShippingTax {
    pub country: String,
    /// Share of the net price.
    pub basis_points: i32,
    /// Whether the price of the delivery includes it.
    pub included: bool,
    /// `half_up` or `half_even`.
    pub rounding: String,
    pub amount: Money,
}

/// `PATCH /admin/tax-rules/{country}` and `…/{category}`: absent fields do not change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeTaxRule {
    /// Share of the net price: 0 to 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis_points: Option<i64>,
    /// `half_up` or `half_even`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}
