//! `product-events` and `inventory-events`: what the catalog offers and has.

use agora_vocab::{Money, OrderId, ProductId, SellerId, WarehouseId};
use serde::{Deserialize, Serialize};

crate::events! {
    /// Events of `product-events`, keyed by product; each carries the whole product, so the newest is enough.
    ProductEvent on crate::topics::PRODUCT;
    /// A product came into the catalog.
    "product.created" => Created(Product),
    /// A product changed, or the price of one of its variants.
    "product.updated" => Updated(Product),
    /// A product left the catalog; orders that have it keep their copy.
    "product.deleted" => Deleted(ProductDeleted),
}

/// A product as others may keep a copy of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Product {
    pub product_id: ProductId,
    /// Rises by one with each change; an older copy never replaces a newer one.
    pub version: i64,
    pub name: String,
    /// What is said about it.
    pub description: String,
    /// The stock keeping unit, unique in the catalog.
    pub sku: Option<String>,
    /// What one unit costs.
    pub price: Money,
    /// Its category's name.
    pub category: Option<String>,
    /// Its brand's name.
    pub brand: Option<String>,
    /// Its supplier's name.
    pub supplier: Option<String>,
    /// A picture of it.
    pub image_url: Option<String>,
    /// Who sells it.
    pub seller_id: SellerId,
    /// Its variants with a price of their own, by name; any other costs what the product costs. Earlier releases write none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variant_prices: Vec<VariantPrice>,
}

/// A variant with a price of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct VariantPrice {
    pub variant: String,
    /// What one unit costs, in the currency of the product's price.
    pub price: Money,
}

/// A product that is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProductDeleted {
    pub product_id: ProductId,
    /// One more than its last version.
    pub version: i64,
}

crate::events! {
    /// Events of `inventory-events`: stock keyed by its row (product, variant, warehouse), expired reservations by the command
    /// that reserved.
    InventoryEvent on crate::topics::INVENTORY;
    /// The stock of a product in a warehouse changed.
    "stock.changed" => StockChanged(StockChanged),
    /// The hold of an order ran out and its units are free again.
    "reservation.expired" => ReservationExpired(ReservationExpired),
}

/// Stock after a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StockChanged {
    pub product_id: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    pub warehouse_id: WarehouseId,
    /// Units in the warehouse.
    pub on_hand: i64,
    /// Units of those that orders hold.
    pub reserved: i64,
    /// Rises by one with each change of this row.
    pub version: i64,
}

/// A hold that ran out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReservationExpired {
    /// The order that held.
    pub order_id: OrderId,
    /// Which hold of that order: 1 is the first.
    pub hold: i32,
}
