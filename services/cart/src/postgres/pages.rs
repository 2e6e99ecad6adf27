//! Pages of a search of all carts in the order of their ids, which reports lines of products.

use agora_postgres::Connection;
use uuid::Uuid;

use crate::ports::StoreError;

/// Products whose lines are searched for together: a quote has no more.
pub(super) const PRODUCTS_PER_SEARCH: i64 = 100;
/// Carts of one page, which one transaction reads.
const CARTS_PER_PAGE: i64 = 500;

/// The last cart of the page after a cart. None: fewer carts than a page are left.
pub(super) async fn last_of_page(connection: &mut Connection, after: Uuid) -> Result<Option<Uuid>, StoreError> {
    const LAST: &str = "select id from cart where id > $1 order by id offset $2 - 1 limit 1";
    Ok(sqlx::query_scalar(LAST).bind(after).bind(CARTS_PER_PAGE).fetch_optional(connection).await?)
}
