//! Own prices of variants, as the events of their products have them. Changes nothing.

use std::collections::BTreeMap;

use agora_postgres::Tx;
use agora_vocab::{Currency, Money, ProductId, Variant};
use uuid::Uuid;

use crate::{
    domain::{Product, VariantPrices},
    ports::StoreError,
};

/// Reads the own prices of the variants of products that the transaction has locked or inserted. Not in the statement that
/// locks: after it has waited for another transaction, it reads the variants as they were before.
pub(super) async fn own_prices(
    tx: &mut Tx,
    products: &[Product],
) -> Result<BTreeMap<ProductId, VariantPrices>, StoreError> {
    const FIND: &str = include_str!("../../sql/find_variant_prices.sql");
    if products.is_empty() {
        return Ok(BTreeMap::new());
    }
    let currency = |product: &Product| (product.id.uuid(), product.details.price.money().currency);
    let currencies: BTreeMap<Uuid, Currency> = products.iter().map(currency).collect();
    let ids: Vec<Uuid> = currencies.keys().copied().collect();
    let rows: Vec<(Uuid, String, i64)> = sqlx::query_as(FIND).bind(ids).fetch_all(&mut **tx).await?;
    let mut found: BTreeMap<ProductId, VariantPrices> = BTreeMap::new();
    for (product, name, amount) in rows {
        let Some(&currency) = currencies.get(&product) else { continue };
        let prices = found.entry(ProductId::new(product)).or_default();
        prices.insert(Variant::stored(name), Money { amount, currency });
    }
    Ok(found)
}

/// Reads the own prices of the variants of one product.
pub(super) async fn own_prices_of(tx: &mut Tx, product: &Product) -> Result<VariantPrices, StoreError> {
    Ok(own_prices(tx, std::slice::from_ref(product)).await?.remove(&product.id).unwrap_or_default())
}
