//! The account of a change that is one statement: facts, memory and answers written by the statement that makes it.
//!
//! Knows how rows of `outbox`, `inbox` and `idempotency` stand in one JSON parameter; must not know the change.
//!
//! A transaction of several statements asks the server once for each of them; a statement that changes, tells and
//! remembers asks it once in all, and is a transaction by itself. Its writer reads first, decides, and writes only if
//! all is still as it was read; else it reads again.

use std::time::Duration;

use agora_events::Event;
use agora_postgres::constraint;
use agora_vocab::{Epoch, Ids};
use serde::{Serialize, Serializer};
use serde_json::Value;
use sqlx::{
    PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

use crate::{
    Answer, Cause, Error, Fact,
    emit::{FactRow, wake_relays},
};

/// What two of the same cause cannot both hold.
const TWINS: [&str; 2] = ["inbox_pk", "idempotency_pk"];

/// What a statement writes beside its change: bound as text to the parameter that [`told!`](crate::told),
/// [`remembered!`](crate::remembered), [`settled!`](crate::settled) and [`claimed!`](crate::claimed) name.
#[derive(Debug, Default, Serialize)]
pub struct Account {
    facts: Vec<FactRow>,
    messages: Vec<MessageRow>,
    requests: Vec<RequestRow>,
    settled: Option<AnswerRow>,
    claims: Vec<ClaimRow>,
}

#[derive(Debug, Serialize)]
struct ClaimRow {
    scope: String,
    route: String,
    key: String,
    #[serde(serialize_with = "bytea")]
    hash: [u8; 32],
    point: Uuid,
    lease_seconds: f64,
}

#[derive(Debug, Serialize)]
struct MessageRow {
    consumer: String,
    event_id: Uuid,
    value: Value,
}

#[derive(Debug, Serialize)]
struct RequestRow {
    scope: String,
    route: String,
    key: String,
    #[serde(serialize_with = "bytea")]
    hash: [u8; 32],
    answer: Value,
}

#[derive(Debug, Serialize)]
struct AnswerRow {
    point: Uuid,
    answer: Answer,
}

impl Account {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells a fact.
    pub fn tell<E: Event>(&mut self, ids: &dyn Ids, epoch: Epoch, fact: Fact<'_, E>) -> Result<(), Error> {
        self.facts.push(FactRow::of(ids, epoch, fact)?);
        Ok(())
    }

    /// Remembers what a repetition of `cause` is to be answered; nothing is kept of [`Cause::Fresh`]. Where a twin was
    /// faster, nothing is written: [`write`](Self::write).
    pub fn remember<T: Serialize>(&mut self, cause: &Cause, value: &T) -> Result<(), Error> {
        let value = serde_json::to_value(value)?;
        if let Some((consumer, event_id)) = cause.message() {
            self.messages.push(MessageRow { consumer: consumer.to_owned(), event_id, value });
        } else if let Cause::Request { scope, key, route, hash } = cause.clone() {
            self.requests.push(RequestRow { scope, route, key, hash, answer: value });
        }
        Ok(())
    }

    /// Stores the answer of one claim and ends it, as [`settle`](crate::settle) does.
    pub fn settle(&mut self, point: Uuid, answer: Answer) {
        self.settled = Some(AnswerRow { point, answer });
    }

    /// Claims a request as [`start`](crate::start) does. False, and nothing claimed, for a cause that is no request.
    pub fn claim(&mut self, cause: &Cause, point: Uuid, lease: Duration) -> bool {
        let Cause::Request { scope, key, route, hash } = cause.clone() else { return false };
        self.claims.push(ClaimRow { scope, route, key, hash, point, lease_seconds: lease.as_secs_f64() });
        true
    }

    /// Whether nothing is remembered, claimed or settled: then a statement needs [`told!`](crate::told) alone, and every
    /// part that it does without is one that the server need not make ready.
    pub fn only_tells(&self) -> bool {
        self.messages.is_empty() && self.requests.is_empty() && self.claims.is_empty() && self.settled.is_none()
    }

    /// The parameter.
    pub fn parameter(&self) -> Result<String, Error> {
        Ok(serde_json::to_string(self)?)
    }

    /// Runs a statement that has [`parameter`](Self::parameter) bound and gives a row if it made its change; wakes the
    /// relays if it told anything. `None`, and nothing written: it gave no row, or another one was faster. That one may
    /// have had the same cause, and what it remembers can be read now; or else it holds one of the constraints `lost_by`.
    pub async fn write(
        &self,
        connection: &mut PgConnection,
        statement: Query<'_, Postgres, PgArguments>,
        lost_by: &[&str],
    ) -> Result<Option<PgRow>, sqlx::Error> {
        let lost = |error: &sqlx::Error| {
            constraint(error).is_some_and(|held| TWINS.contains(&held) || lost_by.contains(&held))
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

/// Remembers what a cause is answered that changes nothing, without claiming it. False if another one of the same cause was
/// faster: what was remembered of that is to be [`recall`](crate::recall)ed.
pub async fn keep<T: Serialize>(connection: &mut PgConnection, cause: &Cause, answer: &T) -> Result<bool, Error> {
    const KEEP: &str =
        concat!("with changed as (select), ", crate::remembered!("$1", "changed"), " select from changed");
    let mut account = Account::new();
    account.remember(cause, answer)?;
    let keep = sqlx::query(KEEP).bind(account.parameter()?);
    Ok(account.write(connection, keep, &[]).await?.is_some())
}

/// The part `told` of a statement's `with`: tells the facts of the [`Account`] that is parameter `$account` if part
/// `$changed` gives a row.
#[macro_export]
macro_rules! told {
    ($account:literal, $changed:literal) => {
        concat!(
            "told as (insert into outbox (shard, topic, kind, version, event_id, aggregate, seq, epoch, trace, \
             correlation_id, causation_id, data) select f.* from json_to_recordset(",
            $account,
            "::text::json -> 'facts') as f (shard smallint, topic text, kind text, version smallint, event_id uuid, \
             aggregate uuid, seq bigint, epoch bigint, trace text, correlation_id uuid, causation_id uuid, data json) \
             where exists (select from ",
            $changed,
            "))"
        )
    };
}

/// The parts `heard` and `answered` of a statement's `with`: remember what the [`Account`] that is parameter `$account`
/// remembers if part `$changed` gives a row.
#[macro_export]
macro_rules! remembered {
    ($account:literal, $changed:literal) => {
        concat!(
            "heard as (insert into inbox (consumer, event_id, value) select m.consumer, m.event_id, m.value \
             from json_to_recordset(",
            $account,
            "::text::json -> 'messages') as m (consumer text, event_id uuid, value json) where exists (select from ",
            $changed,
            ")), answered as (insert into idempotency (scope, route, key, hash, state, answer) \
             select r.scope, r.route, r.key, r.hash, 'done', coalesce(r.answer, 'null') from json_to_recordset(",
            $account,
            "::text::json -> 'requests') as r (scope text, route text, key text, hash bytea, answer json) \
             where exists (select from ",
            $changed,
            "))"
        )
    };
}

/// A condition on the change: that nothing is remembered of the cause that the [`Account`] of parameter `$account` remembers.
/// For a statement that is written without asking [`recall`](crate::recall) before; to be asked when it changed nothing.
#[macro_export]
macro_rules! unheard {
    ($account:literal) => {
        concat!(
            "not exists (select from inbox where consumer = ",
            $account,
            "::text::json #>> '{messages,0,consumer}' and event_id = (",
            $account,
            "::text::json #>> '{messages,0,event_id}')::uuid) and not exists (select from idempotency where scope = ",
            $account,
            "::text::json #>> '{requests,0,scope}' and route = ",
            $account,
            "::text::json #>> '{requests,0,route}' and key = ",
            $account,
            "::text::json #>> '{requests,0,key}')"
        )
    };
}

/// The part `settled` of a statement's `with`: stores the answer of the [`Account`] that is parameter `$account` if part
/// `$changed` gives a row; a claim that is settled stays.
#[macro_export]
macro_rules! settled {
    ($account:literal, $changed:literal) => {
        // By values, not by a join: the planner takes a JSON array for a hundred rows, and reads the whole table for them.
        concat!(
            "settled as (update idempotency set state = 'done', lease_until = null, answer = ",
            $account,
            "::text::json #> '{settled,answer}' where point = (",
            $account,
            "::text::json #>> '{settled,point}')::uuid and state = 'started' and exists (select from ",
            $changed,
            "))"
        )
    };
}

/// The part `claimed` of a statement's `with`: makes the claim of the [`Account`] that is parameter `$account`, and gives its
/// `point`; no row if the key was claimed before.
#[macro_export]
macro_rules! claimed {
    ($account:literal) => {
        concat!(
            "claimed as (insert into idempotency (scope, route, key, hash, state, point, lease_until) \
             select c.scope, c.route, c.key, c.hash, 'started', c.point, now() + make_interval(secs => c.lease_seconds) \
             from json_to_recordset(",
            $account,
            "::text::json -> 'claims') as c (scope text, route text, key text, hash bytea, point uuid, \
             lease_seconds float8) on conflict on constraint idempotency_pk do nothing returning point)"
        )
    };
}

/// PostgreSQL's text of a `bytea`.
fn bytea<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("\\x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    serializer.serialize_str(&text)
}
