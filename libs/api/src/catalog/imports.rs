//! Bodies of imports and exports of products.

use std::collections::BTreeMap;

use agora_vocab::{ImportId, Money, ProductId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Translation;

/// A line of `POST /admin/products/import` and `GET /admin/products/export`: a product as it is to be, or as it is. Members that
/// are absent are removed from a product that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductLine {
    /// Matches a product, as `sku` does; a product that is created gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ProductId>,
    /// The line is refused if it would change a product that has another version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Matches a product. Required unless there is an `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// 1 to 200 characters.
    pub name: String,
    /// Up to 10000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The currency of a product that exists cannot change.
    pub price: Money,
    /// Units in the main warehouse of a product that is created; ignored for one that exists. In an export, the units that can
    /// be ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier: Option<String>,
    /// An http or https address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// Those of a product that exists stay if this is absent. Not in CSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translations: Option<BTreeMap<String, Translation>>,
    /// In other currencies than `price`. Those of a product that exists stay if this is absent. Not in CSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Vec<Money>>,
}

/// The progress of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Import {
    pub id: ImportId,
    /// `running`, `interrupted` or `complete`.
    pub state: String,
    /// Lines that were handled, wrong ones included, without empty ones and the names of columns. A repetition skips them.
    pub lines: u64,
    pub created: u64,
    pub updated: u64,
    /// Lines that describe a product as it was.
    pub unchanged: u64,
    pub failed: u64,
    /// The first 1000 wrong lines.
    pub errors: Vec<ImportFault>,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A wrong line of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImportFault {
    /// Its number in the body, from 1.
    pub line: u64,
    /// Each wrong field with what would be acceptable.
    pub reason: String,
}
