//! Bodies that change products, variants and warehouses: JSON merge patches (RFC 7396).

use std::collections::BTreeMap;

use agora_vocab::{Currency, Money, Patch, TermId};
use serde::{Deserialize, Serialize};

/// `PATCH /products/{id}`: absent fields do not change, `null` removes an optional field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeProduct {
    /// The version that the client has read, unless it sends `If-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// 1 to 200 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub name: Patch<String>,
    /// Up to 10000 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<String>,
    /// Unique in the catalog.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub sku: Patch<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<ChangePrice>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub price: Patch<ChangePrice>,
    /// The category's name.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub category: Patch<String>,
    /// The brand's name.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub brand: Patch<String>,
    /// The supplier's name.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub supplier: Patch<String>,
    /// An http or https address.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub image_url: Patch<String>,
    /// By language, a BCP 47 tag such as `de`; `null` removes a language.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, Option<ChangeTranslation>>>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub translations: Patch<BTreeMap<String, Patch<ChangeTranslation>>>,
    /// Replaces all prices in other currencies.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Money>>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub prices: Patch<Vec<Money>>,
}

/// A partial price: an absent member keeps its value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePrice {
    /// In minor units.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub amount: Patch<i64>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Currency>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub currency: Patch<Currency>,
}

/// A partial translation: an absent member keeps its value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeTranslation {
    /// 1 to 200 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub name: Patch<String>,
    /// Up to 10000 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<String>,
}

/// `PATCH /products/{id}/variants/{variant}`: absent fields do not change, `null` removes a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeVariant {
    /// The version that the client has read, unless it sends `If-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Unique among all variants and products.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub sku: Patch<String>,
    /// In the currency of the product.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Money>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub own_price: Patch<Money>,
    /// Replaces all options.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, String>>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub options: Patch<BTreeMap<String, String>>,
}

/// `PATCH /warehouses/{id}`: absent fields do not change, `null` removes the location.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeWarehouse {
    /// The version that the client has read, unless it sends `If-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// 1 to 100 characters; unique without regard to case.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub name: Patch<String>,
    /// 0 to 1000.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i32>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub priority: Patch<i32>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TermId>))]
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub location_id: Patch<TermId>,
}
