//! Consumes topics and stores their messages. Offsets are committed after the files that contain them are stored.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Dependency, Pauses, Process, chain};
use agora_events::Topic;
use agora_kafka::{Config as Kafka, Consumer, Incoming, Partition, Rebalanced};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    Archive, Config, Error,
    buffers::{Buffers, Run},
    place::Place,
    retention,
    stored::Stored,
};

/// Messages of a partition are stored when they have this many bytes,
const PARTITION_BYTES_MAX: usize = 1 << 20;
/// or when those of all partitions have this many: then the largest are stored until half is left, and no message is received
/// before.
const BYTES_MAX: usize = 16 << 20;
/// Interval of looking for what is due.
const TICK: Duration = Duration::from_secs(1);
/// Wait after a broker error.
const BROKER_ERROR_WAIT: Duration = Duration::from_millis(200);
/// Without a further error for this long, the broker counts as reachable even if no message arrived.
const BROKER_RECOVERED_AFTER: Duration = Duration::from_secs(10);
/// First and longest pause before a failed file is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Time for storing what was received, at shutdown. What is not stored is received again after the next start.
const FINISH_MAX: Duration = Duration::from_secs(8);

/// Archives topics as the group `group` until the process shuts down, and deletes what is older than the retention. While the
/// store or the broker is unreachable, `archive` is listed as a degraded dependency, and messages wait in the broker.
pub fn write(config: &Config, kafka: &Kafka, group: &'static str, topics: &'static [Topic], process: &Process) {
    let writer = Arc::new(Writer {
        config: config.clone(),
        kafka: kafka.clone(),
        group,
        topics,
        archive: process.dependency("archive"),
        shutdown: process.shutdown(),
    });
    process.supervise("archive", move || writer.clone().run());
    if let Some(days) = config.retention_days {
        let (config, clock, shutdown) = (config.clone(), process.clock(), process.shutdown());
        process.supervise("archive-retention", move || {
            let (config, clock, shutdown) = (config.clone(), clock.clone(), shutdown.clone());
            async move {
                let work = retention::run(config, days, topics, clock);
                shutdown.run_until_cancelled(work).await.unwrap_or(Ok(()))
            }
        });
    }
}

struct Writer {
    config: Config,
    kafka: Kafka,
    group: &'static str,
    topics: &'static [Topic],
    archive: Dependency,
    shutdown: CancellationToken,
}

impl Writer {
    async fn run(self: Arc<Self>) -> anyhow::Result<()> {
        // Each notices a new secret once: they outlive a membership.
        let (mut kafka, mut config) = (self.kafka.clone(), self.config.clone());
        while !self.shutdown.is_cancelled() {
            self.membership(&mut kafka, &mut config).await?;
        }
        Ok(())
    }

    /// Until the login of the broker or of the bucket changes.
    async fn membership(&self, kafka: &mut Kafka, config: &mut Config) -> anyhow::Result<()> {
        let mut membership = Membership::new(self)?;
        let mut login_changed = std::pin::pin!(kafka.login_changed());
        let mut secret_changed = std::pin::pin!(secret_changed(config));
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = &mut login_changed => break,
                () = &mut secret_changed => break,
                received = membership.member.recv(), if membership.buffers.bytes() < BYTES_MAX => {
                    // A rebalance that precedes the message is a part of the same poll.
                    membership.follow_rebalances();
                    match received {
                        Ok(message) => membership.accept(&message)?,
                        Err(error) => membership.broker_failed(&error).await,
                    }
                }
                _ = ticks.tick() => membership.follow_rebalances(),
            }
            membership.store_due(self.config.age_max).await;
        }
        membership.finish().await;
        Ok(())
    }
}

/// Waits for another secret of the bucket; for ever if there is none.
async fn secret_changed(config: &mut Config) {
    match &mut config.login {
        Some((_, secret)) => drop(secret.changed().await),
        None => std::future::pending().await,
    }
}

/// One stay in the consumer group.
struct Membership {
    archive: Archive,
    member: Consumer,
    buffers: Buffers,
    stored: Stored,
    health: Dependency,
    /// Whether the store was found usable.
    is_checked: bool,
    broker_error: Option<Instant>,
    store_failed: bool,
    pauses: Pauses,
    /// Nothing is stored before.
    retry_at: Instant,
}

