//! Rows of products: as they are read, and the composite types that are sent. Knows no statement.

use agora_vocab::{Money, ProductId, SellerId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{Deleted, Document, Product, ProductChange, StockChange},
    ports::StoreError,
};

#[derive(sqlx::FromRow)]
pub(super) struct ProductRow {
    product_id: Uuid,
    version: i64,
    name: String,
    description: String,
    sku: Option<String>,
    price_amount: i64,
    price_currency: String,
    category: Option<String>,
    brand: Option<String>,
    supplier: Option<String>,
    image_url: Option<String>,
    seller_id: Uuid,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    stock: i64,
}

impl ProductRow {
    pub(super) fn into_product(self) -> Result<Product, StoreError> {
        let currency =
            self.price_currency.parse().map_err(|error: agora_vocab::Invalid| StoreError::Broken(error.into()))?;
        Ok(Product {
            id: ProductId::new(self.product_id),
            version: self.version,
            name: self.name,
            description: self.description,
            sku: self.sku,
            price: Money { amount: self.price_amount, currency },
            category: self.category,
            brand: self.brand,
            supplier: self.supplier,
            image_url: self.image_url,
            seller: SellerId::new(self.seller_id),
            created_at: self.created_at,
            updated_at: self.updated_at,
            stock: self.stock,
        })
    }
}

/// A change of a product: the composite type `product_change`.
#[derive(sqlx::Encode)]
pub(super) struct ProductChangeRow<'a> {
    product_id: Uuid,
    version: i64,
    visible: bool,
    name: &'a str,
    name_key: String,
    description: &'a str,
    sku: Option<&'a str>,
    price_amount: i64,
    price_currency: &'a str,
    category: Option<&'a str>,
    brand: Option<&'a str>,
    supplier: Option<&'a str>,
    image_url: Option<&'a str>,
    seller_id: Uuid,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    headline: &'a str,
    search: &'a str,
}

agora_postgres::composite!(ProductChangeRow<'_>, "product_change");

impl<'a> ProductChangeRow<'a> {
    /// The row of a change, with the document of a stored product.
    pub(super) fn of(change: &'a ProductChange, document: Option<&'a Document>) -> Self {
        match change {
            ProductChange::Stored(product) => Self {
                product_id: product.id.uuid(),
                version: product.version,
                visible: true,
                name: &product.name,
                name_key: product.name_key(),
                description: &product.description,
                sku: product.sku.as_deref(),
                price_amount: product.price.amount,
                price_currency: product.price.currency.as_str(),
                category: product.category.as_deref(),
                brand: product.brand.as_deref(),
                supplier: product.supplier.as_deref(),
                image_url: product.image_url.as_deref(),
                seller_id: product.seller.uuid(),
                created_at: product.created_at,
                updated_at: product.updated_at,
                headline: document.map_or("", |document| &document.headline),
                search: document.map_or("", |document| &document.search),
            },
            ProductChange::Deleted(Deleted { id, version, at }) => Self {
                product_id: id.uuid(),
                version: *version,
                visible: false,
                name: "",
                name_key: String::new(),
                description: "",
                sku: None,
                price_amount: 0,
                price_currency: "",
                category: None,
                brand: None,
                supplier: None,
                image_url: None,
                seller_id: Uuid::nil(),
                created_at: *at,
                updated_at: *at,
                headline: "",
                search: "",
            },
        }
    }
}

/// A change of stock: the composite type `stock_change`.
#[derive(sqlx::Encode)]
pub(super) struct StockChangeRow<'a> {
    product_id: Uuid,
    variant: &'a str,
    warehouse_id: Uuid,
    units: i64,
    version: i64,
}

agora_postgres::composite!(StockChangeRow<'_>, "stock_change");

impl<'a> From<&'a StockChange> for StockChangeRow<'a> {
    fn from(change: &'a StockChange) -> Self {
        let StockChange { product, variant, warehouse, units, version } = change;
        Self {
            product_id: product.uuid(),
            variant: variant.as_str(),
            warehouse_id: warehouse.uuid(),
            units: *units,
            version: *version,
        }
    }
}
