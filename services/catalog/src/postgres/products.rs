//! The port `Products` in PostgreSQL. Contains the SQL of the table `product`; the domain validates products.

use std::collections::BTreeMap;

use agora_outbox::{DedupKey, NewEvent, Outcome, claim_key, emit, store_result};
use agora_postgres::{Tx, constraint};
use agora_vocab::{Currency, ProductId, Variant, WarehouseId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    PgCatalog, list, localized, own_prices,
    rows::{ExportedRow, QuotedRow, Row},
};
use crate::{
    domain::{
        Change, Details, Expected, Exported, ImageUrl, Label, Listed, Listing, Prices, Product, ProductPage, Quoted,
        Sku, StockLevel, StockLocation, Translations,
    },
    ports::{ProductError, Products, StoreError},
};

const FIND: &str = include_str!("../../sql/find_product.sql");
const FIND_MANY: &str = include_str!("../../sql/find_products.sql");
/// Products of one page of the export.
const EXPORTED_MAX: i64 = 250;
const LOCK: &str = include_str!("../../sql/lock_product.sql");

#[async_trait]
impl Products for PgCatalog {
    async fn find(&self, id: ProductId) -> Result<Option<Listed>, StoreError> {
        let mut connection = self.reads.acquire().await?;
        let row: Option<Row> = sqlx::query_as(FIND).bind(id.uuid()).fetch_optional(&mut *connection).await?;
        row.map(Row::into_listed).transpose()
    }