impl Membership {
    fn new(writer: &Writer) -> anyhow::Result<Self> {
        Ok(Self {
            archive: Archive::open(&writer.config)?,
            member: Consumer::new(&writer.kafka, writer.group, writer.topics)?,
            buffers: Buffers::default(),
            stored: Stored::default(),
            health: writer.archive.clone(),
            is_checked: false,
            broker_error: None,
            store_failed: false,
            pauses: Pauses::new(PAUSE_MIN, PAUSE_MAX),
            retry_at: Instant::now(),
        })
    }

    fn accept(&mut self, message: &Incoming) -> anyhow::Result<()> {
        Ok(self.buffers.accept(message, Instant::now())?)
    }

    async fn broker_failed(&mut self, error: &agora_kafka::Error) {
        self.broker_error = Some(Instant::now());
        self.health.down(chain(error));
        tokio::time::sleep(BROKER_ERROR_WAIT).await;
    }

    /// What was received of a revoked partition is delivered to another member, and of an assigned one again.
    fn follow_rebalances(&mut self) {
        for rebalanced in self.member.rebalances() {
            let (Rebalanced::Revoked(partitions) | Rebalanced::Assigned(partitions)) = rebalanced;
            for partition in partitions {
                self.buffers.remove(partition);
                self.stored.forget(partition);
            }
        }
    }

    /// Stores what is due, unless the store has just failed. Messages are received meanwhile until the buffers are full.
    async fn store_due(&mut self, age_max: Duration) {
        let now = Instant::now();
        if now < self.retry_at {
            return;
        }
        let due = if self.buffers.bytes() >= BYTES_MAX {
            self.buffers.largest(BYTES_MAX / 2)
        } else {
            self.buffers.due(PARTITION_BYTES_MAX, age_max, now)
        };
        if self.is_checked && due.is_empty() {
            self.recover();
            return;
        }
        match self.store(due).await {
            Ok(()) => {
                self.store_failed = false;
                self.pauses.reset();
                self.recover();
            }
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "could not store events in the archive; trying again after a pause"
                );
                self.health.down(error.to_string());
                self.store_failed = true;
                self.is_checked = false;
                self.retry_at = Instant::now() + self.pauses.pause();
            }
        }
    }

    /// Reports that nothing is missing any more.
    fn recover(&mut self) {
        self.broker_error.take_if(|at| at.elapsed() > BROKER_RECOVERED_AFTER);
        if self.broker_error.is_none() && !self.store_failed {
            self.health.up();
        }
    }

    async fn store(&mut self, partitions: Vec<Partition>) -> Result<(), Error> {
        if !self.is_checked {
            self.archive.check().await?;
            self.is_checked = true;
        }
        for partition in partitions {
            if let Err(error) = self.store_partition(partition).await {
                // A file may be stored whose request failed.
                self.stored.forget(partition);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn store_partition(&mut self, partition: Partition) -> Result<(), Error> {
        let Some(buffer) = self.buffers.of(partition) else { return Ok(()) };
        for (hour, lines) in &buffer.hours {
            let stored = self.stored.ranges(&self.archive, partition, *hour).await?;
            for Run { first, last, text } in lines.runs(stored) {
                let place = Place { topic: partition.topic, hour: *hour, partition: partition.number, first, last };
                self.archive.put(&place, text).await?;
                stored.push((first, last));
                metrics::counter!("archive_bytes_total", "topic" => partition.topic.name())
                    .increment(u64::try_from(text.len()).unwrap_or(u64::MAX));
            }
        }
        let next = buffer.next;
        self.buffers.remove(partition);
        // Not committed: the messages are received again after a restart, and found to be stored.
        if let Err(error) = self.member.commit(&[(partition, next)]) {
            tracing::warn!(error = chain(&error), "the archive's offsets were not committed");
        }
        Ok(())
    }

    /// Stores what was received, as far as the store takes it in time.
    async fn finish(mut self) {
        let left = self.buffers.largest(0);
        if left.is_empty() {
            return;
        }
        match tokio::time::timeout(FINISH_MAX, self.store(left)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = chain(&error), "events wait in the broker to be archived"),
            Err(_) => tracing::warn!("events wait in the broker to be archived: the store did not take them in time"),
        }
    }
}
