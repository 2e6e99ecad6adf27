//! Idempotency of work that calls another system: a lease in a transaction of its own, completed in a later one.
//!
//! Contains the statements on `idempotency` for leased requests. Must not depend on what is called. All times are the
//! database's.

use std::time::Duration;

use agora_postgres::{Connection, Tx};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{DedupKey, DedupRecord, Error, dedup::exactly_one};

/// What a client is asked to wait, in seconds, while the same request is in progress.
const RETRY_AFTER_S: u32 = 1;
const TRIES_MAX: u32 = 3;

/// Result of [`IdempotencyLease::acquire`].
#[derive(Clone, Debug, PartialEq)]
pub enum Acquisition {
    /// The lease is held by the caller; the request is new.
    Started {
        /// The id of what the request creates.
        recovery_id: Uuid,
    },
    /// The lease is held by the caller; an earlier holder's lease expired.
    Resumed {
        /// The id that the request was started with.
        recovery_id: Uuid,
    },
    /// Another caller holds the lease.
    InProgress {
        /// When the client should retry, in seconds.
        retry_after_s: u32,
    },
    /// The request was completed before.
    Completed(StoredResponse),
}

/// The response of a completed request, returned to every repetition of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// The HTTP status code.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The JSON body.
    pub body: serde_json::Value,
}

/// The lease of one client request: at most one process works on it at a time, and its response is stored once.
///
/// A lease is identified by its recovery id, the id of what the request creates. Nothing is stored for
/// [`DedupKey::None`].
#[derive(Debug)]
pub struct IdempotencyLease;

impl IdempotencyLease {
    /// Acquires the lease of a key for `duration`. A new key stores `recovery_id`; an expired lease keeps the one that it
    /// was started with. Commit before the foreign call.
    pub async fn acquire(
        tx: &mut Tx,
        dedup_key: &DedupKey,
        recovery_id: Uuid,
        duration: Duration,
    ) -> Result<Acquisition, Error> {
        let Some(key) = DedupRecord::lease(dedup_key) else { return Ok(Acquisition::Started { recovery_id }) };
        for _ in 0..TRIES_MAX {
            if insert(tx, &key, recovery_id, duration).await? {
                return Ok(Acquisition::Started { recovery_id });
            }
            if let Some(row) = find(tx, &key).await? {
                return take_over(tx, row, key.hash.as_deref().unwrap_or_default(), duration).await;
            }
        }
        Err(Error::Running)
    }

    /// Stores the response and ends the lease. Does nothing if the recovery id has no lease or is completed.
    pub async fn complete(
        connection: &mut Connection,
        recovery_id: Uuid,
        response: &StoredResponse,
    ) -> Result<(), Error> {
        let complete = sqlx::query("select idempotency_complete($1, $2)").bind(recovery_id).bind(response.to_json()?);
        complete.execute(connection).await?;
        Ok(())
    }

    /// Deletes the lease, so that the same key starts again from the beginning. A completed request stays.
    pub async fn cancel(connection: &mut Connection, recovery_id: Uuid) -> Result<(), Error> {
        const CANCEL: &str = "delete from idempotency where recovery_id = $1 and state = 'started'";
        sqlx::query(CANCEL).bind(recovery_id).execute(connection).await?;
        Ok(())
    }

    /// Ends the lease now, so that the same key resumes with its recovery id. A completed request stays.
    pub async fn release(connection: &mut Connection, recovery_id: Uuid) -> Result<(), Error> {
        const RELEASE: &str =
            "update idempotency set lease_until = now() - interval '1 s' where recovery_id = $1 and state = 'started'";
        sqlx::query(RELEASE).bind(recovery_id).execute(connection).await?;
        Ok(())
    }

    /// The recovery ids of requests that were started longer than `age` ago, are not completed and whose lease has
    /// expired, oldest first, at most `limit`. Locks their rows until the transaction ends and skips locked rows.
    pub async fn expired(tx: &mut Tx, age: Duration, limit: u32) -> Result<Vec<Uuid>, Error> {
        const EXPIRED: &str = "select recovery_id from idempotency where state = 'started' and recovery_id is not null \
            and created_at < now() - make_interval(secs => $1) and lease_until < now() \
            order by created_at limit $2 for update skip locked";
        Ok(sqlx::query_scalar(EXPIRED).bind(age.as_secs_f64()).bind(i64::from(limit)).fetch_all(&mut **tx).await?)
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    hash: Vec<u8>,
    answer: Option<Json<StoredResponse>>,
    recovery_id: Option<Uuid>,
    expired: bool,
}

/// Inserts a row with a lease; `false` if the key is stored already.
async fn insert(
    connection: &mut Connection,
    key: &DedupRecord,
    recovery_id: Uuid,
    lease: Duration,
) -> Result<bool, sqlx::Error> {
    const INSERT: &str = "select idempotency_acquire($1, $2, make_interval(secs => $3)) is not null";
    sqlx::query_scalar(INSERT).bind(key).bind(recovery_id).bind(lease.as_secs_f64()).fetch_one(connection).await
}

/// Locks the row: of two callers that find an expired lease, one takes it over.
async fn find(tx: &mut Tx, DedupRecord { scope, route, key, .. }: &DedupRecord) -> Result<Option<Row>, Error> {
    const FIND: &str = "select hash, answer, recovery_id, coalesce(lease_until < now(), false) as expired \
        from idempotency where scope = $1 and route = $2 and key = $3 for update";
    Ok(sqlx::query_as(FIND).bind(scope).bind(route).bind(key).fetch_optional(&mut **tx).await?)
}

async fn take_over(tx: &mut Tx, row: Row, hash: &[u8], lease: Duration) -> Result<Acquisition, Error> {
    const EXTEND: &str =
        "update idempotency set lease_until = now() + make_interval(secs => $2) where recovery_id = $1";
    let Row { hash: known, answer, recovery_id, expired } = row;
    match (known == hash, answer, recovery_id, expired) {
        (false, ..) => Err(Error::Mismatch),
        (true, Some(Json(answer)), ..) => Ok(Acquisition::Completed(answer)),
        (true, None, Some(recovery_id), true) => {
            let extended = sqlx::query(EXTEND).bind(recovery_id).bind(lease.as_secs_f64()).execute(&mut **tx).await?;
            exactly_one(extended.rows_affected())?;
            Ok(Acquisition::Resumed { recovery_id })
        }
        (true, None, ..) => Ok(Acquisition::InProgress { retry_after_s: RETRY_AFTER_S }),
    }
}
