//! Appends an event to the outbox, in the transaction of the change that it reports.
//!
//! Contains the statement on `outbox`. Must not depend on the broker.

use std::sync::LazyLock;

use agora_chassis::trace;
use agora_events::{Envelope, Event};
use agora_postgres::Tx;
use agora_vocab::{Epoch, Ids};
use tokio::sync::watch;
use uuid::Uuid;

use crate::Error;

const SHARDS: u8 = 16;

/// Changes with every event that this process appends, whether or not its transaction commits, and wakes the relays of the
/// process. Not `pg_notify`: each notifying commit takes one lock of the whole server and waits for all others.
static APPENDED: LazyLock<watch::Sender<()>> = LazyLock::new(|| watch::Sender::new(()));

/// Changes with every event that this process appends from now on.
pub(crate) fn appended() -> watch::Receiver<()> {
    APPENDED.subscribe()
}

/// An event to append to the outbox.
#[derive(Debug)]
pub struct NewEvent<'a, E> {
    /// Its type and data.
    pub event: &'a E,
    /// The aggregate's id: the message key, so that events of one aggregate stay in order.
    pub aggregate: Uuid,
    /// Sequence number among the events of this aggregate on this topic: from 1, without gaps.
    pub seq: i64,
    /// Identifies the business process, for example the order.
    pub correlation: Option<Uuid>,
    /// Id of the event or command that led to it.
    pub causation: Option<Uuid>,
}

// Not derived: a derive would require `E: Clone`.
impl<E> Clone for NewEvent<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for NewEvent<'_, E> {}

/// Appends an event, which is sent after the transaction commits. A `seq` that exists violates `outbox_aggregate_seq`.
pub async fn emit<E: Event>(tx: &mut Tx, ids: &dyn Ids, epoch: Epoch, new_event: NewEvent<'_, E>) -> Result<(), Error> {
    let row = OutboxRow::of(ids, epoch, new_event)?;
    sqlx::query("select outbox_append($1)").bind(&[row][..]).execute(&mut **tx).await?;
    wake_relays();
    Ok(())
}

/// Wakes the relays of this process.
pub(crate) fn wake_relays() {
    APPENDED.send_replace(());
}

/// An event as a row of `outbox`: the composite type `outbox_event`.
#[derive(Debug, sqlx::Encode)]
pub struct OutboxRow {
    shard: i16,
    topic: &'static str,
    kind: &'static str,
    version: i16,
    event_id: Uuid,
    aggregate: Uuid,
    seq: i64,
    epoch: i64,
    trace: Option<String>,
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    data: String,
}

agora_postgres::composite!(OutboxRow, "outbox_event");

impl OutboxRow {
    pub(crate) fn of<E: Event>(ids: &dyn Ids, epoch: Epoch, new_event: NewEvent<'_, E>) -> Result<Self, Error> {
        let NewEvent { event, aggregate, seq, correlation, causation } = new_event;
        let (kind, data) = Envelope::parts(event)?;
        Ok(Self {
            shard: shard(aggregate),
            topic: E::TOPIC.name(),
            kind,
            version: i16::try_from(E::VERSION).unwrap_or(i16::MAX),
            event_id: ids.next(),
            aggregate,
            seq,
            epoch: i64::from(epoch.0),
            trace: causation.and_then(trace::of_event).or_else(trace::current),
            correlation_id: correlation,
            causation_id: causation,
            data: data.get().to_owned(),
        })
    }
}

/// Must never change: rows written by one build are read by another.
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
