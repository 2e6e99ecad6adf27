//! The account of a change that is one statement: facts, memory and answers written by the statement that makes it.
//!
//! Knows how rows of `outbox`, `inbox` and `idempotency` stand in one parameter; must not know the change.
//!
//! A transaction of several statements asks the server once for each of them; a statement that changes, tells and
//! remembers asks it once in all, and is a transaction by itself. Its writer reads first, decides, and writes only if
//! all is still as it was read; else it reads again.
//!
//! The parameter is an array of texts, at places that [`Account::parameter`] and the macros agree on: the server reads a
//! place as often as it likes, while of JSON it would parse the whole of it each time.

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
    Answer, Cause, Error, Fact,
    emit::{FactRow, wake_relays},
};

/// What two of the same cause cannot both hold.
const TWINS: [&str; 2] = ["inbox_pk", "idempotency_pk"];

/// What a statement writes beside its change: bound to the parameter that [`told!`](crate::told),
/// [`remembered!`](crate::remembered), [`settled!`](crate::settled) and [`claimed!`](crate::claimed) name.
#[derive(Debug, Default)]
pub struct Account {
    heard: Option<Heard>,
    request: Option<Request>,
    settled: Option<Settled>,
    facts: Vec<FactRow>,
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
    /// As text of JSON; absent for what is only claimed.
    answer: Option<String>,
    claim: Option<(Uuid, Duration)>,
}

#[derive(Debug)]
struct Settled {
    point: Uuid,
    answer: String,
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

    /// Remembers what a repetition of `cause` is to be answered; nothing is kept of [`Cause::Fresh`]. A change has one cause:
    /// what is said last is kept. Where a twin was faster, nothing is written: [`write`](Self::write).
    pub fn remember<T: Serialize>(&mut self, cause: &Cause, value: &T) -> Result<(), Error> {
        let value = serde_json::to_string(value)?;
        if let Some((consumer, event_id)) = cause.message() {
            self.heard = Some(Heard { consumer, event_id, value });
        } else {
            self.request = Request::of(cause, Some(value), None);
        }
        Ok(())
    }

    /// Stores the answer of one claim and ends it, as [`settle`](crate::settle) does.
    pub fn settle(&mut self, point: Uuid, answer: &Answer) -> Result<(), Error> {
        self.settled = Some(Settled { point, answer: serde_json::to_string(answer)? });
        Ok(())
    }

    /// Claims a request as [`start`](crate::start) does. False, and nothing claimed, for a cause that is no request.
    pub fn claim(&mut self, cause: &Cause, point: Uuid, lease: Duration) -> bool {
        self.request = Request::of(cause, None, Some((point, lease)));
        self.request.is_some()
    }

    /// Whether nothing is remembered, claimed or settled: then a statement needs [`told!`](crate::told) alone, and every
    /// part that it does without is one that the server need not make ready.
    pub fn only_tells(&self) -> bool {
        self.heard.is_none() && self.request.is_none() && self.settled.is_none()
    }

    /// The parameter.
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
        all.extend(self.facts.iter().flat_map(FactRow::texts));
        all
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

impl Request {
    /// What the cause says, if it is a request.
    fn of(cause: &Cause, answer: Option<String>, claim: Option<(Uuid, Duration)>) -> Option<Self> {
        let Cause::Request { scope, key, route, hash } = cause.clone() else { return None };
        Some(Self { scope, route, key, hash, answer, claim })
    }
}

/// Remembers what a cause is answered that changes nothing, without claiming it. False if another one of the same cause was
/// faster: what was remembered of that is to be [`recall`](crate::recall)ed.
pub async fn keep<T: Serialize>(connection: &mut PgConnection, cause: &Cause, answer: &T) -> Result<bool, Error> {
    const KEEP: &str =
        concat!("with changed as (select), ", crate::remembered!("$1", "changed"), " select from changed");
    let mut account = Account::new();
    account.remember(cause, answer)?;
    let keep = sqlx::query(KEEP).bind(account.parameter());
    Ok(account.write(connection, keep, &[]).await?.is_some())
}

/// The part `told` of a statement's `with`: tells the facts of the [`Account`] that is parameter `$account` if part
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

/// The parts `heard` and `answered` of a statement's `with`: remember what the [`Account`] that is parameter `$account`
/// remembers if part `$changed` gives a row.
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

/// A condition on the change: that nothing is remembered of the cause that the [`Account`] of parameter `$account` remembers.
/// For a statement that is written without asking [`recall`](crate::recall) before; to be asked when it changed nothing.
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

/// The part `settled` of a statement's `with`: stores the answer of the [`Account`] that is parameter `$account` if part
/// `$changed` gives a row; a claim that is settled stays.
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

/// The part `claimed` of a statement's `with`: makes the claim of the [`Account`] that is parameter `$account`, and gives its
/// `point`; no row if the key was claimed before.
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
