//! Translations of products and their prices in other currencies. Contains the SQL of the tables `product_translation` and
//! `product_price`.

use std::collections::BTreeMap;

use agora_postgres::{Connection, Tx};
use agora_vocab::{Currency, Money, ProductId};
use uuid::Uuid;

use crate::{
    domain::{Description, Language, Name, Prices, Product, Translation, Translations},
    ports::StoreError,
};

/// Reads translations of products into languages with these first subtags.
pub(super) async fn translations(
    connection: &mut Connection,
    ids: &[ProductId],
    primary: &[String],
) -> Result<BTreeMap<ProductId, Translations>, StoreError> {
    const FIND: &str = include_str!("../../sql/find_translations.sql");
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows: Vec<(Uuid, String, String, String)> =
        sqlx::query_as(FIND).bind(ids).bind(primary).fetch_all(connection).await?;
    let mut by_product: BTreeMap<ProductId, BTreeMap<Language, Translation>> = BTreeMap::new();
    for (id, language, name, description) in rows {
        let translation = Translation { name: Name::stored(name), description: Description::stored(description) };
        by_product.entry(ProductId::new(id)).or_default().insert(Language::stored(language), translation);
    }
    Ok(by_product.into_iter().map(|(id, found)| (id, Translations::stored(found))).collect())
}

/// Reads prices of products in a currency.
pub(super) async fn prices(
    connection: &mut Connection,
    ids: &[ProductId],
    currency: Currency,
) -> Result<BTreeMap<ProductId, Prices>, StoreError> {
    const FIND: &str = include_str!("../../sql/find_prices.sql");
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let find = sqlx::query_as(FIND).bind(ids).bind(currency.as_str());
    let rows: Vec<(Uuid, i64)> = find.fetch_all(connection).await?;
    let price = |(id, amount)| (ProductId::new(id), Prices::stored([Money { amount, currency }]));
    Ok(rows.into_iter().map(price).collect())
}

/// Replaces the prices, in other currencies, of products that the transaction has locked or inserted.
pub(super) async fn replace_prices(tx: &mut Tx, products: &[&Product]) -> Result<(), StoreError> {
    const REPLACE: &str = include_str!("../../sql/replace_prices.sql");
    if products.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = products.iter().map(|product| product.id.uuid()).collect();
    let (mut of, mut currencies, mut amounts) = (Vec::new(), Vec::new(), Vec::new());
    for product in products {
        for Money { amount, currency } in product.details.prices.iter() {
            of.push(product.id.uuid());
            currencies.push(currency.to_string());
            amounts.push(amount);
        }
    }
    let replace = sqlx::query(REPLACE).bind(ids).bind(of).bind(currencies).bind(amounts);
    replace.execute(&mut **tx).await?;
    Ok(())
}

/// Replaces the translations of products that the transaction has locked or inserted.
pub(super) async fn replace_translations(tx: &mut Tx, products: &[&Product]) -> Result<(), StoreError> {
    const REPLACE: &str = include_str!("../../sql/replace_translations.sql");
    if products.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = products.iter().map(|product| product.id.uuid()).collect();
    let (mut of, mut languages, mut names, mut descriptions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for product in products {
        for (language, Translation { name, description }) in product.details.translations.iter() {
            of.push(product.id.uuid());
            languages.push(language.as_str());
            names.push(name.as_str());
            descriptions.push(description.as_str());
        }
    }
    let replace = sqlx::query(REPLACE).bind(ids).bind(of).bind(languages).bind(names).bind(descriptions);
    replace.execute(&mut **tx).await?;
    Ok(())
}
