//! Sends the rows of the outbox to the broker, in order per aggregate, and deletes acknowledged rows.
//!
//! Contains the statements on `outbox` and `outbox_shard`. Must not depend on any event's meaning.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use agora_chassis::{Dependency, Pauses, Process};
use agora_events::Envelope;
use agora_kafka::{Outgoing, Producer};
use agora_postgres::Db;
use agora_vocab::Ids;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    append::appended,
    backoff::backoff,
    blocked_partitions::BlockedPartitions,
    held_topics::HeldTopics,
    one_by_one::Refused,
    stopped::{Stopped, show},
};

/// First poll after this process appended an event; each further poll waits twice as long, since the row is visible only
/// after its transaction commits.
const POLL_FIRST: Duration = Duration::from_millis(20);
/// Wait after a batch that emptied the outbox: under load events are then sent ten times a second in batches, which costs
/// the database and the broker far less than one by one.
const BATCH_PAUSE: Duration = Duration::from_millis(100);
/// Longest time between two polls: it bounds the delay of events of a process that crashed before it sent them.
const POLL_MAX: Duration = Duration::from_secs(5);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const MEASURE_INTERVAL: Duration = Duration::from_secs(5);

/// Sends appended events until the process shuts down. Any number of replicas may run: each batch locks its shards. While
/// the broker is unreachable, the outbox grows and `kafka` is listed as a degraded dependency.
pub fn relay(db: Db, producer: Producer, process: &Process) {
    let relay = Relay {
        db,
        producer,
        service: process.service(),
        ids: process.ids(),
        kafka: process.dependency("kafka").measured_by("kafka_connection_status"),
        process: process.clone(),
        shutdown: process.shutdown(),
        shown: Mutex::default(),
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

pub(crate) struct Relay {
    pub(crate) db: Db,
    pub(crate) producer: Producer,
    pub(crate) service: &'static str,
    ids: Arc<dyn Ids>,
    kafka: Dependency,
    process: Process,
    shutdown: CancellationToken,
    /// What the metrics show. Outlives a failed run, whose successor knows nothing of what was held.
    shown: Mutex<BTreeSet<Stopped>>,
}

/// Why a batch is rolled back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("reading or deleting rows of the outbox")]
    Database(#[from] sqlx::Error),
    #[error("sending events")]
    Broker(#[source] agora_kafka::Error),
}

/// What is left out of batches, and is tried by itself.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) held: HeldTopics,
    pub(crate) blocked: BlockedPartitions,
}

impl Waiting {
    /// The topics and partitions that accept no events.
    fn stopped(&self) -> BTreeSet<Stopped> {
        self.held.stopped().chain(self.blocked.stopped()).collect()
    }
}

/// Result of one poll of the outbox.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    /// Number of events sent.
    pub(crate) sent: u64,
    /// Whether the outbox may hold more than one batch.
    pub(crate) more: bool,
}

impl Relay {
    /// Stops only between two batches, so that sent rows are also deleted, and after a last one.
    async fn run(&self) -> anyhow::Result<()> {
        let (mut failures, mut appended, mut busy) = (0, appended(), false);
        let mut pauses = Pauses::new(POLL_FIRST, POLL_MAX);
        let mut waiting = Waiting::default();
        while !self.shutdown.is_cancelled() {
            let polled = self.poll(busy, &mut waiting).await;
            self.show(waiting.stopped());
            match polled {
                Ok(Batch { sent: 0, more: false }) => {
                    (failures, busy) = (0, false);
                    self.shutdown.run_until_cancelled(next_wake(&mut appended, &mut pauses)).await;
                }
                Ok(Batch { sent, more }) => {
                    (failures, busy) = (0, true);
                    pauses.reset();
                    if sent > 0 {
                        self.kafka.up();
                        metrics::counter!("outbox_sent_total", "service" => self.service).increment(sent);
                    }
                    if !more {
                        self.shutdown.run_until_cancelled(tokio::time::sleep(BATCH_PAUSE)).await;
                    }
                }
                Err(error) => {
                    (failures, busy) = (failures + 1, false);
                    self.report(error, failures);
                    let wait = backoff(&*self.ids, failures, BACKOFF_FIRST, BACKOFF_MAX);
                    self.shutdown.run_until_cancelled(tokio::time::sleep(wait)).await;
                }
            }
        }
        // What the last requests appended. While the broker is away it stays, for another replica or the next start.
        if failures == 0 {
            while matches!(self.poll(busy, &mut waiting).await, Ok(Batch { sent: 1.., more: true })) {}
        }
        Ok(())
    }

    fn show(&self, stopped: BTreeSet<Stopped>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        show(self.service, &shown, &stopped);
        *shown = stopped;
    }

    fn report(&self, error: BatchError, failures: u32) {
        let broker = matches!(error, BatchError::Broker(_));
        let error = format!("{:#}", anyhow::Error::from(error));
        if broker {
            self.kafka.down(error.clone());
        }
        if failures == 1 {
            tracing::warn!(error, "events wait in the outbox");
        }
    }

    /// A batch of what nothing is wrong with, then a few events of each topic that is held, and one of each partition that is
    /// blocked.
    async fn poll(&self, busy: bool, waiting: &mut Waiting) -> Result<Batch, BatchError> {
        let mut done = self.batch(busy, waiting).await?;
        let held = &mut waiting.held;
        for topic in held.due(Instant::now()) {
            let pass = self.one_by_one(&topic).await?;
            done = Batch { sent: done.sent + pass.sent, more: done.more || (pass.more && pass.stopped.is_none()) };
            if pass.set_aside > 0 {
                held.hold(topic.clone(), true, Instant::now());
            }
            if let Some(Refused { reason, detail }) = pass.stopped {
                self.topic(&topic).down(format!("events wait in the outbox: {detail}"));
                held.failed(&topic, reason, Instant::now());
            } else {
                held.passed(&topic, !pass.more, Instant::now());
                self.report_set_aside(&topic).await?;
            }
        }
        let blocked = &mut waiting.blocked;
        for (topic, partition, aggregates) in blocked.due(Instant::now()) {
            if let Some(Refused { reason, detail }) = self.probe(&topic, aggregates).await? {
                self.topic(&topic).down(format!("events of partition {partition} wait in the outbox: {detail}"));
                blocked.failed(&topic, partition, reason, Instant::now());
            } else {
                done.more = true;
                if blocked.unblock(&topic, partition) {
                    self.report_set_aside(&topic).await?;
                }
            }
        }
        Ok(done)
    }

    /// Counts events that the broker has acknowledged, by their kind.
    pub(crate) fn count_sent(&self, kinds: impl IntoIterator<Item = String>) {
        let mut counts = BTreeMap::<String, u64>::new();
        for kind in kinds {
            *counts.entry(kind).or_default() += 1;
        }
        for (kind, count) in counts {
            metrics::counter!("domain_event_total", "service" => self.service, "kind" => kind).increment(count);
        }
    }

    /// The topic as a dependency in the readiness report.
    pub(crate) fn topic(&self, name: &str) -> Dependency {
        self.process.dependency(&format!("topic/{name}"))
    }

    /// Names the topic and the reason of events that are set aside.
    async fn report_set_aside(&self, topic: &str) -> Result<(), sqlx::Error> {
        const COUNT: &str =
            "select count(*) as set_aside, coalesce(max(reason), '') as reason from outbox_set_aside where topic = $1";
        let count = sqlx::query_as(COUNT).bind(topic);
        let (set_aside, reason): (i64, String) = count.fetch_one(&mut *self.db.acquire().await?).await?;
        let gauge = metrics::gauge!("outbox_set_aside", "service" => self.service, "topic" => topic.to_owned());
        gauge.set(f64::from(u32::try_from(set_aside).unwrap_or(u32::MAX)));
        let state = self.topic(topic);
        if set_aside == 0 {
            state.up();
        } else {
            state.down(format!("{set_aside} events are set aside, send them again with outbox_resend: {reason}"));
        }
        Ok(())
    }

    async fn set_aside_topics(&self) -> Result<Vec<String>, sqlx::Error> {
        const TOPICS: &str = "select distinct topic from outbox_set_aside";
        sqlx::query_scalar(TOPICS).fetch_all(&mut *self.db.acquire().await?).await
    }

    async fn measure(&self) {
        let mut reported = BTreeSet::new();
        loop {
            tokio::time::sleep(MEASURE_INTERVAL).await;
            if let Ok(topics) = self.set_aside_topics().await {
                reported.extend(topics);
                for topic in &reported {
                    drop(self.report_set_aside(topic).await);
                }
            }
            // An unreachable database is reported by its own dependency.
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

/// Waits for the next poll: soon after this process appended an event, else with growing intervals.
async fn next_wake(appended: &mut watch::Receiver<()>, pauses: &mut Pauses) {
    tokio::select! {
        _ = appended.changed() => {
            pauses.reset();
            // The same poll also finds events that are appended in the meantime.
            tokio::time::sleep(POLL_FIRST).await;
        }
        () = tokio::time::sleep(pauses.pause()) => {}
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) topic: String,
    pub(crate) kind: String,
    version: i16,
    event_id: Uuid,
    pub(crate) aggregate: Uuid,
    seq: i64,
    epoch: i64,
    trace: Option<String>,
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    /// Read as text: the relay sends the stored JSON unchanged.
    data: String,
    created_at: OffsetDateTime,
    /// Number of shards that the batch locked.
    pub(crate) shards: i64,
}

impl Row {
    pub(crate) fn into_message(self) -> Result<Outgoing, serde_json::Error> {
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
            data,
            created_at,
            shards: _,
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
            data: RawValue::from_string(data)?,
        };
        Ok(Outgoing { topic, key, payload: serde_json::to_vec(&envelope)?, trace })
    }
}
