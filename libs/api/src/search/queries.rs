//! Queries of searches, as text where the service says what is wrong with them.

use serde::Deserialize;

/// Query of `GET /search`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchQuery {
    /// Text that products have.
    pub q: Option<String>,
    /// Only products of the category of this name.
    pub category: Option<String>,
    /// Only products of the brand of this name.
    pub brand: Option<String>,
    /// Lowest price, in minor units.
    #[cfg_attr(feature = "openapi", param(value_type = Option<i64>))]
    pub min_price: Option<String>,
    /// Highest price, in minor units.
    #[cfg_attr(feature = "openapi", param(value_type = Option<i64>))]
    pub max_price: Option<String>,
    /// Whether only products are found of which units can be ordered.
    #[cfg_attr(feature = "openapi", param(value_type = Option<bool>))]
    pub in_stock: Option<String>,
    /// `relevance`, which needs `q`, `name`, `price` or `createdAt`; with a hyphen before it, in descending order.
    pub sort: Option<String>,
    /// Whether the values of the filters are counted; by default on the first page alone.
    #[cfg_attr(feature = "openapi", param(value_type = Option<bool>))]
    pub facets: Option<String>,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// How many items to pass over, at most 10000.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub offset: Option<String>,
}

/// `GET /search/products`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct SearchedProductsQuery {
    /// Only products of the category of this name.
    pub category: Option<String>,
    /// Text that products have.
    pub q: Option<String>,
    /// As of `GET /search`.
    pub sort: Option<String>,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// How many items to pass over, at most 10000.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub offset: Option<String>,
}

/// `GET /search/suggestions`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct CompleteQuery {
    /// The text that is being typed.
    pub q: String,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
}
