//! Rows of products as their statements return them. Knows no statement.

use std::collections::BTreeMap;

use agora_vocab::{Currency, Money, ProductId, SellerId, TermId, Variant};
use serde::Deserialize;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::stock::LevelRow;
use crate::{
    domain::{
        Description, Details, Exported, ExportedLevel, ImageUrl, Label, Language, Listed, Name, Price, Prices, Product,
        Quoted, QuotedVariant, Sku, StockLevel, Taxonomy, Term, Translation, Translations,
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
    /// By language; read by statements about single products.
    #[sqlx(default)]
    translations: Option<Json<BTreeMap<String, TranslationJson>>>,
    /// Amounts by currency; read by the same statements.
    #[sqlx(default)]
    prices: Option<Json<BTreeMap<Currency, i64>>>,
}

/// A translation, as statements return it in JSON.
#[derive(Deserialize)]
struct TranslationJson {
    name: String,
    description: String,
}

#[derive(sqlx::FromRow)]
pub(super) struct QuotedRow {
    #[sqlx(flatten)]
    row: Row,
    variants: Option<Json<BTreeMap<String, QuotedVariantRow>>>,
}

/// A variant of a quote, as the statement returns it in JSON.
#[derive(serde::Deserialize)]
struct QuotedVariantRow {
    units: i64,
    price: Option<i64>,
}

impl QuotedRow {
    pub(super) fn into_quoted(self) -> Result<Quoted, StoreError> {
        let listed = self.row.into_listed()?;
        let currency = listed.product.details.price.money().currency;
        let price = |amount| Price::stored(Money { amount, currency });
        let variants = self.variants.map(|Json(variants)| variants).unwrap_or_default().into_iter();
        let quoted = |(name, QuotedVariantRow { units, price: own })| {
            (Variant::stored(name), QuotedVariant { units, price: own.map(price) })
        };
        let variants = variants.map(quoted).collect();
        Ok(Quoted { listed, variants })
    }
}

/// A product of a page, with its terms if the page is expanded.
#[derive(sqlx::FromRow)]
pub(super) struct PageRow {
    #[sqlx(flatten)]
    row: Row,
    terms: Option<Vec<Json<ListedTermRow>>>,
}

impl PageRow {
    pub(super) fn into_parts(self) -> Result<(Listed, Vec<Term>), StoreError> {
        let terms =
            self.terms.unwrap_or_default().into_iter().map(|Json(row)| row.into_term()).collect::<Result<_, _>>()?;
        Ok((self.row.into_listed()?, terms))
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
            translations,
            prices,
        } = self;
        let translated = |(tag, TranslationJson { name, description })| {
            let translation = Translation { name: Name::stored(name), description: Description::stored(description) };
            (Language::stored(tag), translation)
        };
        let translations =
            translations.map(|Json(found)| found).unwrap_or_default().into_iter().map(translated).collect();
        let prices = prices.map(|Json(found)| found).unwrap_or_default();
        let prices = prices.into_iter().map(|(currency, amount)| Money { amount, currency });
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
            translations: Translations::stored(translations),
            prices: Prices::stored(prices),
        };
        let (id, seller) = (ProductId::new(id), SellerId::new(seller_id));
        Ok(Listed { product: Product { id, seller, version, details, created_at, updated_at }, stock })
    }
}

/// A term without its sort key, as columns or as JSON. JSON, because sqlx looks up a composite type between parsing and binding,
/// which replaces a statement without a name.
#[derive(sqlx::FromRow, Deserialize)]
pub(super) struct ListedTermRow {
    id: Uuid,
    taxonomy: String,
    version: i64,
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl ListedTermRow {
    pub(super) fn into_term(self) -> Result<Term, StoreError> {
        let Self { id, taxonomy, version, name, created_at, updated_at } = self;
        let taxonomy = Taxonomy::parse(&taxonomy)
            .ok_or_else(|| StoreError::Broken(format!("unknown taxonomy {taxonomy}").into()))?;
        let name = Label::stored(name);
        Ok(Term { id: TermId::new(id), taxonomy, version, name, created_at, updated_at })
    }
}
