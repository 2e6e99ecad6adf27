//! Writes a fact beside the change that it tells of, in the same transaction.
//!
//! Knows `outbox`; must not know the broker.

use std::sync::LazyLock;

use agora_events::{Envelope, Event};
use agora_postgres::Tx;
use agora_vocab::{Epoch, Ids};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use crate::Error;

const SHARDS: u8 = 16;

/// Changes with every fact that this process tells, whether or not its transaction commits; wakes the process's relays.
/// Not `pg_notify`: every commit that notifies takes one lock of the whole server, and so waits for all others.
static TOLD: LazyLock<watch::Sender<()>> = LazyLock::new(|| watch::Sender::new(()));

/// Hears of the facts that this process tells from now on.
pub(crate) fn told() -> watch::Receiver<()> {
    TOLD.subscribe()
}

/// A fact to be told.
#[derive(Debug)]
pub struct Fact<'a, E> {
    /// The fact itself.
    pub event: &'a E,
    /// What it is about; the key on the broker.
    pub aggregate: Uuid,
    /// Its place among the facts of this aggregate on this topic: from 1, without gaps.
    pub seq: i64,
    /// The business case.
    pub correlation: Option<Uuid>,
    /// The event or command that caused it.
    pub causation: Option<Uuid>,
}

// By hand: a reference can be copied whatever it refers to.
impl<E> Clone for Fact<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Fact<'_, E> {}

/// Writes a fact that is sent once the transaction commits. A `seq` that is taken is refused (`outbox_aggregate_seq`).
pub async fn emit<E: Event>(tx: &mut Tx, ids: &dyn Ids, epoch: Epoch, fact: Fact<'_, E>) -> Result<(), Error> {
    const EMIT: &str = "insert into outbox (shard, topic, kind, version, event_id, aggregate, seq, epoch, \
        trace, correlation_id, causation_id, data) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::json)";
    let row = FactRow::of(ids, epoch, fact)?;
    sqlx::query(EMIT)
        .bind(row.shard)
        .bind(row.topic)
        .bind(row.kind)
        .bind(row.version)
        .bind(row.event_id)
        .bind(row.aggregate)
        .bind(row.seq)
        .bind(i64::from(row.epoch))
        .bind(row.trace)
        .bind(row.correlation_id)
        .bind(row.causation_id)
        .bind(row.data.to_string())
        .execute(&mut **tx)
        .await?;
    wake_relays();
    Ok(())
}

/// Lets the relays of this process look for what it has told.
pub(crate) fn wake_relays() {
    TOLD.send_replace(());
}

/// A fact as a row of `outbox`.
#[derive(Debug)]
pub(crate) struct FactRow {
    shard: i16,
    topic: &'static str,
    kind: &'static str,
    version: i16,
    event_id: Uuid,
    aggregate: Uuid,
    seq: i64,
    epoch: u32,
    trace: Option<String>,
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    data: Value,
}

impl FactRow {
    pub(crate) fn of<E: Event>(ids: &dyn Ids, epoch: Epoch, fact: Fact<'_, E>) -> Result<Self, Error> {
        let Fact { event, aggregate, seq, correlation, causation } = fact;
        let (kind, data) = Envelope::parts(event)?;
        Ok(Self {
            shard: shard(aggregate),
            topic: E::TOPIC.name(),
            kind,
            version: i16::try_from(E::VERSION).unwrap_or(i16::MAX),
            event_id: ids.next(),
            aggregate,
            seq,
            epoch: epoch.0,
            trace: agora_chassis::trace::current(),
            correlation_id: correlation,
            causation_id: causation,
            data,
        })
    }

    /// The row as PostgreSQL's texts, in the order of [`told!`](crate::told).
    pub(crate) fn texts(&self) -> [Option<String>; 12] {
        [
            Some(self.shard.to_string()),
            Some(self.topic.to_owned()),
            Some(self.kind.to_owned()),
            Some(self.version.to_string()),
            Some(self.event_id.to_string()),
            Some(self.aggregate.to_string()),
            Some(self.seq.to_string()),
            Some(self.epoch.to_string()),
            self.trace.clone(),
            self.correlation_id.map(|id| id.to_string()),
            self.causation_id.map(|id| id.to_string()),
            Some(self.data.to_string()),
        ]
    }
}

/// The same for ever: a row keeps its place whichever build reads it.
fn shard(aggregate: Uuid) -> i16 {
    let folded = aggregate.as_bytes().iter().fold(0, |folded: u8, byte| folded ^ byte ^ (byte >> 4));
    i16::from(folded % SHARDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_known_spread_and_stable() {
        const TYPICAL: u128 = 0x0190_a1b2_c3d4_7000_8000_0000_0000_0000;
        let mut counts = [0; SHARDS as usize];
        for n in 0..1_600_u128 {
            let shard = shard(Uuid::from_u128(TYPICAL + n * 0x9e37_79b9_7f4a_7c15));
            counts[usize::try_from(shard).expect("from 0")] += 1;
        }
        assert!(counts.iter().all(|count| (50..=150).contains(count)), "{counts:?}");
        assert_eq!(shard(Uuid::from_u128(TYPICAL)), 3);
    }
}
