//! Work with a foreign call in it: claimed in a transaction of its own, settled in a later one.
//!
//! Knows `idempotency`; must not know what is called. All time is the database's.

use std::time::Duration;

use agora_postgres::Tx;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{Cause, Error, once::exactly_one};

/// While somebody else works on it, a client should ask again after so long.
const RETRY_AFTER_S: u32 = 1;
const TRIES_MAX: u32 = 3;

/// Where a piece of work stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// It is ours and new.
    Started {
        /// The recovery point: the id of what is being made.
        point: Uuid,
    },
    /// It is ours now: whoever began it let its lease end.
    Resumed {
        /// The recovery point that it was begun with.
        point: Uuid,
    },
    /// Somebody works on it.
    Running {
        /// When to ask again, in seconds.
        retry_after_s: u32,
    },
    /// It is done.
    Answered(Answer),
}

/// What a request was answered, and will be whenever it is repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body.
    pub body: serde_json::Value,
}

/// Claims a cause that nobody has claimed yet, in one statement: for callers who begin no transaction for it, and go on
/// with [`claim`] where this says `false`. Nothing is kept of [`Cause::Fresh`].
pub async fn start(connection: &mut PgConnection, cause: &Cause, point: Uuid, lease: Duration) -> Result<bool, Error> {
    match Place::of(cause) {
        Some(place) => Ok(insert(connection, &place, point, lease).await?),
        None => Ok(true),
    }
}

/// Claims a cause for as long as `lease`, with `point` as what its work goes on from. Commit before the foreign call.
/// Nothing is kept of [`Cause::Fresh`].
pub async fn claim(tx: &mut Tx, cause: &Cause, point: Uuid, lease: Duration) -> Result<Claim, Error> {
    let Some(place) = Place::of(cause) else { return Ok(Claim::Started { point }) };
    for _ in 0..TRIES_MAX {
        if insert(tx, &place, point, lease).await? {
            return Ok(Claim::Started { point });
        }
        if let Some(row) = find(tx, &place).await? {
            return take_over(tx, row, place.hash, lease).await;
        }
    }
    Err(Error::Running)
}

/// Stores the answer and ends the claim; does nothing for a point that was never claimed under a key, or is settled.
pub async fn settle(connection: &mut PgConnection, point: Uuid, answer: &Answer) -> Result<(), Error> {
    const SETTLE: &str = "update idempotency set state = 'done', lease_until = null, answer = $2::text::json \
        where point = $1 and state = 'started'";
    sqlx::query(SETTLE).bind(point).bind(serde_json::to_string(answer)?).execute(connection).await?;
    Ok(())
}

/// Gives the claim up, so that the same key starts afresh; a settled one stays.
pub async fn abandon(connection: &mut PgConnection, point: Uuid) -> Result<(), Error> {
    const ABANDON: &str = "delete from idempotency where point = $1 and state = 'started'";
    sqlx::query(ABANDON).bind(point).execute(connection).await?;
    Ok(())
}

/// Ends the lease of a claim at once, so that the same key goes on at its recovery point; a settled one stays.
pub async fn unlock(connection: &mut PgConnection, point: Uuid) -> Result<(), Error> {
    const UNLOCK: &str =
        "update idempotency set lease_until = now() - interval '1 s' where point = $1 and state = 'started'";
    sqlx::query(UNLOCK).bind(point).execute(connection).await?;
    Ok(())
}

/// The recovery points of claims that were begun longer than `age` ago, are not settled and whose lease has ended; their
/// rows stay locked until the transaction ends, and rows that others hold are left out. The oldest first, at most `limit`.
pub async fn stale(tx: &mut Tx, age: Duration, limit: u32) -> Result<Vec<Uuid>, Error> {
    const STALE: &str = "select point from idempotency where state = 'started' and point is not null \
        and created_at < now() - make_interval(secs => $1) and lease_until < now() \
        order by created_at limit $2 for update skip locked";
    Ok(sqlx::query_scalar(STALE).bind(age.as_secs_f64()).bind(i64::from(limit)).fetch_all(&mut **tx).await?)
}

/// How a cause stands in the table.
struct Place<'a> {
    scope: &'a str,
    route: &'a str,
    key: String,
    hash: &'a [u8],
}

impl<'a> Place<'a> {
    fn of(cause: &'a Cause) -> Option<Self> {
        match cause {
            Cause::Request { scope, key, route, hash } => Some(Self { scope, route, key: key.clone(), hash }),
            Cause::Event { consumer, id } => {
                Some(Self { scope: "event", route: consumer, key: id.to_string(), hash: &[] })
            }
            Cause::Command { id } => Some(Self { scope: "command", route: "", key: id.to_string(), hash: &[] }),
            Cause::Fresh => None,
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    hash: Vec<u8>,
    answer: Option<Json<Answer>>,
    point: Option<Uuid>,
    lapsed: bool,
}

/// Writes a claim; false if there is one.
async fn insert(
    connection: &mut PgConnection,
    place: &Place<'_>,
    point: Uuid,
    lease: Duration,
) -> Result<bool, sqlx::Error> {
    const INSERT: &str = "insert into idempotency (scope, route, key, hash, state, point, lease_until) \
        values ($1, $2, $3, $4, 'started', $5, now() + make_interval(secs => $6)) \
        on conflict on constraint idempotency_pk do nothing";
    let Place { scope, route, key, hash } = place;
    let insert = sqlx::query(INSERT).bind(scope).bind(route).bind(key).bind(hash).bind(point);
    Ok(insert.bind(lease.as_secs_f64()).execute(connection).await?.rows_affected() == 1)
}

/// Locks the row, so that of two who find a lapsed lease one takes it over.
async fn find(tx: &mut Tx, Place { scope, route, key, hash: _ }: &Place<'_>) -> Result<Option<Row>, Error> {
    const FIND: &str = "select hash, answer, point, coalesce(lease_until < now(), false) as lapsed \
        from idempotency where scope = $1 and route = $2 and key = $3 for update";
    Ok(sqlx::query_as(FIND).bind(scope).bind(route).bind(key).fetch_optional(&mut **tx).await?)
}

async fn take_over(tx: &mut Tx, row: Row, hash: &[u8], lease: Duration) -> Result<Claim, Error> {
    const EXTEND: &str = "update idempotency set lease_until = now() + make_interval(secs => $2) where point = $1";
    let Row { hash: known, answer, point, lapsed } = row;
    match (known == hash, answer, point, lapsed) {
        (false, ..) => Err(Error::Mismatch),
        (true, Some(Json(answer)), ..) => Ok(Claim::Answered(answer)),
        (true, None, Some(point), true) => {
            let extended = sqlx::query(EXTEND).bind(point).bind(lease.as_secs_f64()).execute(&mut **tx).await?;
            exactly_one(extended.rows_affected())?;
            Ok(Claim::Resumed { point })
        }
        (true, None, ..) => Ok(Claim::Running { retry_after_s: RETRY_AFTER_S }),
    }
}
