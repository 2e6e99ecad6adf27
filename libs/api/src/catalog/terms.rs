//! Bodies of categories, brands, suppliers, locations and warehouses, and of products with these.

use agora_vocab::{TermId, WarehouseId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Product;

/// A category, a brand, a supplier, or a location of warehouses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Term {
    pub id: TermId,
    pub name: String,
    /// For `If-Match` and `version`.
    pub version: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTerm {
    /// 1 to 100 characters; unique without regard to case.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeTerm {
    /// 1 to 100 characters; unique without regard to case.
    pub name: String,
    /// The version that the client has read, unless it sends `If-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Warehouse {
    pub id: WarehouseId,
    pub name: String,
    /// Orders are filled from the warehouse with the lowest number first.
    pub priority: i32,
    pub location_id: Option<TermId>,
    /// The name of its location.
    pub location: Option<String>,
    /// For `If-Match` and `version`.
    pub version: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewWarehouse {
    /// 1 to 100 characters; unique without regard to case.
    pub name: String,
    /// 0 to 1000; 0 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_id: Option<TermId>,
}

/// A product of a list, with the terms that the parameter `expand` requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ListedProduct {
    #[serde(flatten)]
    pub product: Product,
    /// Absent if nothing was requested, or the product has none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expanded: Option<Expanded>,
}

/// The terms of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Expanded {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Term>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Term>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier: Option<Term>,
}
