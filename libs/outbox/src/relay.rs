//! Sends the facts of the outbox to the broker, in order per aggregate, and deletes what was acknowledged.
//!
//! Knows `outbox`, `outbox_shard` and the producer; must not know any fact.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Dependency, Process};
use agora_events::Envelope;
use agora_kafka::{Outgoing, Producer};
use agora_postgres::{Db, Tx};
use agora_vocab::Ids;
use sqlx::types::Json;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{emit::told, pause::pause};

const ROWS_PER_BATCH: i64 = 500;
/// Half of them, so that two replicas share the work.
const SHARDS_PER_BATCH: i64 = 8;
/// A fact that this process told is looked for after so long, and then each time after twice as long: it is there only
/// once its transaction commits.
const LOOK_FIRST: Duration = Duration::from_millis(20);
/// After a batch that emptied the outbox the next one waits so long: under load facts then leave ten times a second, many
/// together, which costs the database and the broker far less than one by one.
const BATCH_PAUSE: Duration = Duration::from_millis(100);
/// The outbox is looked at after so long anyway: facts that others told and did not live to send.
const LOOK_LAST: Duration = Duration::from_secs(1);
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);
const MEASURE: Duration = Duration::from_secs(5);

/// Sends what is emitted, for as long as the process lives. Any number of replicas may: each batch locks its shards.
/// While the broker is away the outbox grows and `kafka` is listed as degraded.
pub fn relay(db: Db, producer: Producer, process: &Process) {
    let relay = Relay {
        db,
        producer,
        service: process.service(),
        ids: process.ids(),
        kafka: process.dependency("kafka"),
        shutdown: process.shutdown(),
    };
    let relay = Arc::new(relay);
    let measured = relay.clone();
    process.supervise("outbox-relay", move || {
        let relay = relay.clone();
        async move { relay.run().await }
    });
    process.supervise("outbox-measure", move || {
        let relay = measured.clone();
        async move {
            relay.shutdown.run_until_cancelled(relay.measure()).await;
            Ok(())
        }
    });
}

struct Relay {
    db: Db,
    producer: Producer,
    service: &'static str,
    ids: Arc<dyn Ids>,
    kafka: Dependency,
    shutdown: CancellationToken,
}

