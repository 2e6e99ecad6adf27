//! Stores copies of products. A copy never replaces one of the same or a newer version, so that no deduplication key is
//! needed.

use std::collections::BTreeMap;

use agora_postgres::Connection;
use agora_vocab::{Money, Variant};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{domain::ProductCopy, ports::StoreError};

/// A copy to store: the composite type `product_copy_with_variants`.
#[derive(sqlx::Encode)]
struct CopiedProduct<'a> {
    product_id: Uuid,
    epoch: i64,
    version: i64,
    name: &'a str,
    image_url: Option<&'a str>,
    price_amount: Option<i64>,
    price_currency: Option<&'a str>,
    variant_prices: Json<&'a BTreeMap<Variant, Money>>,
    deleted: bool,
}

agora_postgres::composite!(CopiedProduct<'_>, "product_copy_with_variants");

impl<'a> From<&'a ProductCopy> for CopiedProduct<'a> {
    fn from(copy: &'a ProductCopy) -> Self {
        let ProductCopy { product, epoch, version, name, image_url, price, variant_prices, deleted } = copy;
        Self {
            product_id: product.uuid(),
            epoch: i64::from(epoch.0),
            version: *version,
            name,
            image_url: image_url.as_deref(),
            price_amount: price.map(|price| price.amount),
            price_currency: price.as_ref().map(|price| price.currency.as_str()),
            variant_prices: Json(variant_prices),
            deleted: *deleted,
        }
    }
}

/// Stores each copy unless the same or a newer version is stored.
pub(super) async fn store(connection: &mut Connection, copies: &[ProductCopy]) -> Result<(), StoreError> {
    const STORE_COPIES: &str = include_str!("../../sql/store_copies.sql");
    let rows: Vec<_> = copies.iter().map(CopiedProduct::from).collect();
    sqlx::query(STORE_COPIES).bind(rows).execute(connection).await?;
    Ok(())
}

/// Whether a deletion of the product is stored that is not of an older epoch than `copy`.
pub(super) async fn is_deleted(connection: &mut Connection, copy: &ProductCopy) -> Result<bool, StoreError> {
    const IS_DELETED: &str =
        "select exists (select from product_copy where product_id = $1 and deleted and epoch >= $2)";
    let is_deleted = sqlx::query_scalar(IS_DELETED).bind(copy.product.uuid()).bind(i64::from(copy.epoch.0));
    Ok(is_deleted.fetch_one(connection).await?)
}
