//! The port `Terms` in PostgreSQL. The trigger `product_terms_linked` links products to the terms that they name.

use agora_outbox::{DedupKey, NewEvent, NewEvents, Outcome, claim_key, write_once};
use agora_postgres::{Connection, Tx, constraint};
use agora_vocab::{Page, PageSize, ProductId, TermId};
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    PgCatalog, named, own_prices,
    rows::{ListedTermRow, Row},
};
use crate::{
    domain::{Expected, Label, Product, Taxonomy, Term, UsedBy},
    ports::{NamedError, StoreError, Terms},
};

/// Products that are renamed in one transaction.
const RENAMED_MAX: i64 = 100;

#[async_trait]
impl Terms for PgCatalog {
    async fn term(&self, taxonomy: Taxonomy, id: TermId) -> Result<Option<Term>, StoreError> {
        find_term(&mut *self.reads.acquire().await?, taxonomy, id).await
    }

    async fn terms(&self, taxonomy: Taxonomy, after: &str, size: PageSize) -> Result<Page<Term>, StoreError> {
        const PAGE: &str = include_str!("../../sql/page_of_terms.sql");
        let limit = i64::from(size.get()) + 1;
        let mut connection = self.reads.acquire().await?;
        let page = sqlx::query_as(PAGE).bind(taxonomy.as_str()).bind(after).bind(limit);
        let rows: Vec<TermRow> = page.fetch_all(&mut *connection).await?;
        named::page(rows, size, |row| (row.name_key.clone(), row.into_term()))
    }

    async fn add_term(
        &self,
        id: TermId,
        taxonomy: Taxonomy,
        name: &Label,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Term>, NamedError> {
        const INSERT: &str = include_str!("../../sql/insert_term.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let insert = sqlx::query_as(INSERT).bind(id.uuid()).bind(taxonomy.as_str()).bind(name.as_str());
        let row: TermRow = insert.fetch_one(&mut *tx).await.map_err(refused)?;
        named::done(tx, row.into_term()?, dedup_key).await
    }

    async fn rename_term(
        &self,
        taxonomy: Taxonomy,
        id: TermId,
        expected: &Expected,
        name: &Label,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Term>, NamedError> {
        const RENAME: &str = include_str!("../../sql/rename_term.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(stored) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(stored));
        }
        let now = lock_term(&mut tx, taxonomy, id).await?;
        expected.check(now.version).map_err(NamedError::Stale)?;
        if now.name == *name {
            return named::done(tx, now, dedup_key).await;
        }
        let rename = sqlx::query_as(RENAME).bind(id.uuid()).bind(name.as_str()).bind(taxonomy.is_of_products());
        let row: TermRow = rename.fetch_one(&mut *tx).await.map_err(refused)?;
        named::done(tx, row.into_term()?, dedup_key).await
    }

    async fn remove_term(
        &self,
        taxonomy: Taxonomy,
        id: TermId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, NamedError> {
        const REMOVE: &str = "delete from term where id = $1";
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(()) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(()));
        }
        let now = lock_term(&mut tx, taxonomy, id).await?;
        expected.check(now.version).map_err(NamedError::Stale)?;
        sqlx::query(REMOVE).bind(id.uuid()).execute(&mut *tx).await.map_err(refused)?;
        named::done(tx, (), dedup_key).await
    }

    async fn rename_products(&self) -> Result<Option<u64>, StoreError> {
        const NEXT: &str = include_str!("../../sql/next_renamed_term.sql");
        const RENAME: &str = include_str!("../../sql/rename_products.sql");
        const END: &str = include_str!("../../sql/end_rename.sql");
        let mut tx = self.db.begin().await?;
        let next: Option<(Uuid, i64, String)> = sqlx::query_as(NEXT).fetch_optional(&mut *tx).await?;
        let Some((id, version, name)) = next else { return Ok(None) };
        let rename = sqlx::query_as(RENAME).bind(id).bind(&name).bind(RENAMED_MAX);
        let rows: Vec<Row> = rename.fetch_all(&mut *tx).await?;
        let renamed = match rows.len() {
            0 => {
                let ended = sqlx::query(END).bind(id).bind(version).execute(&mut *tx).await?.rows_affected();
                (ended > 0).then_some(0)
            }
            count => u64::try_from(count).ok(),
        };
        let products = self.append_renamed(&mut tx, rows).await?;
        let committed = tx.commit().await;
        self.drop_cached(&products).await;
        committed?;
        Ok(renamed)
    }
}

impl PgCatalog {
    /// Appends the events of renamed products, and returns the ids of these.
    async fn append_renamed(&self, tx: &mut Tx, rows: Vec<Row>) -> Result<Vec<ProductId>, StoreError> {
        let renamed = rows.into_iter().map(|row| Ok(row.into_listed()?.product));
        let renamed: Vec<Product> = renamed.collect::<Result<_, StoreError>>()?;
        let mut own_prices = own_prices::own_prices(tx, &renamed).await?;
        let mut events = NewEvents::new();
        for product in &renamed {
            let event = product.updated(own_prices.remove(&product.id).unwrap_or_default());
            let (aggregate, seq) = (product.id.uuid(), product.version);
            let new_event = NewEvent { event: &event, aggregate, seq, correlation: None, causation: None };
            events.push(&*self.ids, self.epoch, new_event)?;
        }
        write_once(tx, sqlx::query("select outbox_append($1)").bind(events.rows()), &events, &[]).await?;
        Ok(renamed.into_iter().map(|product| product.id).collect())
    }
}

/// Reads a term of a taxonomy.
pub(super) async fn find_term(
    connection: &mut Connection,
    taxonomy: Taxonomy,
    id: TermId,
) -> Result<Option<Term>, StoreError> {
    const FIND: &str = include_str!("../../sql/find_term.sql");
    let find = sqlx::query_as(FIND).bind(taxonomy.as_str()).bind(id.uuid());
    let row: Option<TermRow> = find.fetch_optional(connection).await?;
    row.map(TermRow::into_term).transpose()
}

async fn lock_term(tx: &mut Tx, taxonomy: Taxonomy, id: TermId) -> Result<Term, NamedError> {
    const LOCK: &str = include_str!("../../sql/lock_term.sql");
    let lock = sqlx::query_as(LOCK).bind(taxonomy.as_str()).bind(id.uuid());
    let row: Option<TermRow> = lock.fetch_optional(&mut **tx).await.map_err(StoreError::from)?;
    Ok(row.ok_or(NamedError::NotFound)?.into_term()?)
}

fn refused(error: sqlx::Error) -> NamedError {
    match constraint(&error) {
        Some("term_name_unique") => NamedError::NameTaken,
        Some("product_category_known" | "product_brand_known" | "product_supplier_known") => {
            NamedError::InUse(UsedBy::Products)
        }
        Some("warehouse_location_known") => NamedError::InUse(UsedBy::Warehouses),
        _ => NamedError::Store(error.into()),
    }
}

#[derive(sqlx::FromRow)]
struct TermRow {
    #[sqlx(flatten)]
    term: ListedTermRow,
    name_key: String,
}

impl TermRow {
    fn into_term(self) -> Result<Term, StoreError> {
        self.term.into_term()
    }
}
