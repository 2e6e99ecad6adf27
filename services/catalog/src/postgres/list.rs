//! Pages of products: along an index of the sort key, or what a search finds. Contains no rule about products.

use agora_postgres::{Connection, Db};
use sqlx::{Postgres, postgres::PgArguments, query::QueryAs};
use time::OffsetDateTime;
use uuid::Uuid;

use super::rows::PageRow;
use crate::{
    domain::{CursorKey, Filter, Label, Listing, ProductPage, Sort, Start},
    ports::StoreError,
};

const COUNT: &str = include_str!("../../sql/count_products.sql");
const COUNT_FOUND: &str = include_str!("../../sql/count_found.sql");
/// After the creation of every product.
const LAST_TIME: OffsetDateTime = time::macros::datetime!(9999-12-31 0:00 UTC);

/// Reads one page; with an offset, also the number of all products that the filter admits.
pub(super) async fn page(reads: &Db, listing: &Listing) -> Result<ProductPage, StoreError> {
    let Listing { filter: Filter { category, search }, sort, start, limit, expand } = listing;
    let category = category.as_ref().map(Label::as_str);
    let pattern = search.as_ref().map(|search| format!("%{}%", literal(search.as_str())));
    let mut connection = reads.acquire().await?;
    let (total, offset) = match start {
        Start::Offset(offset) => {
            let total = count(&mut connection, pattern.as_deref(), category).await?;
            (u64::try_from(total).ok(), i64::try_from(*offset).unwrap_or(i64::MAX))
        }
        Start::First | Start::After(_) => (None, 0),
    };
    let key = match start {
        Start::After(cursor) => PageKey { value: cursor.key.clone(), id: cursor.id.uuid() },
        Start::First | Start::Offset(_) => PageKey::before_first(*sort),
    };
    let limit = i64::from(limit.get()) + 1;
    let query = match &pattern {
        Some(pattern) => found(pattern, category, *sort, key),
        None => along_index(category, *sort, key),
    };
    let query = query.bind(limit).bind(offset).bind(!expand.is_empty());
    // Last, because only the statements for one category have it.
    let query = if pattern.is_none() && category.is_some() { query.bind(category) } else { query };
    let rows: Vec<PageRow> = query.fetch_all(&mut *connection).await?;
    let rows = rows.into_iter().map(PageRow::into_parts).collect::<Result<_, _>>()?;
    Ok(ProductPage::cut(rows, listing, total))
}

type PageQuery<'q> = QueryAs<'q, Postgres, PageRow, PgArguments>;

/// A page of what a search finds, without its limit, its offset and whether it is expanded.
fn found<'q>(pattern: &'q str, category: Option<&'q str>, sort: Sort, key: PageKey) -> PageQuery<'q> {
    let (name, price, created) = match key.value {
        CursorKey::Name(name) => (Some(name), None, None),
        CursorKey::Price(amount) => (None, Some(amount), None),
        CursorKey::Created(at) => (None, None, Some(at)),
    };
    // Planned for its pattern and order, and each time: the index serves a long pattern, and not one of two letters.
    let query = sqlx::query_as(include_str!("../../sql/search_products.sql")).persistent(false);
    query.bind(pattern).bind(category).bind(sort.as_str()).bind(name).bind(price).bind(created).bind(key.id)
}

/// A page along the index of its order, without its limit, its offset, whether it is expanded, and the category.
fn along_index<'q>(category: Option<&str>, sort: Sort, key: PageKey) -> PageQuery<'q> {
    let [any_category, one_category] = page_sql(sort);
    let query = sqlx::query_as(if category.is_some() { one_category } else { any_category });
    let query = match key.value {
        CursorKey::Name(name) => query.bind(name),
        CursorKey::Price(amount) => query.bind(amount),
        CursorKey::Created(at) => query.bind(at),
    };
    query.bind(key.id)
}

async fn count(connection: &mut Connection, pattern: Option<&str>, category: Option<&str>) -> Result<i64, sqlx::Error> {
    let count = match pattern {
        Some(pattern) => sqlx::query_scalar(COUNT_FOUND).persistent(false).bind(pattern),
        None => sqlx::query_scalar(COUNT),
    };
    count.bind(category).fetch_one(connection).await
}

/// Sort key and id of the last product before a page.
struct PageKey {
    value: CursorKey,
    id: Uuid,
}

impl PageKey {
    /// A key before that of every product.
    fn before_first(sort: Sort) -> Self {
        let (value, id) = match sort {
            Sort::Name => (CursorKey::Name(String::new()), Uuid::nil()),
            Sort::Price => (CursorKey::Price(0), Uuid::nil()),
            Sort::PriceDown => (CursorKey::Price(i64::MAX), Uuid::max()),
            Sort::Created => (CursorKey::Created(OffsetDateTime::UNIX_EPOCH), Uuid::nil()),
            Sort::CreatedDown => (CursorKey::Created(LAST_TIME), Uuid::max()),
        };
        Self { value, id }
    }
}

/// The statements of a page: for any category, and for one.
const fn page_sql(sort: Sort) -> [&'static str; 2] {
    match sort {
        Sort::Name => {
            [include_str!("../../sql/page_by_name.sql"), include_str!("../../sql/page_by_name_in_category.sql")]
        }
        Sort::Price => {
            [include_str!("../../sql/page_by_price.sql"), include_str!("../../sql/page_by_price_in_category.sql")]
        }
        Sort::PriceDown => [
            include_str!("../../sql/page_by_price_down.sql"),
            include_str!("../../sql/page_by_price_down_in_category.sql"),
        ],
        Sort::Created => {
            [include_str!("../../sql/page_by_created.sql"), include_str!("../../sql/page_by_created_in_category.sql")]
        }
        Sort::CreatedDown => [
            include_str!("../../sql/page_by_created_down.sql"),
            include_str!("../../sql/page_by_created_down_in_category.sql"),
        ],
    }
}

/// Escapes the wildcards of `like`.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
