//! Bodies of the variants of products.

use std::collections::BTreeMap;

use agora_vocab::{Money, ProductId, VariantId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A variant of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    pub id: VariantId,
    pub product_id: ProductId,
    /// The name by which carts, orders and stock identify it.
    pub name: String,
    /// Unique among all variants and products.
    pub sku: Option<String>,
    /// What one unit costs: its own price, else the product's.
    pub price: Money,
    pub own_price: Option<Money>,
    /// What it is, such as its colour and size.
    pub options: BTreeMap<String, String>,
    /// Units that can be ordered now.
    pub stock: i64,
    /// For `If-Match` and `version`.
    pub version: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewVariant {
    /// 1 to 64 characters; unique among the variants of the product, and never changes.
    pub name: String,
    /// Unique among all variants and products.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Own price, in the currency of the product; the product's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_price: Option<Money>,
    /// Up to 10 options of 1 to 50 characters with values of 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<BTreeMap<String, String>>,
}
