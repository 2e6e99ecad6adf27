//! Sends batches of events: without the topics that are held and the partitions that are blocked, and decides after a failure
//! what becomes either.
//!
//! Must not send events one by one.

use std::{collections::BTreeSet, time::Instant};

use agora_kafka::Unacknowledged;
use agora_postgres::Tx;
use uuid::Uuid;

use crate::{
    blocked_partitions::BlockedPartitions,
    held_topics::HeldTopics,
    one_by_one::Refused,
    relay::{Batch, BatchError, Relay, Row, Waiting},
};

const ROWS_PER_BATCH: i64 = 500;
/// Half of the shards, so that two replicas share the work.
const SHARDS_PER_BATCH: i64 = 8;
/// Attempts to take a batch without an event of a blocked partition. Each attempt leaves out the aggregates that it found.
const TAKES_MAX: u32 = 100;

impl Relay {
    /// After a batch that sent events (`busy`) more nearly always follow, so the check for any row is skipped.
    pub(crate) async fn batch(&self, busy: bool, waiting: &mut Waiting) -> Result<Batch, BatchError> {
        if !busy && !self.any_row().await? {
            return Ok(Batch::default());
        }
        let Some((tx, rows, more)) = self.take(waiting).await? else { return Ok(Batch { sent: 0, more: true }) };
        let sent = rows.len() as u64;
        if rows.is_empty() {
            return Ok(Batch::default());
        }
        let topics: Vec<String> = rows.iter().map(|row| row.topic.clone()).collect();
        let kinds: Vec<String> = rows.iter().map(|row| row.kind.clone()).collect();
        let messages: Result<Vec<_>, _> = rows.into_iter().map(Row::into_message).collect();
        let Ok(messages) = messages else { return Ok(hold(&mut waiting.held, topics.into_iter().collect(), true)) };
        let Err(failed) = self.producer.send_all(&messages).await else {
            tx.commit().await?;
            self.count_sent(kinds);
            return Ok(Batch { sent, more });
        };
        drop(tx);
        let (suspects, rejected) = suspects(&failed, &topics);
        if suspects.is_empty() {
            let first = failed.failed.into_iter().map(|failed| failed.error).next();
            return Err(BatchError::Broker(first.unwrap_or(agora_kafka::Error::Cancelled)));
        }
        let mut to_hold = BTreeSet::new();
        for topic in suspects {
            let of_topic = || failed.failed.iter().filter(|failed| topics.get(failed.at) == Some(&topic));
            let refused = of_topic().map(|failed| Refused::of(&failed.error)).next().unwrap_or_default();
            let lost = (!rejected).then(|| lost_partitions(of_topic())).flatten();
            if !self.block(&topic, lost, &refused, &mut waiting.blocked).await {
                let error = refused.detail;
                tracing::warn!(topic, error, "events of a topic were not accepted: they are sent one by one");
                to_hold.insert(topic);
            }
        }
        Ok(hold(&mut waiting.held, to_hold, rejected))
    }

    /// Takes a batch without events of blocked partitions; `None` if too many were found.
    async fn take(&self, waiting: &mut Waiting) -> Result<Option<(Tx, Vec<Row>, bool)>, sqlx::Error> {
        let Waiting { held, blocked } = waiting;
        for _ in 0..TAKES_MAX {
            let mut tx = self.db.begin().await?;
            let (rows, more) = take_batch(&mut tx, held.names(), blocked.aggregates()).await?;
            let waits = |row: &&Row| blocked.waits(&row.topic, row.aggregate);
            if rows.iter().filter(waits).count() == 0 {
                return Ok(Some((tx, rows, more)));
            }
            tx.rollback().await?;
            for topic in blocked.overflow() {
                held.hold(topic, false, Instant::now());
            }
        }
        Ok(None)
    }

