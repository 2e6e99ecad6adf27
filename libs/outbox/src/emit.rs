//! Writes a fact beside the change that it tells of, in the same transaction.
//!
//! Knows `outbox`; must not know the broker.

use std::sync::LazyLock;

use agora_events::{Envelope, Event};
use agora_postgres::Tx;
use agora_vocab::{Epoch, Ids};
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
#[derive(Clone, Copy, Debug)]
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

/// Writes a fact that is sent once the transaction commits. A `seq` that is taken is refused (`outbox_aggregate_seq`).
pub async fn emit<E: Event>(tx: &mut Tx, ids: &dyn Ids, epoch: Epoch, fact: Fact<'_, E>) -> Result<(), Error> {
    const EMIT: &str = "insert into outbox (shard, topic, kind, version, event_id, aggregate, seq, epoch, \
        trace, correlation_id, causation_id, data) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::json)";
    let Fact { event, aggregate, seq, correlation, causation } = fact;
    let (kind, data) = Envelope::parts(event)?;
    sqlx::query(EMIT)
        .bind(shard(aggregate))
        .bind(E::TOPIC.name())
        .bind(kind)
        .bind(i16::try_from(E::VERSION).unwrap_or(i16::MAX))
        .bind(ids.next())
        .bind(aggregate)
        .bind(seq)
        .bind(i64::from(epoch.0))
        .bind(agora_chassis::trace::current())
        .bind(correlation)
        .bind(causation)
        .bind(data.to_string())
        .execute(&mut **tx)
        .await?;
    TOLD.send_replace(());
    Ok(())
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