    async fn many(&self, ids: &[ProductId]) -> Result<Vec<Listed>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let mut connection = self.reads.acquire().await?;
        let rows: Vec<Row> = sqlx::query_as(FIND_MANY).bind(ids).fetch_all(&mut *connection).await?;
        rows.into_iter().map(Row::into_listed).collect()
    }

    async fn quote(&self, ids: &[ProductId]) -> Result<Vec<Quoted>, StoreError> {
        const QUOTE: &str = include_str!("../../sql/quote_products.sql");
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let mut connection = self.db.acquire().await?;
        let rows: Vec<QuotedRow> = sqlx::query_as(QUOTE).bind(ids).fetch_all(&mut *connection).await?;
        rows.into_iter().map(QuotedRow::into_quoted).collect()
    }

    async fn export(&self, after: Option<ProductId>) -> Result<Vec<Exported>, StoreError> {
        const EXPORT: &str = include_str!("../../sql/export_products.sql");
        let after = after.map_or(Uuid::nil(), ProductId::uuid);
        let mut connection = self.reads.acquire().await?;
        let rows: Vec<ExportedRow> =
            sqlx::query_as(EXPORT).bind(after).bind(EXPORTED_MAX).fetch_all(&mut *connection).await?;
        rows.into_iter().map(ExportedRow::into_exported).collect()
    }

    async fn page(&self, listing: &Listing) -> Result<ProductPage, StoreError> {
        list::page(&self.reads, listing).await
    }

    async fn translations(
        &self,
        ids: &[ProductId],
        primary: &[String],
    ) -> Result<BTreeMap<ProductId, Translations>, StoreError> {
        localized::translations(&mut *self.reads.acquire().await?, ids, primary).await
    }

    async fn prices(&self, ids: &[ProductId], currency: Currency) -> Result<BTreeMap<ProductId, Prices>, StoreError> {
        localized::prices(&mut *self.reads.acquire().await?, ids, currency).await
    }

    async fn add(&self, product: &Product, units: i64, dedup_key: &DedupKey) -> Result<Outcome<Listed>, ProductError> {
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let product = insert(&mut tx, product).await?;
        if !product.details.translations.is_empty() {
            localized::replace_translations(&mut tx, &[&product]).await?;
        }
        if !product.details.prices.is_empty() {
            localized::replace_prices(&mut tx, &[&product]).await?;
        }
        self.append_product_event(&mut tx, &product, &product.created(), product.version, dedup_key).await?;
        if units > 0 {
            self.open_stock(&mut tx, product.id, units, dedup_key).await?;
        }
        done(tx, Listed { product, stock: units }, dedup_key).await
    }

    async fn change(
        &self,
        id: ProductId,
        expected: &Expected,
        change: &Change,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, ProductError> {
        let changed = self.change_product(id, expected, change, dedup_key).await;
        self.drop_cached(&[id]).await;
        changed
    }

    async fn remove(
        &self,
        id: ProductId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, ProductError> {
        let removed = self.remove_product(id, expected, dedup_key).await;
        self.drop_cached(&[id]).await;
        removed
    }
}

impl PgCatalog {
    async fn change_product(
        &self,
        id: ProductId,
        expected: &Expected,
        change: &Change,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, ProductError> {
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let Listed { product: now, stock } = find_for_change(&mut tx, id).await?.ok_or(ProductError::NotFound)?;
        expected.check(now.version).map_err(ProductError::Stale)?;
        let details = now.changed(change.clone()).map_err(ProductError::Invalid)?;
        if details == now.details {
            return done(tx, Listed { product: now, stock }, dedup_key).await;
        }
        let translated = details.translations != now.details.translations;
        let priced = details.prices != now.details.prices;
        let product = update(&mut tx, Product { details, version: now.version + 1, ..now }).await?;
        if translated {
            localized::replace_translations(&mut tx, &[&product]).await?;
        }
        if priced {
            localized::replace_prices(&mut tx, &[&product]).await?;
        }
        let event = product.updated(own_prices::own_prices_of(&mut tx, &product).await?);
        self.append_product_event(&mut tx, &product, &event, product.version, dedup_key).await?;
        done(tx, Listed { product, stock }, dedup_key).await
    }

    async fn remove_product(
        &self,
        id: ProductId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, ProductError> {
        const REMOVE: &str =
            "update product set deleted_at = now(), updated_at = now(), version = version + 1 where id = $1";
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(()) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(()));
        }
        let Listed { product, stock: _ } = find_for_change(&mut tx, id).await?.ok_or(ProductError::NotFound)?;
        expected.check(product.version).map_err(ProductError::Stale)?;
        sqlx::query(REMOVE).bind(id.uuid()).execute(&mut *tx).await.map_err(StoreError::from)?;
        self.append_product_event(&mut tx, &product, &product.deleted(), product.version + 1, dedup_key).await?;
        done(tx, (), dedup_key).await
    }

    /// Reads a product within a transaction.
    pub(super) async fn find_in(tx: &mut Tx, id: ProductId) -> Result<Option<Listed>, StoreError> {
        let row: Option<Row> = sqlx::query_as(FIND).bind(id.uuid()).fetch_optional(&mut **tx).await?;
        row.map(Row::into_listed).transpose()
    }

    /// Gives a locked product, one of whose variants has another own price than before, a further version with its event.
    pub(super) async fn append_repriced(
        &self,
        tx: &mut Tx,
        locked: Product,
        dedup_key: &DedupKey,
    ) -> Result<(), StoreError> {
        const RAISE: &str = "update product set version = $2, updated_at = now() where id = $1";
        let product = Product { version: locked.version + 1, ..locked };
        sqlx::query(RAISE).bind(product.id.uuid()).bind(product.version).execute(&mut **tx).await?;
        let event = product.updated(own_prices::own_prices_of(tx, &product).await?);
        self.append_product_event(tx, &product, &event, product.version, dedup_key).await
    }

    /// Appends an event of the product; its version is the sequence number.
    async fn append_product_event(
        &self,
        tx: &mut Tx,
        product: &Product,
        event: &agora_events::catalog::ProductEvent,
        seq: i64,
        dedup_key: &DedupKey,
    ) -> Result<(), StoreError> {
        let new_event =
            NewEvent { event, aggregate: product.id.uuid(), seq, correlation: None, causation: dedup_key.causation() };
        Ok(emit(tx, &*self.ids, self.epoch, new_event).await?)
    }

    async fn open_stock(&self, tx: &mut Tx, id: ProductId, units: i64, dedup_key: &DedupKey) -> Result<(), StoreError> {
        const OPEN: &str = include_str!("../../sql/open_stock.sql");
        let location = StockLocation { product: id, variant: Variant::default(), warehouse: WarehouseId::MAIN };
        let opened = StockLevel { on_hand: units, version: 1, ..StockLevel::empty(self.ids.next(), location, 0) };
        let open = sqlx::query(OPEN).bind(id.uuid()).bind(WarehouseId::MAIN.uuid()).bind(units).bind(opened.id);
        open.execute(&mut **tx).await?;
        self.append_stock_changed(tx, &opened, dedup_key).await
    }
}

/// Stores the result and commits.
async fn done<T: serde::Serialize + Sync>(
    mut tx: Tx,
    answer: T,
    dedup_key: &DedupKey,
) -> Result<Outcome<T>, ProductError> {
    store_result(&mut tx, dedup_key, &answer).await.map_err(StoreError::from)?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Outcome::Applied(answer))
}

