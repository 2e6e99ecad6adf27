//! The port `Searches` in PostgreSQL: one statement finds and counts, another one reads the products of the page.

use agora_vocab::{PageSize, ProductId};
use async_trait::async_trait;
use serde::Deserialize;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PgIndex, rows::ProductRow};
use crate::{
    domain::{
        CheckedWord, Completion, CompletionKind, Facet, FacetKind, Filter, MatchQuery, Matches, PRICE_BOUNDS, Product,
        Search, Sort, SortKey, Start, Term, price_range,
    },
    ports::{Searches, StoreError},
};

/// Products that a search considers at most; the rest is cut.
const MATCHES_MAX: i64 = 3_000;
/// Descriptions are searched until so many products match.
const DESCRIBED_MAX: i64 = 1_000;
/// Values of a filter that are counted, the most frequent ones.
const FACET_VALUES_MAX: i64 = 50;
/// Products that completions are made of.
const COMPLETED_MAX: i64 = 500;
/// Words that an unknown word is compared with.
const SIMILAR_MAX: i32 = 20;
/// After the creation of every product.
const LAST_TIME: OffsetDateTime = time::macros::datetime!(9999-12-31 0:00 UTC);

const SEARCH: &str = include_str!("../../sql/search.sql");

#[async_trait]
impl Searches for PgIndex {
    async fn check_words(&self, words: &[Term]) -> Result<Vec<CheckedWord>, StoreError> {
        const CHECK_WORDS: &str = include_str!("../../sql/check_words.sql");
        let texts: Vec<&str> = words.iter().map(|term| term.word.as_str()).collect();
        let keys: Vec<&str> = words.iter().map(|term| term.trigram_key.as_str()).collect();
        let mut connection = self.reads.acquire().await?;
        let check = sqlx::query_as(CHECK_WORDS).bind(texts).bind(keys).bind(SIMILAR_MAX);
        let rows: Vec<(String, bool, Vec<String>)> = check.fetch_all(&mut *connection).await?;
        let checked = |(word, is_known, similar)| CheckedWord { word, is_known, similar };
        Ok(rows.into_iter().map(checked).collect())
    }

    async fn matches(&self, query: &MatchQuery, search: &Search) -> Result<Matches, StoreError> {
        let Search { text: _, filter, sort, start, limit, facets } = search;
        let (after, offset) = position(start, *sort);
        let wanted =
            Wanted { query: Some(query), filter, sort: *sort, after, limit: rows_of(*limit), offset, facets: *facets };
        self.find_matches(wanted).await
    }

    async fn facets_of_all(&self, filter: &Filter) -> Result<Matches, StoreError> {
        let wanted = Wanted { query: None, filter, sort: Sort::Name, after: None, limit: 0, offset: 0, facets: true };
        self.find_matches(wanted).await
    }

    async fn browse(&self, search: &Search) -> Result<Vec<Product>, StoreError> {
        let Search { text: _, filter, sort, start, limit, facets: _ } = search;
        let (key, id, offset) = match start {
            Start::After(cursor) => (cursor.key.clone(), cursor.id.uuid(), 0),
            Start::Offset(offset) => (first_key(*sort), first_id(*sort), i64::try_from(*offset).unwrap_or(i64::MAX)),
            Start::First => (first_key(*sort), first_id(*sort), 0),
        };
        let statement = sqlx::query_as(browse_sql(*sort)).persistent(false);
        let statement = match key {
            SortKey::Name(name) => statement.bind(name),
            SortKey::Price(number) | SortKey::Rank(number) => statement.bind(number),
            SortKey::Created(at) => statement.bind(at),
        };
        let statement = statement
            .bind(id)
            .bind(rows_of(*limit))
            .bind(offset)
            .bind(&filter.category)
            .bind(&filter.brand)
            .bind(filter.price_min)
            .bind(filter.price_max)
            .bind(filter.in_stock);
        let mut connection = self.reads.acquire().await?;
        let rows: Vec<ProductRow> = statement.fetch_all(&mut *connection).await?;
        rows.into_iter().map(ProductRow::into_product).collect()
    }

    async fn find(&self, ids: &[ProductId]) -> Result<Vec<Product>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_products.sql");
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let mut connection = self.reads.acquire().await?;
        let rows: Vec<ProductRow> = sqlx::query_as(FIND).bind(ids).fetch_all(&mut *connection).await?;
        rows.into_iter().map(ProductRow::into_product).collect()
    }

    async fn complete(&self, query: &MatchQuery, limit: u16) -> Result<Vec<Completion>, StoreError> {
        const SUGGEST: &str = include_str!("../../sql/suggest.sql");
        let mut connection = self.reads.acquire().await?;
        let suggest = sqlx::query_as(SUGGEST)
            .persistent(false)
            .bind(&query.prefixes)
            .bind(&query.whole)
            .bind(COMPLETED_MAX)
            .bind(i64::from(limit));
        let rows: Vec<(i32, String, Option<Uuid>)> = suggest.fetch_all(&mut *connection).await?;
        let completion = |(kind, text, product): (i32, String, Option<Uuid>)| {
            let kind = match (kind, product) {
                (_, Some(id)) => CompletionKind::Product(ProductId::new(id)),
                (1, None) => CompletionKind::Category,
                (_, None) => CompletionKind::Brand,
            };
            Completion { text, kind }
        };
        Ok(rows.into_iter().map(completion).collect())
    }
}

