//! Products with their variants, and the lists that products are sorted into.

use std::collections::HashMap;

use agora_api::{Route, catalog::routes};
use async_graphql::{ComplexObject, Context, ID, Json, SimpleObject};
use serde::Deserialize;

use crate::graphql::{
    caller::caller,
    cost,
    fault::Answer,
    loaders::ListedById,
    scalars::{DateTime, Money},
};

/// A product that is for sale.
#[derive(Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    pub id: ID,
    pub name: String,
    pub description: String,
    /// The stock keeping unit.
    pub sku: Option<String>,
    /// What one unit costs.
    #[serde(rename = "price")]
    pub unit_price: Money,
    /// Units that can be ordered now.
    pub stock: i64,
    pub category: Option<String>,
    pub brand: Option<String>,
    pub supplier: Option<String>,
    pub image_url: Option<String>,
    pub seller_id: ID,
    /// For changes: the version that a client has read.
    pub version: i64,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

#[ComplexObject]
impl Product {
    /// The same as `id`.
    #[graphql(name = "_id")]
    async fn same_id(&self) -> &ID {
        &self.id
    }

    /// What one unit costs as a decimal number, to be shown. `unitPrice` is exact.
    async fn price(&self) -> f64 {
        self.unit_price.as_decimal()
    }

    /// The same as `stock`.
    async fn quantity(&self) -> i64 {
        self.stock
    }

    /// Variants such as sizes and colours, by name.
    #[graphql(complexity = "cost::page(limit, child_complexity)")]
    async fn variants(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20)] limit: i32,
        cursor: Option<String>,
    ) -> Answer<VariantPage> {
        Some(caller(context).call(routes::LIST_VARIANTS, [&self.id]).page(limit, cursor).json().await)
    }
}

/// A variant of a product, such as a size.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    pub id: ID,
    pub product_id: ID,
    /// The name by which carts, orders and stock identify it.
    pub name: String,
    pub sku: Option<String>,
    /// What one unit costs: its own price, else the product's.
    pub price: Money,
    pub own_price: Option<Money>,
    /// What it is, such as its colour and size.
    pub options: Json<HashMap<String, String>>,
    /// Units that can be ordered now.
    pub stock: i64,
    pub version: i64,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

/// A category, a brand, a supplier or a location of warehouses.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Term {
    pub id: ID,
    pub name: String,
    pub version: i64,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

/// A place that holds stock.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Warehouse {
    pub id: ID,
    pub name: String,
    /// Orders are filled from the warehouse with the lowest number first.
    pub priority: i32,
    pub location_id: Option<ID>,
    pub location: Option<String>,
    pub version: i64,
    pub created_at: DateTime,
    pub updated_at: DateTime,
}

/// Units of a product that can be ordered now.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct StockLevel {
    pub product_id: ID,
    pub stock: i64,
}

super::pages! {
    ProductPage of Product;
    VariantPage of Variant;
    TermPage of Term;
    WarehousePage of Warehouse;
    StockLevels of StockLevel;
}

impl ListedById for Product {
    const LIST: Route = routes::LIST;

    fn object_id(&self) -> &ID {
        &self.id
    }
}
