//! Events, stored results and responses that a change of one statement writes together with its own rows.
//!
//! Contains how rows of `outbox`, `inbox` and `idempotency` are encoded in one parameter. Must not depend on the change.
//!
//! A transaction of several statements needs one round trip for each; a single statement needs one and is a transaction by
//! itself. Its caller reads first, decides, and writes only if the rows are unchanged; otherwise it reads again.
//!
//! The parameter is an array of texts at positions that [`Account::parameter`] and the macros agree on: the server reads an
//! element directly, while it would parse a JSON parameter again for each member.

use std::time::Duration;

use agora_events::Event;
use agora_postgres::constraint;
use agora_vocab::{Epoch, Ids};
use serde::Serialize;
use sqlx::{
    PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

use crate::{
    DedupKey, Error, NewEvent, StoredResponse,
    append::{OutboxRow, wake_relays},
};

/// Constraints that a concurrent duplicate violates.
const DEDUP_CONSTRAINTS: [&str; 2] = ["inbox_pk", "idempotency_pk"];

/// What a statement writes in addition to its change: bound to the parameter that [`told!`](crate::told),
/// [`remembered!`](crate::remembered), [`settled!`](crate::settled) and [`claimed!`](crate::claimed) name.
#[derive(Debug, Default)]
pub struct Account {
    heard: Option<Heard>,
    request: Option<Request>,
    settled: Option<Settled>,
    facts: Vec<OutboxRow>,
}

/// A row of `inbox`.
#[derive(Debug)]
struct Heard {
    consumer: &'static str,
    event_id: Uuid,
    value: String,
}

/// A row of `idempotency`.
#[derive(Debug)]
struct Request {
    scope: String,
    route: String,
    key: String,
    hash: [u8; 32],
    /// JSON text; absent for a request that is only leased.
    answer: Option<String>,
    claim: Option<(Uuid, Duration)>,
}

#[derive(Debug)]
struct Settled {
    point: Uuid,
    answer: String,
}

impl Account {
    /// Writes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an event to the outbox.
    pub fn append<E: Event>(&mut self, ids: &dyn Ids, epoch: Epoch, fact: NewEvent<'_, E>) -> Result<(), Error> {
        self.facts.push(OutboxRow::of(ids, epoch, fact)?);
        Ok(())
    }

    /// Stores the result that a repetition of `dedup_key` returns; nothing for [`DedupKey::None`]. A change has one key: the
    /// last call wins. Nothing is written if a concurrent duplicate was faster: [`write`](Self::write).
    pub fn store_result<T: Serialize>(&mut self, dedup_key: &DedupKey, value: &T) -> Result<(), Error> {
        let value = serde_json::to_string(value)?;
        if let Some((consumer, event_id)) = dedup_key.message() {
            self.heard = Some(Heard { consumer, event_id, value });
        } else {
            self.request = Request::of(dedup_key, Some(value), None);
        }
        Ok(())
    }

    /// Stores the response of a leased request, as [`IdempotencyLease::complete`](crate::IdempotencyLease::complete) does.
    pub fn complete(&mut self, point: Uuid, answer: &StoredResponse) -> Result<(), Error> {
        self.settled = Some(Settled { point, answer: serde_json::to_string(answer)? });
        Ok(())
    }

    /// Acquires a lease as [`IdempotencyLease::try_acquire`](crate::IdempotencyLease::try_acquire) does. `false`, without a
    /// lease, for a key that is no request.
    pub fn acquire(&mut self, dedup_key: &DedupKey, point: Uuid, lease: Duration) -> bool {
        self.request = Request::of(dedup_key, None, Some((point, lease)));
        self.request.is_some()
    }

    /// Whether only events are written: the statement then needs [`told!`](crate::told) alone, and the server prepares fewer
    /// parts.
    pub fn only_tells(&self) -> bool {
        self.heard.is_none() && self.request.is_none() && self.settled.is_none()
    }

    /// The value to bind: see the module's documentation.
    pub fn parameter(&self) -> Vec<Option<String>> {
        // 1 to 3: heard.
        let heard = self.heard.as_ref();
        let mut all = vec![
            heard.map(|heard| heard.consumer.to_owned()),
            heard.map(|heard| heard.event_id.to_string()),
            heard.map(|heard| heard.value.clone()),
        ];
        // 4 to 10: the request, and what becomes of it.
        let request = self.request.as_ref();
        let claim = request.and_then(|request| request.claim);
        all.extend([
            request.map(|request| request.scope.clone()),
            request.map(|request| request.route.clone()),
            request.map(|request| request.key.clone()),
            request.map(|request| bytea(&request.hash)),
            request.and_then(|request| request.answer.clone()),
            claim.map(|(point, _)| point.to_string()),
            claim.map(|(_, lease)| lease.as_secs_f64().to_string()),
        ]);
        // 11 and 12: settled.
        let settled = self.settled.as_ref();
        all.extend([settled.map(|settled| settled.point.to_string()), settled.map(|settled| settled.answer.clone())]);
        // From 13: the facts, 12 places each.
        all.extend(self.facts.iter().flat_map(OutboxRow::texts));
        all
    }

    /// Runs a statement that has [`parameter`](Self::parameter) bound and returns a row if it applied its change; wakes the
    /// relays if it appended events. `None`: nothing was written, because the statement returned no row, a concurrent
    /// duplicate committed first (its result can be read now), or one of the constraints `lost_by` was violated.
    pub async fn write(
        &self,
        connection: &mut PgConnection,
        statement: Query<'_, Postgres, PgArguments>,
        lost_by: &[&str],
    ) -> Result<Option<PgRow>, sqlx::Error> {
        let lost = |error: &sqlx::Error| {
            constraint(error).is_some_and(|held| DEDUP_CONSTRAINTS.contains(&held) || lost_by.contains(&held))
        };
        let row = match statement.fetch_optional(connection).await {
            Err(error) if lost(&error) => None,
            other => other?,
        };
        if row.is_some() && !self.facts.is_empty() {
            wake_relays();
        }
        Ok(row)
    }
}

impl Request {
    /// The row of a request key; `None` for other keys.
    fn of(dedup_key: &DedupKey, answer: Option<String>, claim: Option<(Uuid, Duration)>) -> Option<Self> {
        let DedupKey::Request { scope, key, route, hash } = dedup_key.clone() else { return None };
        Some(Self { scope, route, key, hash, answer, claim })
    }
}

/// Stores the result of a key that changes nothing, for example a refusal. `false` if a concurrent duplicate committed
/// first: read its result with [`find_result`](crate::find_result).
pub async fn insert_result<T: Serialize>(
    connection: &mut PgConnection,
    dedup_key: &DedupKey,
    answer: &T,
) -> Result<bool, Error> {
    const INSERT: &str =
        concat!("with changed as (select), ", crate::remembered!("$1", "changed"), " select from changed");
    let mut account = Account::new();
    account.store_result(dedup_key, answer)?;
    let insert = sqlx::query(INSERT).bind(account.parameter());
    Ok(account.write(connection, insert, &[]).await?.is_some())
}

/// The part `told` of a statement's `with`: appends the events of the [`Account`] that is parameter `$account` if part
/// `$changed` gives a row.
#[macro_export]
macro_rules! told {
    ($account:literal, $changed:literal) => {
        concat!(
            "told as (insert into outbox (shard, topic, kind, version, event_id, aggregate, seq, epoch, trace, \
             correlation_id, causation_id, data) select a[i]::smallint, a[i + 1], a[i + 2], a[i + 3]::smallint, \
             a[i + 4]::uuid, a[i + 5]::uuid, a[i + 6]::bigint, a[i + 7]::bigint, a[i + 8], a[i + 9]::uuid, \
             a[i + 10]::uuid, a[i + 11]::json from (select ",
            $account,
            "::text[] as a) as account, generate_series(13, cardinality(a), 12) as i where exists (select from ",
            $changed,
            "))"
        )
    };
}

/// The parts `heard` and `answered` of a statement's `with`: store the result of the [`Account`] that is parameter
/// `$account` if part `$changed` gives a row.
#[macro_export]
macro_rules! remembered {
    ($account:literal, $changed:literal) => {
        concat!(
            "heard as (insert into inbox (consumer, event_id, value) select a[1], a[2]::uuid, a[3]::json from (select ",
            $account,
            "::text[] as a) as account where a[1] is not null and exists (select from ",
            $changed,
            ")), answered as (insert into idempotency (scope, route, key, hash, state, answer) \
             select a[4], a[5], a[6], a[7]::bytea, 'done', a[8]::json from (select ",
            $account,
            "::text[] as a) as account where a[8] is not null and exists (select from ",
            $changed,
            "))"
        )
    };
}

/// A condition on the change: no result is stored under the key of the [`Account`] that is parameter `$account`. For a
/// statement that runs without [`find_result`](crate::find_result) first; call that when the statement changed nothing.
#[macro_export]
macro_rules! unheard {
    ($account:literal) => {
        concat!(
            "not exists (select from inbox where consumer = (",
            $account,
            "::text[])[1] and event_id = (",
            $account,
            "::text[])[2]::uuid) and not exists (select from idempotency where scope = (",
            $account,
            "::text[])[4] and route = (",
            $account,
            "::text[])[5] and key = (",
            $account,
            "::text[])[6])"
        )
    };
}

/// The part `settled` of a statement's `with`: stores the response of the [`Account`] that is parameter `$account` if part
/// `$changed` gives a row; a completed request stays.
#[macro_export]
macro_rules! settled {
    ($account:literal, $changed:literal) => {
        concat!(
            "settled as (update idempotency set state = 'done', lease_until = null, answer = (",
            $account,
            "::text[])[12]::json where point = (",
            $account,
            "::text[])[11]::uuid and state = 'started' and exists (select from ",
            $changed,
            "))"
        )
    };
}

/// The part `claimed` of a statement's `with`: acquires the lease of the [`Account`] that is parameter `$account` and returns
/// its `point`; no row if the key is stored already.
#[macro_export]
macro_rules! claimed {
    ($account:literal) => {
        concat!(
            "claimed as (insert into idempotency (scope, route, key, hash, state, point, lease_until) \
             select a[4], a[5], a[6], a[7]::bytea, 'started', a[9]::uuid, now() + make_interval(secs => a[10]::float8) \
             from (select ",
            $account,
            "::text[] as a) as account where a[9] is not null \
             on conflict on constraint idempotency_pk do nothing returning point)"
        )
    };
}

/// PostgreSQL's text of a `bytea`.
fn bytea(bytes: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("\\x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