/// Parameters of the statement that finds and counts.
struct Wanted<'a> {
    /// None: all products.
    query: Option<&'a MatchQuery>,
    filter: &'a Filter,
    sort: Sort,
    after: Option<(String, Uuid)>,
    limit: i64,
    offset: i64,
    facets: bool,
}

#[derive(sqlx::FromRow)]
struct MatchesRow {
    total: i64,
    named: i64,
    described: i64,
    products: Vec<Uuid>,
    ranks: Vec<i64>,
    facets: Json<Vec<FacetRow>>,
}

#[derive(Deserialize)]
struct FacetRow {
    filter: String,
    value: Option<String>,
    range: Option<usize>,
    products: u64,
}

impl PgIndex {
    async fn find_matches(&self, wanted: Wanted<'_>) -> Result<Matches, StoreError> {
        let Wanted { query, filter, sort, after, limit, offset, facets } = wanted;
        let (key, id) = after.unzip();
        let statement = sqlx::query_as(SEARCH)
            .persistent(false)
            .bind(query.map(|query| query.prefixes.as_str()))
            .bind(query.map(|query| query.whole.as_str()))
            .bind(query.map(|_| MATCHES_MAX))
            .bind(DESCRIBED_MAX)
            .bind(&filter.category)
            .bind(&filter.brand)
            .bind(filter.price_min)
            .bind(filter.price_max)
            .bind(filter.in_stock)
            .bind(sort.as_str())
            .bind(key)
            .bind(id)
            .bind(limit)
            .bind(offset)
            .bind(facets.then_some(&PRICE_BOUNDS[..]))
            .bind(FACET_VALUES_MAX);
        let mut connection = self.reads.acquire().await?;
        let row: MatchesRow = statement.fetch_one(&mut *connection).await?;
        let is_cut = query.is_some() && (row.named >= MATCHES_MAX || row.named + row.described >= DESCRIBED_MAX);
        let page = row.products.into_iter().map(ProductId::new).zip(row.ranks).collect();
        let facets = row.facets.0.into_iter().filter_map(FacetRow::into_facet).collect();
        Ok(Matches { total: u64::try_from(row.total).unwrap_or_default(), is_cut, page, facets })
    }
}

impl FacetRow {
    fn into_facet(self) -> Option<Facet> {
        let Self { filter, value, range, products } = self;
        let kind = match (filter.as_str(), value, range) {
            ("category", Some(name), _) => FacetKind::Category(name),
            ("brand", Some(name), _) => FacetKind::Brand(name),
            ("price", Some(currency), Some(range)) => {
                let (from, below) = price_range(range);
                FacetKind::Price { currency, from, below }
            }
            ("inStock", ..) => FacetKind::InStock,
            _ => return None,
        };
        Some(Facet { kind, products })
    }
}

/// Rows of a page, and one more to know whether there is a next one.
fn rows_of(limit: PageSize) -> i64 {
    i64::from(limit.get()) + 1
}

/// Sort key and id of the last product before the page, and how many products to skip.
fn position(start: &Start, sort: Sort) -> (Option<(String, Uuid)>, i64) {
    match start {
        Start::First => (None, 0),
        Start::Offset(offset) => (None, i64::try_from(*offset).unwrap_or(i64::MAX)),
        Start::After(cursor) => (Some((cursor.key.sortable(sort), cursor.id.uuid())), 0),
    }
}

/// A key before that of every product.
fn first_key(sort: Sort) -> SortKey {
    match sort {
        Sort::Name => SortKey::Name(String::new()),
        Sort::Price => SortKey::Price(-1),
        Sort::PriceDown => SortKey::Price(i64::MAX),
        Sort::Created => SortKey::Created(OffsetDateTime::UNIX_EPOCH),
        Sort::CreatedDown | Sort::Relevance => SortKey::Created(LAST_TIME),
    }
}

fn first_id(sort: Sort) -> Uuid {
    match sort {
        Sort::Name | Sort::Price | Sort::Created => Uuid::nil(),
        Sort::PriceDown | Sort::CreatedDown | Sort::Relevance => Uuid::max(),
    }
}

/// The statement of a page of all products; without a text, nothing is more relevant than the newest.
const fn browse_sql(sort: Sort) -> &'static str {
    match sort {
        Sort::Name => include_str!("../../sql/browse_by_name.sql"),
        Sort::Price => include_str!("../../sql/browse_by_price.sql"),
        Sort::PriceDown => include_str!("../../sql/browse_by_price_down.sql"),
        Sort::Created => include_str!("../../sql/browse_by_created.sql"),
        Sort::CreatedDown | Sort::Relevance => include_str!("../../sql/browse_by_created_down.sql"),
    }
}