/// Why a batch was rolled back.
#[derive(Debug, thiserror::Error)]
enum BatchError {
    #[error("reading or emptying the outbox")]
    Database(#[from] sqlx::Error),
    #[error("sending facts")]
    Broker(#[from] agora_kafka::Error),
    #[error("writing an envelope")]
    Envelope(#[from] serde_json::Error),
}

/// What a look at the outbox led to.
#[derive(Clone, Copy, Debug, Default)]
struct Batch {
    /// Facts that were sent.
    sent: u64,
    /// Whether there may be more than one batch takes.
    more: bool,
}

impl Relay {
    /// Ends between two batches, so that what was sent is also deleted.
    async fn run(&self) -> anyhow::Result<()> {
        let (mut failures, mut told, mut next_look, mut busy) = (0, told(), LOOK_FIRST, false);
        while !self.shutdown.is_cancelled() {
            match self.batch(busy).await {
                Ok(Batch { sent: 0, .. }) => {
                    (failures, busy) = (0, false);
                    self.shutdown.run_until_cancelled(woken(&mut told, &mut next_look)).await;
                }
                Ok(Batch { sent, more }) => {
                    (failures, next_look, busy) = (0, LOOK_FIRST, true);
                    self.kafka.up();
                    metrics::counter!("outbox_sent_total", "service" => self.service).increment(sent);
                    if !more {
                        self.shutdown.run_until_cancelled(tokio::time::sleep(BATCH_PAUSE)).await;
                    }
                }
                Err(error) => {
                    (failures, busy) = (failures + 1, false);
                    self.report(error, failures);
                    let pause = pause(&*self.ids, failures, PAUSE_FIRST, PAUSE_LONGEST);
                    self.shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
        Ok(())
    }

    fn report(&self, error: BatchError, failures: u32) {
        let broker = matches!(error, BatchError::Broker(_));
        let error = format!("{:#}", anyhow::Error::from(error));
        if broker {
            self.kafka.down(error.clone());
        }
        if failures == 1 {
            tracing::warn!(error, "facts wait in the outbox");
        }
    }

    /// After a batch that sent something (`busy`) there are nearly always more facts, and it is not asked whether there are.
    async fn batch(&self, busy: bool) -> Result<Batch, BatchError> {
        if !busy && !self.anything().await? {
            return Ok(Batch::default());
        }
        let mut tx = self.db.begin().await?;
        let (rows, more) = next_rows(&mut tx).await?;
        if rows.is_empty() {
            return Ok(Batch::default());
        }
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let messages = rows.into_iter().map(Row::into_message).collect::<Result<Vec<_>, _>>()?;
        self.producer.send_all(&messages).await?;
        let deleted = sqlx::query("delete from outbox where id = any($1)").bind(&ids).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Batch { sent: deleted.rows_affected(), more })
    }

    /// One statement, since it is nearly all that an idle relay does.
    async fn anything(&self) -> Result<bool, sqlx::Error> {
        // By the index, in which rows deleted long ago are skipped; `exists` would read the table from its start.
        const FIRST: &str = "select id from outbox order by id limit 1";
        let first: Option<i64> = sqlx::query_scalar(FIRST).fetch_optional(&mut *self.db.acquire().await?).await?;
        Ok(first.is_some())
    }

    async fn measure(&self) {
        loop {
            tokio::time::sleep(MEASURE).await;
            // Without the database there is nothing to tell, and others tell that.
            if let Ok((pending, oldest_seconds)) = self.backlog().await {
                let pending = u32::try_from(pending).unwrap_or(u32::MAX);
                metrics::gauge!("outbox_pending", "service" => self.service).set(f64::from(pending));
                metrics::gauge!("outbox_oldest_seconds", "service" => self.service).set(oldest_seconds);
            }
        }
    }

    async fn backlog(&self) -> Result<(i64, f64), sqlx::Error> {
        const PENDING: &str = "select count(*) as pending, \
            coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as oldest_seconds from outbox";
        sqlx::query_as(PENDING).fetch_one(&mut *self.db.acquire().await?).await
    }
}

/// Waits until a look is worth it: soon after this process told a fact, else less and less often.
async fn woken(told: &mut watch::Receiver<()>, next_look: &mut Duration) {
    tokio::select! {
        _ = told.changed() => {
            *next_look = LOOK_FIRST;
            // What is told meanwhile is found by the same look.
            tokio::time::sleep(LOOK_FIRST).await;
        }
        () = tokio::time::sleep(*next_look) => *next_look = LOOK_LAST.min(*next_look * 2),
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    topic: String,
    kind: String,
    version: i16,
    event_id: Uuid,
    aggregate: Uuid,
    seq: i64,
    epoch: i64,
    trace: Option<String>,
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    data: Json<serde_json::Value>,
    created_at: OffsetDateTime,
}

/// The oldest rows of some shards that nobody else is sending, and whether there may be more; their shards stay locked until
/// the transaction ends.
async fn next_rows(tx: &mut Tx) -> Result<(Vec<Row>, bool), sqlx::Error> {
    // At random, so that no shard is last for ever. The transaction's end need not reach the disk before it is believed:
    // rows that a crash brings back are sent again, and the inbox drops them.
    const LOCK: &str = "select s.shard from outbox_shard s cross join set_config('synchronous_commit', 'off', true) \
        where exists (select from outbox o where o.shard = s.shard) \
        order by random() limit $1 for update of s skip locked";
    // In a statement of its own: it must see what the last holder of the lock has deleted.
    const READ: &str = "select id, topic, kind, version, event_id, aggregate, seq, epoch, trace, correlation_id, \
        causation_id, data, created_at from outbox where shard = any($1) order by id limit $2";
    let shards: Vec<i16> = sqlx::query_scalar(LOCK).bind(SHARDS_PER_BATCH).fetch_all(&mut **tx).await?;
    if shards.is_empty() {
        return Ok((Vec::new(), false));
    }
    let rows: Vec<Row> = sqlx::query_as(READ).bind(&shards).bind(ROWS_PER_BATCH).fetch_all(&mut **tx).await?;
    let full = |taken: usize, most: i64| i64::try_from(taken).is_ok_and(|taken| taken >= most);
    let more = full(shards.len(), SHARDS_PER_BATCH) || full(rows.len(), ROWS_PER_BATCH);
    Ok((rows, more))
}

impl Row {
    fn into_message(self) -> Result<Outgoing, serde_json::Error> {
        let Self {
            id: _,
            topic,
            kind,
            version,
            event_id,
            aggregate,
            seq,
            epoch,
            trace,
            correlation_id,
            causation_id,
            data: Json(data),
            created_at,
        } = self;
        let key = aggregate.to_string();
        let envelope = Envelope {
            id: event_id,
            kind,
            version: u16::try_from(version).unwrap_or_default(),
            time: created_at,
            key: key.clone(),
            seq,
            epoch: u32::try_from(epoch).unwrap_or(u32::MAX),
            trace: trace.clone(),
            correlation_id,
            causation_id,
            data,
        };
        Ok(Outgoing { topic, key, payload: serde_json::to_vec(&envelope)?, trace })
    }
}
