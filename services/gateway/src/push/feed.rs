//! Reads the events of users from the broker: every process of the gateway reads all of them.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Dependency, Process, chain};
use agora_events::Envelope;
use agora_kafka::{Config, Incoming, ReadPositions, Reader};
use agora_vocab::Clock;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    hub::Hub,
    public_event::{TOPICS, public},
};

/// How the reader calls itself at the broker.
const NAME: &str = "gateway";
/// Events of each partition that a new process reads first, so that a client which comes from a process that ended finds
/// what it missed.
const LATEST: u32 = 200;
/// Most that the clock of a service that writes events is behind this one's, in milliseconds.
const CLOCK_SKEW_MS: i64 = 30_000;
/// Wait after an error of the broker.
const ERROR_WAIT: Duration = Duration::from_secs(1);
/// How often the broker is asked for new partitions.
const PARTITIONS_EVERY: Duration = Duration::from_mins(1);

struct Feed {
    hub: Hub,
    positions: ReadPositions,
    /// Events that were written before belong to the history alone, in milliseconds since 1970.
    live_from_ms: i64,
    kafka: Dependency,
    shutdown: CancellationToken,
}

/// Passes events on to the hub until the process ends. While the broker does not answer, `kafka` is listed as degraded, and
/// events come late.
pub fn follow(hub: Hub, config: Config, process: &Process) {
    let feed = Arc::new(Feed {
        hub,
        positions: ReadPositions::default(),
        live_from_ms: milliseconds(process.clock().as_ref()) - CLOCK_SKEW_MS,
        kafka: process.dependency("kafka"),
        shutdown: process.shutdown(),
    });
    process.supervise("events", move || run(feed.clone(), config.clone()));
}

async fn run(feed: Arc<Feed>, config: Config) -> anyhow::Result<()> {
    // Notices a new password once: it outlives a reader.
    let mut watched = config.clone();
    while !feed.shutdown.is_cancelled() {
        let reader = Reader::new(&config, NAME, TOPICS, feed.positions.clone(), LATEST)?;
        tokio::select! {
            () = feed.shutdown.cancelled() => {}
            () = watched.login_changed() => {}
            () = feed.read(&reader) => {}
        }
    }
    Ok(())
}

impl Feed {
    /// Never returns.
    async fn read(&self, reader: &Reader) {
        let mut ticks = interval(PARTITIONS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if let Err(error) = reader.assign().await {
                        self.failed(&error).await;
                        ticks.reset_immediately();
                    } else {
                        self.kafka.up();
                    }
                }
                received = reader.recv() => match received {
                    Ok(message) => {
                        self.kafka.up();
                        self.pass_on(&message);
                    }
                    Err(error) => self.failed(&error).await,
                },
            }
        }
    }

    async fn failed(&self, error: &agora_kafka::Error) {
        self.kafka.down(chain(error));
        sleep(ERROR_WAIT).await;
    }

    /// A message that cannot be read is left to the consumers of its topic, which keep it.
    fn pass_on(&self, message: &Incoming) {
        let live = message.sent_at_ms >= self.live_from_ms;
        let read = || -> Result<(), serde_json::Error> {
            let envelope: Envelope = serde_json::from_slice(&message.payload)?;
            let Some(event) = public(message.partition.topic, &envelope)? else { return Ok(()) };
            self.hub.publish(event, message.sent_at_ms, live)
        };
        if let Err(error) = read() {
            let (topic, partition) = (message.partition.topic.name(), message.partition.number);
            tracing::warn!(topic, partition, offset = message.offset, %error, "an event cannot be sent to its user");
            metrics::counter!("gateway_event_unreadable_total", "topic" => topic).increment(1);
        }
    }
}

fn milliseconds(clock: &dyn Clock) -> i64 {
    i64::try_from(clock.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