    /// Leaves the `lost` partitions of a topic out of batches. `false` if the topic has no other ones, or the broker does not
    /// say how many it has.
    async fn block(
        &self,
        topic: &str,
        lost: Option<BTreeSet<i32>>,
        refused: &Refused,
        blocked: &mut BlockedPartitions,
    ) -> bool {
        let Some(lost) = lost else { return false };
        let Ok(count) = self.producer.partition_count(topic).await else { return false };
        if usize::try_from(count).is_ok_and(|count| count <= lost.len()) {
            return false;
        }
        for partition in lost {
            blocked.block(topic, partition, count, &refused.reason, Instant::now());
            let error = &refused.detail;
            self.topic(topic).down(format!("events of partition {partition} wait in the outbox: {error}"));
            tracing::warn!(topic, partition, error, "a partition accepts no events: those of others are sent");
        }
        true
    }

    /// One cheap statement: it is nearly all that an idle relay runs.
    async fn any_row(&self) -> Result<bool, sqlx::Error> {
        // Uses the index, which skips rows deleted long ago; `exists` would scan the table from its start.
        const FIRST: &str = "select id from outbox order by id limit 1";
        let first: Option<i64> = sqlx::query_scalar(FIRST).fetch_optional(&mut *self.db.acquire().await?).await?;
        Ok(first.is_some())
    }
}

/// Sends the topics one by one from now on. Nothing of the batch is deleted: what was acknowledged is sent again.
fn hold(held: &mut HeldTopics, topics: BTreeSet<String>, rejected: bool) -> Batch {
    for topic in topics {
        held.hold(topic, rejected, Instant::now());
    }
    Batch { sent: 0, more: true }
}

/// The topics that a batch failed for, and whether the broker rejected something. A rejection fails all that follow it.
/// Without one, topics are suspect only if the broker acknowledged others.
fn suspects(batch: &agora_kafka::BatchError, topics: &[String]) -> (BTreeSet<String>, bool) {
    let of = |suspect: &dyn Fn(&agora_kafka::Error) -> bool| -> BTreeSet<String> {
        let failed = batch.failed.iter().filter(|failed| suspect(&failed.error));
        failed.filter_map(|failed| topics.get(failed.at).cloned()).collect()
    };
    let rejected = of(&|error| error.rejection().is_some());
    if !rejected.is_empty() {
        return (rejected, true);
    }
    (if batch.acknowledged > 0 { of(&|error| !is_cancelled(error)) } else { BTreeSet::new() }, false)
}

/// The partitions that messages of a topic were lost for; `None` if one of them is not known.
fn lost_partitions<'f>(failed: impl Iterator<Item = &'f Unacknowledged>) -> Option<BTreeSet<i32>> {
    failed.filter(|failed| !is_cancelled(&failed.error)).map(|failed| failed.partition).collect()
}

fn is_cancelled(error: &agora_kafka::Error) -> bool {
    matches!(error, agora_kafka::Error::Cancelled)
}

/// The oldest rows of some shards that no other relay has locked, without those of some topics and aggregates, in order, and
/// whether more may follow.
async fn take_batch(tx: &mut Tx, topics: Vec<String>, aggregates: Vec<Uuid>) -> Result<(Vec<Row>, bool), sqlx::Error> {
    // With the aggregates as constants, the server compares by a hash table.
    const FOR_THESE_VALUES: &str = "set local plan_cache_mode = force_custom_plan";
    if !aggregates.is_empty() {
        sqlx::query(FOR_THESE_VALUES).execute(&mut **tx).await?;
    }
    let take = sqlx::query_as(include_str!("../sql/take_batch.sql"));
    let take = take.bind(SHARDS_PER_BATCH).bind(ROWS_PER_BATCH).bind(topics).bind(aggregates);
    let mut rows: Vec<Row> = take.fetch_all(&mut **tx).await?;
    rows.sort_unstable_by_key(|row| row.id);
    let full = i64::try_from(rows.len()).is_ok_and(|taken| taken >= ROWS_PER_BATCH);
    let more = full || rows.first().is_some_and(|row| row.shards >= SHARDS_PER_BATCH);
    Ok((rows, more))
}
