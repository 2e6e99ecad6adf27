//! Applies batches of events: one transaction for each. Every value carries the event that it comes from, and an older one never
//! replaces a newer one, so that no deduplication key is needed.

use std::collections::{BTreeMap, BTreeSet};

use agora_postgres::Tx;
use agora_vocab::{OrderId, ProductId, UserId};
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    PgRecommendations,
    rows::{NewProduct, NewPurchase, NewStock, Pair, PurchaseRow, Units},
};
use crate::{
    domain::{HistoryChange, ProductCopy, Purchase, StockLevel},
    ports::{Applied, EventBatch, Projection, StoreError},
};

#[async_trait]
impl Projection for PgRecommendations {
    async fn apply(&self, batch: &EventBatch) -> Result<Applied, StoreError> {
        let mut tx = self.db.begin().await?;
        let history = store_purchases(&mut tx, &batch.purchases).await?;
        lock_products(&mut tx, batch, &history).await?;
        let copied = store_products(&mut tx, &batch.products).await?;
        let flipped = store_stock(&mut tx, &batch.stock).await?;
        let sold = count(&mut tx, &history).await?;
        mark_due(&mut tx, &history.users).await?;
        let products = copied || flipped || sold;
        if products || !history.users.is_empty() {
            mark_stale(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(Applied { users: history.users, products })
    }
}

/// Stores purchases that are new or newer than the stored ones, and locks all of them.
async fn store_purchases(tx: &mut Tx, purchases: &[Purchase]) -> Result<HistoryChange, StoreError> {
    const INSERT: &str = include_str!("../../sql/insert_purchases.sql");
    const LOCK: &str = include_str!("../../sql/lock_purchases.sql");
    const UPDATE: &str = include_str!("../../sql/update_purchases.sql");
    let mut change = HistoryChange::default();
    if purchases.is_empty() {
        return Ok(change);
    }
    let rows: Vec<_> = purchases.iter().map(NewPurchase::from).collect();
    let inserted: Vec<Uuid> = sqlx::query_scalar(INSERT).bind(rows).fetch_all(&mut **tx).await?;
    let inserted: BTreeSet<_> = inserted.into_iter().map(OrderId::new).collect();
    let (new, known): (Vec<_>, Vec<_>) = purchases.iter().partition(|purchase| inserted.contains(&purchase.order));
    for purchase in new {
        change.add(None, purchase);
    }
    if known.is_empty() {
        return Ok(change);
    }
    let orders: Vec<_> = known.iter().map(|purchase| purchase.order.uuid()).collect();
    let stored: Vec<PurchaseRow> = sqlx::query_as(LOCK).bind(orders).fetch_all(&mut **tx).await?;
    let stored: BTreeMap<_, _> = stored.into_iter().map(Purchase::from).map(|row| (row.order, row)).collect();
    let mut newer = Vec::new();
    for purchase in known {
        let before = stored.get(&purchase.order);
        if before.is_some_and(|before| before.revision >= purchase.revision) {
            continue;
        }
        change.add(before, purchase);
        newer.push(NewPurchase::from(purchase));
    }
    if !newer.is_empty() {
        sqlx::query(UPDATE).bind(newer).execute(&mut **tx).await?;
    }
    Ok(change)
}

/// Locks the rows of every product that the transaction changes, before it changes any.
async fn lock_products(tx: &mut Tx, batch: &EventBatch, history: &HistoryChange) -> Result<(), StoreError> {
    const INSERT: &str = include_str!("../../sql/insert_products.sql");
    const LOCK: &str = include_str!("../../sql/lock_products.sql");
    let copied = batch.products.iter().map(|copy| copy.product);
    let stocked = batch.stock.iter().map(|level| level.key.product);
    let products: BTreeSet<ProductId> = copied.chain(stocked).chain(history.units.keys().copied()).collect();
    if products.is_empty() {
        return Ok(());
    }
    let products: Vec<_> = products.into_iter().map(ProductId::uuid).collect();
    sqlx::query(INSERT).bind(&products).execute(&mut **tx).await?;
    sqlx::query(LOCK).bind(&products).execute(&mut **tx).await?;
    Ok(())
}

/// Whether a product changed.
async fn store_products(tx: &mut Tx, products: &[ProductCopy]) -> Result<bool, StoreError> {
    const UPDATE: &str = include_str!("../../sql/update_products.sql");
    if products.is_empty() {
        return Ok(false);
    }
    let rows: Vec<_> = products.iter().map(NewProduct::from).collect();
    Ok(!sqlx::query(UPDATE).bind(rows).fetch_all(&mut **tx).await?.is_empty())
}

/// Whether a product came into or went out of stock.
async fn store_stock(tx: &mut Tx, stock: &[StockLevel]) -> Result<bool, StoreError> {
    const STORE: &str = include_str!("../../sql/store_stock.sql");
    const UPDATE: &str = include_str!("../../sql/update_in_stock.sql");
    if stock.is_empty() {
        return Ok(false);
    }
    let rows: Vec<_> = stock.iter().map(NewStock::from).collect();
    sqlx::query(STORE).bind(rows).execute(&mut **tx).await?;
    let products: BTreeSet<_> = stock.iter().map(|level| level.key.product.uuid()).collect();
    let products: Vec<_> = products.into_iter().collect();
    Ok(!sqlx::query(UPDATE).bind(products).fetch_all(&mut **tx).await?.is_empty())
}

/// Adds a change of the history to the counts of units sold and of products bought together. Returns whether a product was
/// sold for the first time, or is no longer sold to anybody: users without purchases are recommended others then.
async fn count(tx: &mut Tx, HistoryChange { units, pairs, .. }: &HistoryChange) -> Result<bool, StoreError> {
    const ADD_UNITS: &str = include_str!("../../sql/add_units.sql");
    const ADD_PAIRS: &str = include_str!("../../sql/add_pairs.sql");
    const DELETE_PAIRS: &str = include_str!("../../sql/delete_pairs.sql");
    let mut best_sellers = false;
    if !units.is_empty() {
        let units = units.iter().map(|(product, units)| Units { product_id: product.uuid(), units: *units });
        let add = sqlx::query_scalar(ADD_UNITS).bind(units.collect::<Vec<_>>());
        let changed: Vec<bool> = add.fetch_all(&mut **tx).await?;
        best_sellers = changed.contains(&true);
    }
    let rows = |least: i64, most: i64| -> Vec<Pair> {
        let chosen = pairs.iter().filter(|(_, orders)| (least..=most).contains(*orders));
        let row = |((product, other), orders): (&(ProductId, ProductId), &i64)| Pair {
            product_id: product.uuid(),
            other_id: other.uuid(),
            orders: *orders,
        };
        chosen.map(row).collect()
    };
    if !pairs.is_empty() {
        sqlx::query(ADD_PAIRS).bind(rows(i64::MIN, i64::MAX)).execute(&mut **tx).await?;
    }
    let lowered = rows(i64::MIN, -1);
    if !lowered.is_empty() {
        sqlx::query(DELETE_PAIRS).bind(lowered).execute(&mut **tx).await?;
    }
    Ok(best_sellers)
}

/// The next scheduled runs over all users have something to do.
pub(super) async fn mark_stale(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query(include_str!("../../sql/mark_stale.sql")).execute(&mut **tx).await?;
    Ok(())
}

async fn mark_due(tx: &mut Tx, users: &BTreeSet<UserId>) -> Result<(), StoreError> {
    const MARK: &str = include_str!("../../sql/mark_due.sql");
    if !users.is_empty() {
        let users: Vec<_> = users.iter().map(|user| user.uuid()).collect();
        sqlx::query(MARK).bind(users).execute(&mut **tx).await?;
    }
    Ok(())
}
