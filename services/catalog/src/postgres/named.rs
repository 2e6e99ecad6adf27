//! What the stores of terms and warehouses share: pages by name, and the end of a change. Contains no statement.

use agora_outbox::{DedupKey, Outcome, store_result};
use agora_postgres::Tx;
use agora_vocab::{Page, PageSize};

use crate::ports::{NamedError, StoreError};

/// Builds a page from rows that were read with a limit of one more than its size. `read` returns the sort key and the item of
/// a row.
pub(super) fn page<R, T>(
    rows: Vec<R>,
    size: PageSize,
    read: impl Fn(R) -> (String, Result<T, StoreError>),
) -> Result<Page<T>, StoreError> {
    let more = rows.len() > usize::from(size.get());
    let (mut items, mut next) = (Vec::new(), None);
    for row in rows.into_iter().take(size.get().into()) {
        let (key, item) = read(row);
        items.push(item?);
        next = Some(key);
    }
    Ok(Page { items, total: None, next: next.filter(|_| more) })
}

/// Stores the result and commits.
pub(super) async fn done<T: serde::Serialize + Sync>(
    mut tx: Tx,
    answer: T,
    dedup_key: &DedupKey,
) -> Result<Outcome<T>, NamedError> {
    store_result(&mut tx, dedup_key, &answer).await.map_err(StoreError::from)?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Outcome::Applied(answer))
}
