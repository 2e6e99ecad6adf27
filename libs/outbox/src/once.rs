//! Work that is one transaction: begun at most once, its answer remembered with it.
//!
//! Knows `idempotency` and `inbox`; must not commit.

use agora_postgres::Tx;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{Cause, Error};

/// How often a claim is tried that was there, and then was swept away.
const TRIES_MAX: u32 = 3;

/// Claims a cause within the caller's transaction. `None`: go on, and [`remember`] before the commit. `Some`: it was done
/// before, and this is what was remembered. A twin that is under way is waited for.
pub async fn once<T: DeserializeOwned>(tx: &mut Tx, cause: &Cause) -> Result<Option<T>, Error> {
    match (cause, cause.message()) {
        (_, Some((consumer, id))) => once_message(tx, consumer, id).await,
        (Cause::Request { scope, key, route, hash }, None) => once_request(tx, (scope, route, key), hash).await,
        (_, None) => Ok(None),
    }
}

/// What was remembered of a cause that was done before, without claiming it. `None`: it was not, or is under way; [`once`]
/// will tell.
pub async fn recall<T: DeserializeOwned>(connection: &mut PgConnection, cause: &Cause) -> Result<Option<T>, Error> {
    match (cause, cause.message()) {
        (_, Some((consumer, id))) => recall_message(connection, consumer, id).await,
        (Cause::Request { scope, key, route, hash }, None) => {
            recall_request(connection, (scope, route, key), hash).await
        }
        (_, None) => Ok(None),
    }
}

async fn recall_request<T: DeserializeOwned>(
    connection: &mut PgConnection,
    (scope, route, key): RequestKey<'_>,
    hash: &[u8; 32],
) -> Result<Option<T>, Error> {
    const FIND: &str =
        "select hash, state, answer from idempotency where scope = $1 and route = $2 and key = $3 and state = 'done'";
    let find = sqlx::query_as(FIND).bind(scope).bind(route).bind(key);
    let found: Option<RequestRow> = find.fetch_optional(connection).await?;
    found.map(|row| stored_answer(row, hash).and_then(|answer| Ok(serde_json::from_value(answer)?))).transpose()
}

async fn recall_message<T: DeserializeOwned>(
    connection: &mut PgConnection,
    consumer: &str,
    id: Uuid,
) -> Result<Option<T>, Error> {
    const FIND: &str = "select value from inbox where consumer = $1 and event_id = $2";
    let find = sqlx::query_scalar(FIND).bind(consumer).bind(id);
    let found: Option<Option<Json<Value>>> = find.fetch_optional(connection).await?;
    found.map(|value| Ok(serde_json::from_value(value.map_or(Value::Null, |Json(value)| value))?)).transpose()
}

/// Stores what a repetition is to be answered, within the transaction that [`once`] went on in.
pub async fn remember<T: Serialize>(tx: &mut Tx, cause: &Cause, value: &T) -> Result<(), Error> {
    match (cause, cause.message()) {
        (_, Some((consumer, id))) => remember_message(tx, consumer, id, value).await,
        (Cause::Request { scope, key, route, .. }, None) => remember_request(tx, (scope, route, key), value).await,
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

async fn once_request<T: DeserializeOwned>(
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
            return stored_answer(row, hash).and_then(|answer| Ok(Some(serde_json::from_value(answer)?)));
        }
    }
    Err(Error::Running)
}

fn stored_answer(row: RequestRow, hash: &[u8; 32]) -> Result<Value, Error> {
    let RequestRow { hash: known, state, answer } = row;
    match (known == hash, state.as_str(), answer) {
        (false, ..) => Err(Error::Mismatch),
        (true, "done", Some(Json(answer))) => Ok(answer),
        (true, ..) => Err(Error::Running),
    }
}

async fn remember_request<T: Serialize>(
    tx: &mut Tx,
    (scope, route, key): RequestKey<'_>,
    value: &T,
) -> Result<(), Error> {
    const REMEMBER: &str = "update idempotency set state = 'done', answer = $4::text::json \
        where scope = $1 and route = $2 and key = $3 and state = 'started'";
    let value = serde_json::to_string(value)?;
    let done = sqlx::query(REMEMBER).bind(scope).bind(route).bind(key).bind(value).execute(&mut **tx).await?;
    exactly_one(done.rows_affected())
}

async fn once_message<T: DeserializeOwned>(tx: &mut Tx, consumer: &str, id: Uuid) -> Result<Option<T>, Error> {
    const CLAIM: &str =
        "insert into inbox (consumer, event_id) values ($1, $2) on conflict on constraint inbox_pk do nothing";
    for _ in 0..TRIES_MAX {
        let claim = sqlx::query(CLAIM).bind(consumer).bind(id).execute(&mut **tx).await?;
        if claim.rows_affected() == 1 {
            return Ok(None);
        }
        if let Some(value) = recall_message(tx, consumer, id).await? {
            return Ok(Some(value));
        }
    }
    Err(Error::Running)
}

async fn remember_message<T: Serialize>(tx: &mut Tx, consumer: &str, id: Uuid, value: &T) -> Result<(), Error> {
    const REMEMBER: &str = "update inbox set value = $3::text::json where consumer = $1 and event_id = $2";
    let value = serde_json::to_string(value)?;
    // What the claim wrote says that already; most facts have no answer.
    if value == "null" {
        return Ok(());
    }
    let done = sqlx::query(REMEMBER).bind(consumer).bind(id).bind(value).execute(&mut **tx).await?;
    exactly_one(done.rows_affected())
}

/// Remembering what was not claimed in this transaction would let a twin do it again.
pub(crate) fn exactly_one(rows: u64) -> Result<(), Error> {
    if rows == 1 { Ok(()) } else { Err(Error::Unavailable(sqlx::Error::RowNotFound)) }
}
