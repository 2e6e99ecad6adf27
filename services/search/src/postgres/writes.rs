//! The port `Index` in PostgreSQL: stores products, stock and vocabulary, and deletes what is no longer read.

use std::collections::BTreeSet;

use agora_postgres::Connection;
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    PgIndex,
    rows::{ProductChangeRow, StockChangeRow},
};
use crate::{
    domain::{Document, ProductChange, StockChange, Term},
    ports::{Index, StoreError, Target},
};

/// Rows that a statement of the sweep deletes at most.
const SWEEP_BATCH: i64 = 2_000;
/// Days that tombstones are kept: longer than events are delivered again.
const TOMBSTONE_DAYS: i32 = 30;

#[async_trait]
impl Index for PgIndex {
    async fn store_products(&self, changes: &[ProductChange], target: Target) -> Result<(), StoreError> {
        const STORE_PRODUCTS: &str = include_str!("../../sql/store_products.sql");
        let documents: Vec<Option<Document>> = changes.iter().map(document).collect();
        let mut connection = self.db.acquire().await?;
        // First: a product that is stored has its words in the vocabulary.
        store_terms(&mut connection, &documents, target).await?;
        let rows: Vec<_> = changes
            .iter()
            .zip(&documents)
            .map(|(change, document)| ProductChangeRow::of(change, document.as_ref()))
            .collect();
        sqlx::query(STORE_PRODUCTS).bind(rows).bind(generation(target)).execute(&mut *connection).await?;
        store_creations(&mut connection, changes).await
    }

    async fn store_stock(&self, changes: &[StockChange], target: Target) -> Result<(), StoreError> {
        const STORE_STOCK: &str = include_str!("../../sql/store_stock.sql");
        let rows: Vec<_> = changes.iter().map(StockChangeRow::from).collect();
        let mut connection = self.db.acquire().await?;
        sqlx::query(STORE_STOCK).bind(rows).bind(generation(target)).execute(&mut *connection).await?;
        Ok(())
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        const PRODUCTS: &str = include_str!("../../sql/delete_old_products.sql");
        const TERMS: &str = include_str!("../../sql/delete_old_terms.sql");
        const GENERATIONS: &str = include_str!("../../sql/delete_old_generations.sql");
        const HIDDEN: &str = include_str!("../../sql/delete_hidden.sql");
        let mut connection = self.db.acquire().await?;
        let mut deleted = 0;
        for statement in [PRODUCTS, TERMS] {
            deleted += sqlx::query(statement).bind(SWEEP_BATCH).execute(&mut *connection).await?.rows_affected();
        }
        deleted += sqlx::query(GENERATIONS).execute(&mut *connection).await?.rows_affected();
        let hidden = sqlx::query(HIDDEN).bind(SWEEP_BATCH).bind(TOMBSTONE_DAYS).execute(&mut *connection).await?;
        Ok(deleted + hidden.rows_affected())
    }
}

fn generation(target: Target) -> Option<i32> {
    match target {
        Target::Current => None,
        Target::Generation(number) => Some(number),
    }
}

fn document(change: &ProductChange) -> Option<Document> {
    match change {
        ProductChange::Stored(product) => Some(Document::of(product)),
        ProductChange::Deleted(_) => None,
    }
}

async fn store_terms(
    connection: &mut Connection,
    documents: &[Option<Document>],
    target: Target,
) -> Result<(), StoreError> {
    const STORE_TERMS: &str = include_str!("../../sql/store_terms.sql");
    let distinct: BTreeSet<&Term> = documents.iter().flatten().flat_map(|document| &document.terms).collect();
    let words: Vec<&str> = distinct.iter().map(|term| term.word.as_str()).collect();
    let keys: Vec<&str> = distinct.iter().map(|term| term.trigram_key.as_str()).collect();
    sqlx::query(STORE_TERMS).bind(words).bind(keys).bind(generation(target)).execute(connection).await?;
    Ok(())
}

/// Of a product's first version: an event of a later one may have been stored before, with a later time.
async fn store_creations(connection: &mut Connection, changes: &[ProductChange]) -> Result<(), StoreError> {
    const STORE_CREATIONS: &str = include_str!("../../sql/store_creations.sql");
    let created = changes.iter().filter_map(|change| match change {
        ProductChange::Stored(product) if product.version == 1 => Some((product.id.uuid(), product.created_at)),
        _ => None,
    });
    let (ids, times): (Vec<Uuid>, Vec<OffsetDateTime>) = created.unzip();
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(STORE_CREATIONS).bind(ids).bind(times).execute(connection).await?;
    Ok(())
}
