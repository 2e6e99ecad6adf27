//! Consumes topics and stores their messages. Offsets are committed after the files that contain them are stored.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Dependency, Pauses, Process, chain};
use agora_events::Topic;
use agora_kafka::{Config as Kafka, Consumer, Partition, Rebalanced};
use agora_vocab::Clock;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    Archive, Config, Error,
    buffers::{Batch, Buffers},
};

/// Messages of a partition are stored when they have this many bytes,
const PARTITION_BYTES_MAX: usize = 1 << 20;
/// or when those of all partitions have this many: then no more are received until some are stored.
const BYTES_MAX: usize = 4 << 20;
/// Interval of looking for what is due.
const TICK: Duration = Duration::from_secs(1);
/// Wait after a broker error.
const BROKER_ERROR_WAIT: Duration = Duration::from_millis(200);
/// First and longest pause before a failed file is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Archives topics as the group `group` until the process shuts down. While the store or the broker is unreachable, `archive` is listed as a degraded
/// dependency, and messages wait in the broker.
pub fn write(config: &Config, kafka: &Kafka, group: &'static str, topics: &'static [Topic], process: &Process) {
    let writer = Arc::new(Writer {
        config: config.clone(),
        kafka: kafka.clone(),
        group,
        topics,
        clock: process.clock(),
        archive: process.dependency("archive"),
        shutdown: process.shutdown(),
    });
    process.supervise("archive", move || writer.clone().run());
}

struct Writer {
    config: Config,
    kafka: Kafka,
    group: &'static str,
    topics: &'static [Topic],
    clock: Arc<dyn Clock>,
    archive: Dependency,
    shutdown: CancellationToken,
}

impl Writer {
    async fn run(self: Arc<Self>) -> anyhow::Result<()> {
        while !self.shutdown.is_cancelled() {
            self.membership().await?;
        }
        Ok(())
    }

    /// Until the login of the broker or of the bucket changes.
    async fn membership(&self) -> anyhow::Result<()> {
        let archive = Archive::open(&self.config)?;
        let member = Consumer::new(&self.kafka, self.group, self.topics)?;
        let (mut kafka, mut config) = (self.kafka.clone(), self.config.clone());
        let mut login_changed = std::pin::pin!(kafka.login_changed());
        let mut secret_changed = std::pin::pin!(secret_changed(&mut config));
        let (mut buffers, mut pauses) = (Buffers::default(), Pauses::new(PAUSE_MIN, PAUSE_MAX));
        let mut is_degraded = false;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = &mut login_changed => break,
                () = &mut secret_changed => break,
                received = member.recv(), if buffers.bytes() < BYTES_MAX => {
                    // A rebalance that precedes the message is a part of the same poll.
                    follow_rebalances(&member, &mut buffers);
                    match received {
                        Ok(message) => buffers.accept(&message, self.clock.now(), Instant::now())?,
                        Err(error) => {
                            is_degraded = true;
                            self.archive.down(chain(&error));
                            tokio::time::sleep(BROKER_ERROR_WAIT).await;
                        }
                    }
                }
                _ = ticks.tick() => follow_rebalances(&member, &mut buffers),
            }
            let due = match buffers.bytes() {
                BYTES_MAX.. => buffers.largest_first(),
                _ => buffers.due(PARTITION_BYTES_MAX, Instant::now() - self.config.age_max),
            };
            if let Err(error) = store_all(&archive, &member, &mut buffers, due).await {
                tracing::warn!(
                    error = chain(&error),
                    "could not store events in the archive; trying again after a pause"
                );
                is_degraded = true;
                self.archive.down(chain(&error));
                self.shutdown.run_until_cancelled(tokio::time::sleep(pauses.pause())).await;
            } else if is_degraded && buffers.bytes() < BYTES_MAX {
                is_degraded = false;
                pauses.reset();
                self.archive.up();
            }
        }
        let left = buffers.largest_first();
        Ok(store_all(&archive, &member, &mut buffers, left).await?)
    }
}

/// Waits for another secret of the bucket; for ever if there is none.
async fn secret_changed(config: &mut Config) {
    match &mut config.login {
        Some((_, secret)) => drop(secret.changed().await),
        None => std::future::pending().await,
    }
}

async fn store_all(
    archive: &Archive,
    member: &Consumer,
    buffers: &mut Buffers,
    due: Vec<Partition>,
) -> Result<(), Error> {
    for partition in due {
        let Some(Batch { next, files, .. }) = buffers.batch(partition) else { continue };
        for (place, lines) in &files {
            archive.put(place, lines).await?;
            metrics::counter!("archive_bytes_total", "topic" => partition.topic.name())
                .increment(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        }
        buffers.remove(partition);
        // Not committed: the messages are archived again after a restart, under the same names.
        if let Err(error) = member.commit(&[(partition, next)]) {
            tracing::warn!(error = chain(&error), "the archive's offsets were not committed");
        }
    }
    Ok(())
}

/// What was received of a revoked partition is delivered to another member, and of an assigned one again.
fn follow_rebalances(member: &Consumer, buffers: &mut Buffers) {
    for rebalanced in member.rebalances() {
        let (Rebalanced::Revoked(partitions) | Rebalanced::Assigned(partitions)) = rebalanced;
        for partition in partitions {
            buffers.remove(partition);
        }
    }
}
