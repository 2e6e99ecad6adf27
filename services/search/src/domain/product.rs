//! What the catalog tells of products and stock.

use agora_vocab::{Money, ProductId, SellerId, Variant, WarehouseId};
use time::OffsetDateTime;

/// A product with the units that can be ordered now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    pub id: ProductId,
    /// Version of the catalog; rises with each change.
    pub version: i64,
    pub name: String,
    pub description: String,
    pub sku: Option<String>,
    pub price: Money,
    pub category: Option<String>,
    pub brand: Option<String>,
    pub supplier: Option<String>,
    pub image_url: Option<String>,
    pub seller: SellerId,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    /// Units over all variants and warehouses; 0 in a change, which does not contain them.
    pub stock: i64,
}

impl Product {
    /// The text that names are sorted by.
    pub fn name_key(&self) -> String {
        self.name.to_lowercase()
    }
}

/// A product that left the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    pub id: ProductId,
    /// One more than its last version.
    pub version: i64,
    /// When it was deleted.
    pub at: OffsetDateTime,
}

/// A change of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductChange {
    /// The product as it is after the change; boxed, because it is large.
    Stored(Box<Product>),
    Deleted(Deleted),
}

/// The units of a product's variant in a warehouse after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockChange {
    pub product: ProductId,
    pub variant: Variant,
    pub warehouse: WarehouseId,
    /// Units that can be ordered: on hand less reserved.
    pub units: i64,
    /// Rises with each change of this row.
    pub version: i64,
}
