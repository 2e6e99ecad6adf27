//! Bodies of the search: results with the values of filters, completions, and the state of the index.

mod queries;
pub mod routes;

use agora_vocab::ProductId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::catalog::Product;

pub use queries::{CompleteQuery, SearchQuery, SearchedProductsQuery};

/// One page of what a search finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SearchResult {
    /// The products, in the requested order.
    pub items: Vec<Product>,
    /// How many products all pages hold together, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether more products may match than were counted: a search considers some thousands.
    pub total_is_lower_bound: bool,
    /// Value of the parameter `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Values of the filters, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facets: Option<Facets>,
    /// What was searched for instead of a text with words that no product has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected_query: Option<String>,
}

/// Values of the filters, each with the number of products that it would find with the other filters as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Facets {
    /// The 50 most frequent categories.
    pub category: Vec<FacetValue>,
    /// The 50 most frequent brands.
    pub brand: Vec<FacetValue>,
    /// Ranges of prices that have products.
    pub price: Vec<PriceRange>,
    /// Products of which units can be ordered.
    pub in_stock: u64,
}

/// A value of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FacetValue {
    pub value: String,
    /// How many products have it.
    pub count: u64,
}

/// A range of prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PriceRange {
    /// The currency of the prices.
    pub currency: String,
    /// The lowest price, in minor units.
    pub from: i64,
    /// Prices are lower than this, in minor units; absent for the last range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<i64>,
    /// How many products have such a price.
    pub count: u64,
}

/// What a text that is being typed may become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    pub text: String,
    /// `category`, `brand` or `product`.
    pub kind: String,
    /// The product of that name; absent for categories and brands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
}

/// How far the newest generation of the index is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Its number, from 1.
    pub generation: i32,
    /// `building` while searches read the generation before, else `complete`.
    pub state: String,
    /// Whether the generation that searches read was built from the catalog.
    pub is_complete: bool,
    /// Products that were read from the catalog so far.
    pub products: u64,
    /// Products of the build before, as an estimate of how many there are.
    pub expected: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// When searches began to read it.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none", default)]
    pub completed_at: Option<OffsetDateTime>,
}
