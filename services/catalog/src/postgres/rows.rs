//! Rows of products as their statements return them. Knows no statement.

use std::collections::BTreeMap;

use agora_vocab::{Money, ProductId, SellerId, Variant};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::stock::LevelRow;
use crate::{
    domain::{
        Description, Details, Exported, ExportedLevel, ImageUrl, Label, Listed, Name, Price, Product, Quoted, Sku,
        StockLevel,
    },
    ports::StoreError,
};

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: Uuid,
    seller_id: Uuid,
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
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    stock: i64,
}

#[derive(sqlx::FromRow)]
pub(super) struct QuotedRow {
    #[sqlx(flatten)]
    row: Row,
    variants: Option<Json<BTreeMap<String, i64>>>,
}

impl QuotedRow {
    pub(super) fn into_quoted(self) -> Result<Quoted, StoreError> {
        let variants = self.variants.map(|Json(variants)| variants).unwrap_or_default();
        let variants = variants.into_iter().map(|(variant, stock)| (Variant::stored(variant), stock)).collect();
        Ok(Quoted { listed: self.row.into_listed()?, variants })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct ExportedRow {
    #[sqlx(flatten)]
    row: Row,
    levels: Vec<LevelRow>,
}

impl ExportedRow {
    pub(super) fn into_exported(self) -> Result<Exported, StoreError> {
        let level = |row: LevelRow| {
            let StockLevel { location, on_hand, reserved, version, .. } = row.into_level();
            ExportedLevel {
                variant: location.variant,
                warehouse: location.warehouse,
                units: on_hand - reserved,
                version,
            }
        };
        Ok(Exported { listed: self.row.into_listed()?, levels: self.levels.into_iter().map(level).collect() })
    }
}

impl Row {
    pub(super) fn into_listed(self) -> Result<Listed, StoreError> {
        let Self {
            id,
            seller_id,
            version,
            name,
            description,
            sku,
            price_amount,
            price_currency,
            category,
            brand,
            supplier,
            image_url,
            created_at,
            updated_at,
            stock,
        } = self;
        let currency =
            price_currency.parse().map_err(|error: agora_vocab::Invalid| StoreError::Broken(error.into()))?;
        let details = Details {
            name: Name::stored(name),
            description: Description::stored(description),
            sku: sku.map(Sku::stored),
            price: Price::stored(Money { amount: price_amount, currency }),
            category: category.map(Label::stored),
            brand: brand.map(Label::stored),
            supplier: supplier.map(Label::stored),
            image_url: image_url.map(ImageUrl::stored),
        };
        let (id, seller) = (ProductId::new(id), SellerId::new(seller_id));
        Ok(Listed { product: Product { id, seller, version, details, created_at, updated_at }, stock })
    }
}