/// Reads a product within a transaction, and locks it.
pub(super) async fn find_for_change(tx: &mut Tx, id: ProductId) -> Result<Option<Listed>, StoreError> {
    let row: Option<Row> = sqlx::query_as(LOCK).bind(id.uuid()).fetch_optional(&mut **tx).await?;
    row.map(Row::into_listed).transpose()
}

async fn insert(tx: &mut Tx, product: &Product) -> Result<Product, ProductError> {
    const INSERT: &str = include_str!("../../sql/insert_product.sql");
    let Product { id, seller, version: _, details, created_at: _, updated_at: _ } = product;
    let Details { name, description, sku, price, category, brand, supplier, image_url, translations: _, prices: _ } =
        details;
    let written: Written = sqlx::query_as(INSERT)
        .bind(id.uuid())
        .bind(seller.uuid())
        .bind(name.as_str())
        .bind(name.sort_key())
        .bind(description.as_str())
        .bind(sku.as_ref().map(Sku::as_str))
        .bind(price.money().amount)
        .bind(price.money().currency.as_str())
        .bind(category.as_ref().map(Label::as_str))
        .bind(brand.as_ref().map(Label::as_str))
        .bind(supplier.as_ref().map(Label::as_str))
        .bind(image_url.as_ref().map(ImageUrl::as_str))
        .fetch_one(&mut **tx)
        .await
        .map_err(sku_taken)?;
    Ok(written.into_product(product.clone()))
}

async fn update(tx: &mut Tx, product: Product) -> Result<Product, ProductError> {
    const UPDATE: &str = include_str!("../../sql/update_product.sql");
    let Details { name, description, sku, price, category, brand, supplier, image_url, translations: _, prices: _ } =
        &product.details;
    let written: Written = sqlx::query_as(UPDATE)
        .bind(product.id.uuid())
        .bind(product.version)
        .bind(name.as_str())
        .bind(name.sort_key())
        .bind(description.as_str())
        .bind(sku.as_ref().map(Sku::as_str))
        .bind(price.money().amount)
        .bind(category.as_ref().map(Label::as_str))
        .bind(brand.as_ref().map(Label::as_str))
        .bind(supplier.as_ref().map(Label::as_str))
        .bind(image_url.as_ref().map(ImageUrl::as_str))
        .fetch_one(&mut **tx)
        .await
        .map_err(sku_taken)?;
    Ok(written.into_product(product))
}

/// What the database determines when a product is written.
#[derive(sqlx::FromRow)]
struct Written {
    category: Option<String>,
    brand: Option<String>,
    supplier: Option<String>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl Written {
    fn into_product(self, product: Product) -> Product {
        let Self { category, brand, supplier, created_at, updated_at } = self;
        let details = Details {
            category: category.map(Label::stored),
            brand: brand.map(Label::stored),
            supplier: supplier.map(Label::stored),
            ..product.details
        };
        Product { details, created_at, updated_at, ..product }
    }
}

fn sku_taken(error: sqlx::Error) -> ProductError {
    match constraint(&error) {
        Some("product_sku_unique") => ProductError::SkuTaken,
        _ => ProductError::Store(error.into()),
    }
}
