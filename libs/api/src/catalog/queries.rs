//! Queries of the catalog, as text where the service says what is wrong with them.

use agora_vocab::{ImportId, ProductId};
use serde::Deserialize;

/// `GET /products?category=&q=&sort=&expand=&limit=&cursor=&offset=&currency=`, or `GET /products?ids=&currency=`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct ProductsQuery {
    /// Ids with commas between: exactly these products, in this order, without those that do not exist.
    pub ids: Option<String>,
    /// Only products of the category of this name.
    pub category: Option<String>,
    /// Only products with this text.
    pub q: Option<String>,
    /// `name`, `price` or `createdAt`; with a hyphen before it, in descending order.
    pub sort: Option<String>,
    /// `category`, `brand` and `supplier`, with commas between: members of the products that are described in full.
    pub expand: Option<String>,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
    /// How many items to pass over, at most 10000.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub offset: Option<String>,
    /// Currency of prices, by its ISO 4217 code.
    pub currency: Option<String>,
}

/// `GET /products/{id}?currency=`. Other parameters are ignored, as they were before there was one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct CurrencyQuery {
    /// Currency of the price, by its ISO 4217 code.
    pub currency: Option<String>,
}

/// `GET /admin/products/export?format=&after=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct ProductExportQuery {
    /// `ndjson` or `csv`.
    #[cfg_attr(feature = "openapi", param(required = true))]
    pub format: Option<String>,
    /// The last product of an export that broke off.
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub after: Option<ProductId>,
}

/// `POST /admin/products/import?format=&importId=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportQuery {
    /// `ndjson` or `csv`.
    #[cfg_attr(feature = "openapi", param(required = true))]
    pub format: Option<String>,
    /// A new UUID, the same one in each repetition.
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>, required = true))]
    pub import_id: Option<ImportId>,
}

/// `GET /internal/v1/products/export?after=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct AfterQuery {
    /// The last product of the page before.
    #[cfg_attr(feature = "openapi", param(value_type = Option<uuid::Uuid>))]
    pub after: Option<ProductId>,
}
