//! Bodies of the catalog: products, stock, and the internal commands by which carts and orders quote and hold.

mod changes;
mod imports;
mod queries;
pub mod routes;
mod terms;
mod variants;

use std::collections::BTreeMap;

use agora_vocab::{Money, OrderId, ProductId, ReturnId, SellerId, WarehouseId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use changes::{ChangePrice, ChangeProduct, ChangeTranslation, ChangeVariant, ChangeWarehouse};
pub use imports::{Import, ImportFault, ProductLine};
pub use queries::{AfterQuery, CurrencyQuery, ImportQuery, ProductExportQuery, ProductsQuery};
pub use terms::{ChangeTerm, Expanded, ListedProduct, NewTerm, NewWarehouse, Term, Warehouse};
pub use variants::{NewVariant, Variant};

/// A product as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Product {
    pub id: ProductId,
    pub name: String,
    /// What is said about it.
    pub description: String,
    /// The stock keeping unit.
    pub sku: Option<String>,
    /// What one unit costs.
    pub price: Money,
    /// Units that can be ordered now, over all warehouses: on hand less reserved.
    pub stock: i64,
    pub category: Option<String>,
    pub brand: Option<String>,
    pub supplier: Option<String>,
    /// A picture of it.
    pub image_url: Option<String>,
    /// Name and description by language, a BCP 47 tag. Absent in lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub translations: BTreeMap<String, Translation>,
    /// Prices in other currencies. Absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<Money>,
    /// Who sells it.
    pub seller_id: SellerId,
    /// For `If-Match` and `version`.
    pub version: i64,
    /// When it came into the catalog.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewProduct {
    /// 1 to 200 characters.
    pub name: String,
    /// Up to 10000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Unique in the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// More than nothing.
    pub price: Money,
    /// Units in the main warehouse at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<i64>,
    /// The category's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The brand's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The supplier's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier: Option<String>,
    /// An http or https address, or a path like `/chairs/oak.png` below the address of the shop's files, with which it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// By language, a BCP 47 tag such as `de`; at most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translations: Option<BTreeMap<String, Translation>>,
    /// In other currencies than `price`, one each; at most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Vec<Money>>,
}

/// A product's name and description in a language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Translation {
    /// 1 to 200 characters.
    pub name: String,
    /// Up to 10000 characters.
    #[serde(default)]
    pub description: String,
}

/// `PUT /products/{id}/inventory`: exactly one of `quantity` and `delta`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetInventory {
    /// Units on hand from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i64>,
    /// Units more (or fewer) than now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<i64>,
    /// The main warehouse if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warehouse_id: Option<WarehouseId>,
    /// The variant; absent for a product without variants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// `POST /products/stock`, at most 100 ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StockRequest {
    pub ids: Vec<ProductId>,
}

/// Stock of one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockLevel {
    pub product_id: ProductId,
    /// Units that can be ordered now.
    pub stock: i64,
}

/// A product and how many: the line of a quote or hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Line {
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    #[serde(default)]
    pub variant: String,
    /// Units, at least one.
    pub quantity: u32,
}

/// Internal `POST /internal/v1/quote`: what these products cost now. Unknown ones are named in `unknown`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuoteRequest {
    /// At most 100 products.
    pub product_ids: Vec<ProductId>,
}

/// The answer to a quote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    /// The products that exist.
    pub items: Vec<Product>,
    /// Those that do not, or no more.
    pub unknown: Vec<ProductId>,
    /// Every variant of these products that has a name.
    #[serde(default)]
    pub variants: Vec<VariantStock>,
}

/// Stock of one variant of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct VariantStock {
    pub product_id: ProductId,
    /// The variant's name.
    pub variant: String,
    /// Units that can be ordered now.
    pub stock: i64,
    /// Own price of the variant; absent if it has the product's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
}

/// A line of internal `GET /internal/v1/products/export`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExportedProduct {
    pub product: Product,
    /// Every stock row of the product.
    pub stock_levels: Vec<ExportedStock>,
}

/// A stock row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExportedStock {
    /// The variant; empty for a product without variants.
    pub variant: String,
    pub warehouse_id: WarehouseId,
    /// Units that can be ordered now.
    pub units: i64,
    /// Version of the row, as in its events.
    pub version: i64,
}

/// Internal `POST /internal/v1/reserve`: all lines or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reserve {
    /// The order that holds.
    pub order_id: OrderId,
    /// Which hold of that order, from 1.
    pub hold: i32,
    /// What to hold.
    pub lines: Vec<Line>,
    /// How long, by the catalog's database.
    pub seconds: u32,
}

/// The answer to a hold that succeeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Reserved {
    /// The order that holds.
    pub order_id: OrderId,
    pub hold: i32,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// Internal `POST /internal/v1/commit` and `/internal/v1/release`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// The order that holds.
    pub order_id: OrderId,
    pub hold: i32,
}

/// Internal `POST /internal/v1/take-back`: units of a committed hold that customers sent back go into stock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TakeBack {
    /// The order that holds.
    pub order_id: OrderId,
    pub hold: i32,
    /// The return's id, the same in every repetition.
    pub return_id: ReturnId,
    pub lines: Vec<Line>,
}

/// The answer to `take-back`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TakenBack {
    /// Units that went into stock with this return.
    pub units: i64,
}

/// What `commit` or `release` found: `committed`, `released`, `expired`, or `tombstone` for an undo that came first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HoldState {
    /// The state of the hold now.
    pub state: String,
}
