//! Products with their variants, and the lists that products are sorted into.

use std::collections::HashMap;

use agora_api::catalog::routes;
use async_graphql::{
    ComplexObject, Context, ID, Json, SimpleObject,
    dataloader::{DataLoader, HashMapCache, Loader},
};
use serde::Deserialize;

use crate::graphql::{
    caller::{Caller, caller},
    cost,
    fault::{Answer, Fault},
    scalars::{DateTime, Money},
};

/// Products that one call reads at most: a limit of the catalog.
const BATCH_MAX: usize = 100;

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

/// Products by id: those that the fields of a request need at the same time are read with one call, and each once.
pub type ProductLoader = DataLoader<Products, HashMapCache>;

/// Reads products for a [`ProductLoader`].
pub struct Products(Caller);

impl Products {
    /// The loader of one request. `spawn` runs its calls.
    pub fn loader(
        caller: Caller,
        spawn: impl Fn(futures::future::BoxFuture<'static, ()>) + Send + Sync + 'static,
    ) -> ProductLoader {
        DataLoader::with_cache(Self(caller), spawn, HashMapCache::default()).max_batch_size(BATCH_MAX)
    }
}

impl Loader<String> for Products {
    type Value = Product;
    type Error = Fault;

    async fn load(&self, ids: &[String]) -> Result<HashMap<String, Product>, Fault> {
        let page: ProductPage = self.0.call(routes::LIST, []).query("ids", Some(ids.join(","))).json().await?;
        Ok(page.items.into_iter().map(|product| (product.id.to_string(), product)).collect())
    }
}

/// The product with this id; null if it does not exist any more.
pub async fn product_of(context: &Context<'_>, id: &ID) -> Answer<Product> {
    context.data_unchecked::<ProductLoader>().load_one(id.to_string()).await.transpose()
}
