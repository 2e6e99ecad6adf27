//! Products as rows of an array, and what the database determines when they are written. Knows no statement.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Details, ImageUrl, Label, Product, Sku};

/// A product to write: the composite type `product_row`.
#[derive(Debug, sqlx::Encode)]
pub(super) struct ProductRow<'a> {
    id: Uuid,
    seller_id: Uuid,
    version: i64,
    name: &'a str,
    name_key: String,
    description: &'a str,
    sku: Option<&'a str>,
    price_amount: i64,
    price_currency: String,
    category: Option<&'a str>,
    brand: Option<&'a str>,
    supplier: Option<&'a str>,
    image_url: Option<&'a str>,
}

agora_postgres::composite!(ProductRow<'_>, "product_row");

impl<'a> ProductRow<'a> {
    pub(super) fn of(product: &'a Product) -> Self {
        let Product { id, seller, version, details, created_at: _, updated_at: _ } = product;
        let Details { name, description, sku, price, category, brand, supplier, image_url, translations: _, prices: _ } =
            details;
        let price = price.money();
        Self {
            id: id.uuid(),
            seller_id: seller.uuid(),
            version: *version,
            name: name.as_str(),
            name_key: name.sort_key(),
            description: description.as_str(),
            sku: sku.as_ref().map(Sku::as_str),
            price_amount: price.amount,
            price_currency: price.currency.as_str().to_owned(),
            category: category.as_ref().map(Label::as_str),
            brand: brand.as_ref().map(Label::as_str),
            supplier: supplier.as_ref().map(Label::as_str),
            image_url: image_url.as_ref().map(ImageUrl::as_str),
        }
    }
}

/// What the database determines when a product is written.
#[derive(sqlx::FromRow)]
pub(super) struct WrittenRow {
    pub id: Uuid,
    category: Option<String>,
    brand: Option<String>,
    supplier: Option<String>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl WrittenRow {
    pub(super) fn into_product(self, product: Product) -> Product {
        let Self { id: _, category, brand, supplier, created_at, updated_at } = self;
        let details = Details {
            category: category.map(Label::stored),
            brand: brand.map(Label::stored),
            supplier: supplier.map(Label::stored),
            ..product.details
        };
        Product { details, created_at, updated_at, ..product }
    }
}
