//! Deduplication of a change that is one transaction: its key is claimed at most once, its result is stored with it.
//!
//! Contains the statements on `idempotency` and `inbox`. Must not commit.

use agora_postgres::{Connection, Tx};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{DedupKey, Error};

/// Attempts to claim a key that exists and is deleted by the sweep in between.
const TRIES_MAX: u32 = 3;

/// Claims a key within the caller's transaction. `None`: the key is new; call [`store_result`] before the commit. `Some`:
/// the change was applied before, with this result. Waits for the transaction of a concurrent duplicate.
pub async fn claim_key<T: DeserializeOwned>(tx: &mut Tx, dedup_key: &DedupKey) -> Result<Option<T>, Error> {
    match (dedup_key, dedup_key.message()) {
        (_, Some((consumer, id))) => claim_message(tx, consumer, id).await,
        (DedupKey::Request { scope, key, route, hash }, None) => claim_request(tx, (scope, route, key), hash).await,
        (_, None) => Ok(None),
    }
}

/// The stored result of a key, without claiming it. `None`: the key is new, or its transaction is not committed yet;
/// [`claim_key`] distinguishes the two.
pub async fn find_result<T: DeserializeOwned>(
    connection: &mut Connection,
    dedup_key: &DedupKey,
) -> Result<Option<T>, Error> {
    match (dedup_key, dedup_key.message()) {
        (_, Some((consumer, id))) => find_message(connection, consumer, id).await,
        (DedupKey::Request { scope, key, route, hash }, None) => {
            find_request(connection, (scope, route, key), hash).await
        }
        (_, None) => Ok(None),
    }
}

async fn find_request<T: DeserializeOwned>(
    connection: &mut Connection,
    (scope, route, key): RequestKey<'_>,
    hash: &[u8; 32],
) -> Result<Option<T>, Error> {
    const FIND: &str =
        "select hash, state, answer from idempotency where scope = $1 and route = $2 and key = $3 and state = 'done'";
    let find = sqlx::query_as(FIND).bind(scope).bind(route).bind(key);
    let found: Option<RequestRow> = find.fetch_optional(connection).await?;
    found.map(|row| stored_result(row, hash).and_then(|answer| Ok(serde_json::from_value(answer)?))).transpose()
}

async fn find_message<T: DeserializeOwned>(
    connection: &mut Connection,
    consumer: &str,
    id: Uuid,
) -> Result<Option<T>, Error> {
    const FIND: &str = "select value from inbox where consumer = $1 and event_id = $2";
    let find = sqlx::query_scalar(FIND).bind(consumer).bind(id);
    let found: Option<Option<Json<Value>>> = find.fetch_optional(connection).await?;
    found.map(|value| Ok(serde_json::from_value(value.map_or(Value::Null, |Json(value)| value))?)).transpose()
}

/// Stores the result that a repetition returns, within the transaction in which [`claim_key`] returned `None`.
pub async fn store_result<T: Serialize>(tx: &mut Tx, dedup_key: &DedupKey, value: &T) -> Result<(), Error> {
    match (dedup_key, dedup_key.message()) {
        (_, Some((consumer, id))) => store_message(tx, consumer, id, value).await,
        (DedupKey::Request { scope, key, route, .. }, None) => store_request(tx, (scope, route, key), value).await,
        (_, None) => Ok(()),
    }
}

/// Scope, route, key.
type RequestKey<'a> = (&'a str, &'a str, &'a str);

#[derive(sqlx::FromRow)]
struct RequestRow {
    hash: Vec<u8>,
    state: String,
    answer: Option<Json<Value>>,
}

async fn claim_request<T: DeserializeOwned>(
    tx: &mut Tx,
    (scope, route, key): RequestKey<'_>,
    hash: &[u8; 32],
) -> Result<Option<T>, Error> {
    const CLAIM: &str = "insert into idempotency (scope, route, key, hash, state) values ($1, $2, $3, $4, 'started') \
        on conflict on constraint idempotency_pk do nothing";
    const FIND: &str = "select hash, state, answer from idempotency where scope = $1 and route = $2 and key = $3";
    for _ in 0..TRIES_MAX {
        let claim = sqlx::query(CLAIM).bind(scope).bind(route).bind(key).bind(hash.as_slice());
        if claim.execute(&mut **tx).await?.rows_affected() == 1 {
            return Ok(None);
        }
        let find = sqlx::query_as(FIND).bind(scope).bind(route).bind(key);
        let found: Option<RequestRow> = find.fetch_optional(&mut **tx).await?;
        if let Some(row) = found {
            return stored_result(row, hash).and_then(|answer| Ok(Some(serde_json::from_value(answer)?)));
        }
    }
    Err(Error::Running)
}

fn stored_result(row: RequestRow, hash: &[u8; 32]) -> Result<Value, Error> {
    let RequestRow { hash: known, state, answer } = row;
    match (known == hash, state.as_str(), answer) {
        (false, ..) => Err(Error::Mismatch),
        (true, "done", Some(Json(answer))) => Ok(answer),
        (true, ..) => Err(Error::Running),
    }
}

async fn store_request<T: Serialize>(tx: &mut Tx, (scope, route, key): RequestKey<'_>, value: &T) -> Result<(), Error> {
    const STORE: &str = "update idempotency set state = 'done', answer = $4::text::json \
        where scope = $1 and route = $2 and key = $3 and state = 'started'";
    let value = serde_json::to_string(value)?;
    let done = sqlx::query(STORE).bind(scope).bind(route).bind(key).bind(value).execute(&mut **tx).await?;
    exactly_one(done.rows_affected())
}

async fn claim_message<T: DeserializeOwned>(tx: &mut Tx, consumer: &str, id: Uuid) -> Result<Option<T>, Error> {
    const CLAIM: &str =
        "insert into inbox (consumer, event_id) values ($1, $2) on conflict on constraint inbox_pk do nothing";
    for _ in 0..TRIES_MAX {
        let claim = sqlx::query(CLAIM).bind(consumer).bind(id).execute(&mut **tx).await?;
        if claim.rows_affected() == 1 {
            return Ok(None);
        }
        if let Some(value) = find_message(tx, consumer, id).await? {
            return Ok(Some(value));
        }
    }
    Err(Error::Running)
}

async fn store_message<T: Serialize>(tx: &mut Tx, consumer: &str, id: Uuid, value: &T) -> Result<(), Error> {
    const STORE: &str = "update inbox set value = $3::text::json where consumer = $1 and event_id = $2";
    let value = serde_json::to_string(value)?;
    // The claimed row holds null already; most events have no result.
    if value == "null" {
        return Ok(());
    }
    let done = sqlx::query(STORE).bind(consumer).bind(id).bind(value).execute(&mut **tx).await?;
    exactly_one(done.rows_affected())
}

/// Fails for a key that this transaction did not claim: a concurrent duplicate could apply the change again.
pub(crate) fn exactly_one(rows: u64) -> Result<(), Error> {
    if rows == 1 { Ok(()) } else { Err(Error::Unavailable(sqlx::Error::RowNotFound)) }
}
