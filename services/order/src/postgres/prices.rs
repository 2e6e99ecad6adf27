//! What decides prices, in PostgreSQL: pages by code, and the end of a change. Must not contain a statement.

use agora_outbox::{DedupKey, Outcome, store_result};
use agora_postgres::{Db, Tx};
use agora_vocab::{Page, PageSize};

use crate::ports::{SettingError, StoreError};

/// Store of coupons, shipping methods and tax rules in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgPrices {
    pub db: Db,
}

/// Builds a page from items that were read with a limit of one more than its size.
pub(super) fn page<T>(mut items: Vec<T>, size: PageSize, code: impl Fn(&T) -> String) -> Page<T> {
    let more = items.len() > usize::from(size.get());
    items.truncate(size.get().into());
    let next = items.last().filter(|_| more).map(code);
    Page { items, total: None, next }
}

/// Stores the result and commits.
pub(super) async fn done<T: serde::Serialize + Sync>(
    mut tx: Tx,
    result: T,
    dedup_key: &DedupKey,
) -> Result<Outcome<T>, SettingError> {
    store_result(&mut tx, dedup_key, &result).await.map_err(StoreError::from)?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Outcome::Applied(result))
}
