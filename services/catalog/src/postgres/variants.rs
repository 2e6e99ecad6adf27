//! The port `Variants` in PostgreSQL. Every change locks the product first. One of an own price is also a change of the
//! product: its event has the own prices of all of its variants.

use agora_outbox::{DedupKey, Outcome, claim_key};
use agora_postgres::{Connection, Tx, constraint};
use agora_vocab::{Money, Page, PageSize, ProductId, Variant, VariantId};
use async_trait::async_trait;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PgCatalog, named, products::find_for_change};
use crate::{
    domain::{
        Expected, Options, Price, Product, ProductVariant, Sku, UsedBy, VARIANTS_MAX, VariantChange, VariantDetails,
    },
    ports::{NamedError, StoreError, Variants},
};

#[async_trait]
impl Variants for PgCatalog {
    async fn variant(&self, product: ProductId, id: VariantId) -> Result<Option<ProductVariant>, StoreError> {
        find(&mut *self.reads.acquire().await?, product, id).await
    }

    async fn variants(
        &self,
        product: ProductId,
        after: &Variant,
        size: PageSize,
    ) -> Result<Page<ProductVariant>, StoreError> {
        const PAGE: &str = include_str!("../../sql/page_of_variants.sql");
        let limit = i64::from(size.get()) + 1;
        let mut connection = self.reads.acquire().await?;
        let page = sqlx::query_as(PAGE).bind(product.uuid()).bind(after.as_str()).bind(limit);
        let rows: Vec<VariantRow> = page.fetch_all(&mut *connection).await?;
        named::page(rows, size, |row| (row.name.clone(), row.into_variant()))
    }

    async fn add_variant(
        &self,
        id: VariantId,
        product: ProductId,
        name: &Variant,
        details: &VariantDetails,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ProductVariant>, NamedError> {
        const INSERT: &str = include_str!("../../sql/insert_variant.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let locked = lock_product(&mut tx, product).await?;
        details.check_currency(locked.details.price.money().currency).map_err(NamedError::Invalid)?;
        let VariantDetails { sku, price, options } = details;
        sqlx::query(INSERT)
            .bind(id.uuid())
            .bind(product.uuid())
            .bind(name.as_str())
            .bind(sku.as_ref().map(Sku::as_str))
            .bind(price.map(|price| price.money().amount))
            .bind(Json(options))
            .bind(i64::from(VARIANTS_MAX))
            .fetch_optional(&mut *tx)
            .await
            .map_err(refused)?
            .ok_or(NamedError::TooManyVariants)?;
        if price.is_some() {
            self.append_repriced(&mut tx, locked, dedup_key).await?;
        }
        let added = done(tx, product, id, dedup_key).await;
        self.drop_cached(&[product]).await;
        added
    }

    async fn change_variant(
        &self,
        product: ProductId,
        id: VariantId,
        expected: &Expected,
        change: &VariantChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ProductVariant>, NamedError> {
        const UPDATE: &str = include_str!("../../sql/update_variant.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let locked = lock_product(&mut tx, product).await?;
        let now = find(&mut tx, product, id).await?.ok_or(NamedError::NotFound)?;
        expected.check(now.version).map_err(NamedError::Stale)?;
        let details = now.changed(change.clone());
        details.check_currency(now.product_price.money().currency).map_err(NamedError::Invalid)?;
        if details != now.details {
            let VariantDetails { sku, price, options } = &details;
            let update = sqlx::query(UPDATE).bind(id.uuid()).bind(sku.as_ref().map(Sku::as_str));
            let update = update.bind(price.map(|price| price.money().amount)).bind(Json(options));
            update.execute(&mut *tx).await.map_err(refused)?;
        }
        if details.price != now.details.price {
            self.append_repriced(&mut tx, locked, dedup_key).await?;
        }
        let changed = done(tx, product, id, dedup_key).await;
        self.drop_cached(&[product]).await;
        changed
    }

    async fn remove_variant(
        &self,
        product: ProductId,
        id: VariantId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, NamedError> {
        const DELETE: &str = include_str!("../../sql/delete_variant.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(()) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(()));
        }
        let locked = lock_product(&mut tx, product).await?;
        let now = find(&mut tx, product, id).await?.ok_or(NamedError::NotFound)?;
        expected.check(now.version).map_err(NamedError::Stale)?;
        let delete = sqlx::query(DELETE).bind(id.uuid()).fetch_optional(&mut *tx);
        delete.await.map_err(StoreError::from)?.ok_or(NamedError::InUse(UsedBy::Units))?;
        if now.details.price.is_some() {
            self.append_repriced(&mut tx, locked, dedup_key).await?;
        }
        let removed = named::done(tx, (), dedup_key).await;
        self.drop_cached(&[product]).await;
        removed
    }
}

async fn lock_product(tx: &mut Tx, id: ProductId) -> Result<Product, NamedError> {
    Ok(find_for_change(tx, id).await?.ok_or(NamedError::NotFound)?.product)
}

async fn find(
    connection: &mut Connection,
    product: ProductId,
    id: VariantId,
) -> Result<Option<ProductVariant>, StoreError> {
    const FIND: &str = include_str!("../../sql/find_variant.sql");
    let find = sqlx::query_as(FIND).bind(product.uuid()).bind(id.uuid());
    let row: Option<VariantRow> = find.fetch_optional(connection).await?;
    row.map(VariantRow::into_variant).transpose()
}

/// Stores the variant as it is now as the result, and commits.
async fn done(
    mut tx: Tx,
    product: ProductId,
    id: VariantId,
    dedup_key: &DedupKey,
) -> Result<Outcome<ProductVariant>, NamedError> {
    let variant = find(&mut tx, product, id).await?.ok_or(NamedError::NotFound)?;
    named::done(tx, variant, dedup_key).await
}

fn refused(error: sqlx::Error) -> NamedError {
    match constraint(&error) {
        Some("variant_name_unique") => NamedError::NameTaken,
        Some("variant_sku_unique") => NamedError::SkuTaken,
        _ => NamedError::Store(error.into()),
    }
}

#[derive(sqlx::FromRow)]
struct VariantRow {
    id: Uuid,
    product_id: Uuid,
    version: i64,
    name: String,
    sku: Option<String>,
    price_amount: Option<i64>,
    options: Json<Options>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    product_price: i64,
    price_currency: String,
    stock: i64,
}

impl VariantRow {
    fn into_variant(self) -> Result<ProductVariant, StoreError> {
        let Self {
            id,
            product_id,
            version,
            name,
            sku,
            price_amount,
            options: Json(options),
            created_at,
            updated_at,
            product_price,
            price_currency,
            stock,
        } = self;
        let currency =
            price_currency.parse().map_err(|error: agora_vocab::Invalid| StoreError::Broken(error.into()))?;
        let price = |amount| Price::stored(Money { amount, currency });
        let details = VariantDetails { sku: sku.map(Sku::stored), price: price_amount.map(price), options };
        Ok(ProductVariant {
            id: VariantId::new(id),
            product: ProductId::new(product_id),
            version,
            name: Variant::stored(name),
            details,
            product_price: price(product_price),
            stock,
            created_at,
            updated_at,
        })
    }
}
