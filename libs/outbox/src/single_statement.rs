//! A change of one statement that also appends events and stores a result, by the SQL functions of this crate's migrations.
//!
//! Contains the arguments of these functions. Must not depend on the change.
//!
//! A transaction of several statements needs one round trip for each; a single statement needs one and is a transaction by
//! itself. Its caller reads first, decides, and writes only if the rows are unchanged; otherwise it reads again. The
//! statement ends with `select …, outbox_append($n), dedup_complete($m) from changed`.

use agora_events::Event;
use agora_postgres::{Connection, constraint};
use agora_vocab::{Epoch, Ids};
use serde::Serialize;
use sqlx::{
    Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

use crate::{
    DedupKey, Error, NewEvent, StoredResponse,
    append::{OutboxRow, wake_relays},
    inbox,
};

/// The constraint that a concurrent duplicate of a request violates; of a message, see [`inbox::is_duplicate`].
const REQUEST_CONSTRAINT: &str = "idempotency_pk";

/// The events of a change: bind [`rows`](Self::rows) as the argument of `outbox_append`.
#[derive(Debug, Default)]
pub struct NewEvents(Vec<OutboxRow>);

impl NewEvents {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event.
    pub fn push<E: Event>(&mut self, ids: &dyn Ids, epoch: Epoch, event: NewEvent<'_, E>) -> Result<(), Error> {
        self.0.push(OutboxRow::of(ids, epoch, event)?);
        Ok(())
    }

    /// The value to bind; `None`, for which the function does nothing, without an event.
    pub fn rows(&self) -> Option<&[OutboxRow]> {
        (!self.0.is_empty()).then_some(&self.0)
    }
}

/// A deduplication key, with its result if there is one: the argument of `dedup_complete`, `dedup_is_new` and
/// `idempotency_acquire`.
#[derive(Clone, Debug, sqlx::Encode)]
pub struct DedupRecord {
    consumer: Option<&'static str>,
    event_id: Option<Uuid>,
    pub(crate) scope: Option<String>,
    pub(crate) route: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) hash: Option<Vec<u8>>,
    result: Option<String>,
}

agora_postgres::composite!(DedupRecord, "dedup_record");

impl DedupRecord {
    /// The key with the result that a duplicate returns; `None`, for which the functions do nothing, for
    /// [`DedupKey::None`].
    pub fn of<T: Serialize>(dedup_key: &DedupKey, result: &T) -> Result<Option<Self>, Error> {
        let Some(key) = Self::key(dedup_key) else { return Ok(None) };
        Ok(Some(Self { result: Some(serde_json::to_string(result)?), ..key }))
    }

    /// The key of an idempotency lease; `None` for [`DedupKey::None`].
    pub fn lease(dedup_key: &DedupKey) -> Option<Self> {
        let (scope, route, key, hash) = match dedup_key {
            DedupKey::Request { scope, key, route, hash } => (scope.clone(), route.clone(), key.clone(), hash.to_vec()),
            DedupKey::Event { consumer, id } => ("event".into(), (*consumer).into(), id.to_string(), Vec::new()),
            DedupKey::Command { id } => (DedupKey::COMMANDS.into(), String::new(), id.to_string(), Vec::new()),
            DedupKey::None => return None,
        };
        let (scope, route, key, hash) = (Some(scope), Some(route), Some(key), Some(hash));
        Some(Self { consumer: None, event_id: None, scope, route, key, hash, result: None })
    }

    /// The key of a result: a message is identified by its consumer and id, a request as its lease is.
    fn key(dedup_key: &DedupKey) -> Option<Self> {
        let Some((consumer, id)) = dedup_key.message() else { return Self::lease(dedup_key) };
        let (consumer, event_id) = (Some(consumer), Some(id));
        Some(Self { consumer, event_id, scope: None, route: None, key: None, hash: None, result: None })
    }
}

impl StoredResponse {
    /// The value to bind as the argument `response` of `idempotency_complete`.
    pub fn to_json(&self) -> Result<String, Error> {
        Ok(serde_json::to_string(self)?)
    }
}

/// Runs a statement that appends `events` and returns a row if it applied its change; wakes the relays. `None`: nothing was
/// written, because the statement returned no row, a concurrent duplicate committed first (its result can be read now), or
/// one of the constraints `lost_by` was violated.
pub async fn write_once(
    connection: &mut Connection,
    statement: Query<'_, Postgres, PgArguments>,
    events: &NewEvents,
    lost_by: &[&str],
) -> Result<Option<PgRow>, sqlx::Error> {
    let lost = |error: &sqlx::Error| {
        inbox::is_duplicate(error)
            || constraint(error).is_some_and(|held| held == REQUEST_CONSTRAINT || lost_by.contains(&held))
    };
    let row = match statement.fetch_optional(connection).await {
        Err(error) if lost(&error) => None,
        other => other?,
    };
    if row.is_some() && !events.0.is_empty() {
        wake_relays();
    }
    Ok(row)
}

/// Stores the result of a key that changes nothing, for example a rejection. `false` if a concurrent duplicate committed
/// first: read its result with [`find_result`](crate::find_result). Does nothing for [`DedupKey::None`].
pub async fn insert_result<T: Serialize>(
    connection: &mut Connection,
    dedup_key: &DedupKey,
    result: &T,
) -> Result<bool, Error> {
    let insert = sqlx::query("select dedup_complete($1)").bind(DedupRecord::of(dedup_key, result)?);
    Ok(write_once(connection, insert, &NewEvents::new(), &[]).await?.is_some())
}
