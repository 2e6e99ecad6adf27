//! A member of a consumer group: receives messages, commits offsets, pauses and resumes partitions.
//!
//! Must not decide when a message is handled.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use agora_events::Topic;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
};

use crate::{Config, Error, error_log::ErrorLog, lag::Lag};

/// A member that sends no heartbeat for this long loses its partitions, in milliseconds.
const SESSION_MS_MAX: &str = "15000";
const HEARTBEAT_MS: &str = "3000";
/// Memory for prefetched messages, in KiB.
const FETCHED_KIB_MAX: &str = "8192";
const FETCH_BYTES_MAX: &str = "4194304";
/// Longest time that the broker holds a fetch without messages, in milliseconds. A new message ends it at once; a partition
/// that is resumed waits for its end.
const FETCH_WAIT_MS_MAX: &str = "1000";
/// Interval at which librdkafka reports its state, in milliseconds: from it the lag is measured.
const STATISTICS_MS: &str = "10000";

/// Headers of a message that are read.
const HEADERS_MAX: usize = 16;

/// A partition of a subscribed topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The subscribed topic.
    pub topic: Topic,
    /// Partition number, from 0.
    pub number: i32,
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The partition that it was read from.
    pub partition: Partition,
    /// Its offset. After handling, `offset + 1` is committed.
    pub offset: i64,
    /// The message key, if any.
    pub key: Option<Vec<u8>>,
    /// The message value; empty for a tombstone.
    pub payload: Vec<u8>,
    /// When it was sent, in milliseconds since 1970; 0 if the broker does not say.
    pub sent_at_ms: i64,
    /// The message headers in their order; at most 16 of them.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A member of a consumer group. Leaves the group when dropped.
pub struct Consumer {
    client: StreamConsumer<Context>,
    topics: Vec<(String, Topic)>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("topics", &self.topics).finish_non_exhaustive()
    }
}

impl Consumer {
    /// Joins a group (named without the isolation key). A new group starts at the beginning of the topics.
    pub fn new(config: &Config, group: &str, topics: &[Topic]) -> Result<Self, Error> {
        let mut settings = config.client();
        settings
            .set("group.id", config.name_on_broker(group))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .set("session.timeout.ms", SESSION_MS_MAX)
            .set("heartbeat.interval.ms", HEARTBEAT_MS)
            .set("queued.max.messages.kbytes", FETCHED_KIB_MAX)
            .set("fetch.max.bytes", FETCH_BYTES_MAX)
            .set("fetch.wait.max.ms", FETCH_WAIT_MS_MAX)
            .set("statistics.interval.ms", STATISTICS_MS);
        let topics: Vec<(String, Topic)> = topics.iter().map(|topic| (config.topic(*topic), *topic)).collect();
        let context =
            Context { rebalances: Mutex::default(), errors: ErrorLog::default(), lag: Lag::new(group, &topics) };
        let client: StreamConsumer<Context> = settings.create_with_context(context).map_err(Error::Client)?;
        let names: Vec<&str> = topics.iter().map(|(name, _)| name.as_str()).collect();
        client.subscribe(&names).map_err(Error::Client)?;
        Ok(Self { client, topics })
    }

    /// The next message of any partition that is not paused. Cancel-safe.
    pub async fn recv(&self) -> Result<Incoming, Error> {
        loop {
            let message = self.client.recv().await.map_err(Error::Receive)?;
            if let Some(incoming) = incoming(&message, &self.topics) {
                return Ok(incoming);
            }
        }
    }

    /// The rebalances since the last call, in their order. Read them before a received message is accepted: a message that
    /// was received before a revocation may be delivered to another member, one received after an assignment may not.
    pub fn rebalances(&self) -> Vec<Rebalanced> {
        let rebalances = mem::take(&mut *self.client.context().rebalances());
        let known = |(name, number): (String, i32)| Some(Partition { topic: self.topic(&name)?, number });
        let partitions = |names: Vec<(String, i32)>| names.into_iter().filter_map(known).collect();
        rebalances
            .into_iter()
            .map(|change| match change {
                Change::Assigned(names) => Rebalanced::Assigned(partitions(names)),
                Change::Revoked(names) => Rebalanced::Revoked(partitions(names)),
            })
            .collect()
    }

    /// Commits the next offset of each partition; does not wait for the broker.
    pub fn commit(&self, next: &[(Partition, i64)]) -> Result<(), Error> {
        let next: Vec<_> = next.iter().map(|(partition, offset)| (*partition, Offset::Offset(*offset))).collect();
        self.client.commit(&self.list(&next)?, CommitMode::Async).map_err(Error::Partition)
    }

    /// Stops receiving from a partition; messages that are already fetched may still arrive.
    pub fn pause(&self, partition: Partition) -> Result<(), Error> {
        self.client.pause(&self.list(&[(partition, Offset::Invalid)])?).map_err(Error::Partition)
    }

    /// Receives again from partitions stopped by [`Consumer::pause`]; does nothing for others.
    pub fn resume(&self, partitions: &[Partition]) -> Result<(), Error> {
        let list: Vec<_> = partitions.iter().map(|partition| (*partition, Offset::Invalid)).collect();
        self.client.resume(&self.list(&list)?).map_err(Error::Partition)
    }

    fn list(&self, offsets: &[(Partition, Offset)]) -> Result<TopicPartitionList, Error> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            if let Some((name, _)) = self.topics.iter().find(|(_, topic)| *topic == partition.topic) {
                list.add_partition_offset(name, partition.number, *offset).map_err(Error::Partition)?;
            }
        }
        Ok(list)
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        self.topics.iter().find(|(known, _)| known == name).map(|(_, topic)| *topic)
    }
}

/// A change of the partitions that this member receives from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalanced {
    /// These are received from now on, from their committed offsets. One that was paused before, at this member, may still
    /// be: librdkafka keeps the state of a partition that comes back.
    Assigned(Vec<Partition>),
    /// These are no longer received from. Their received and uncommitted messages are delivered to other members.
    Revoked(Vec<Partition>),
}

/// Topic and number of each partition.
#[derive(Debug)]
enum Change {
    Assigned(Vec<(String, i32)>),
    Revoked(Vec<(String, i32)>),
}

/// Records rebalances, which librdkafka passes to its callback only, during a poll, and the lag.
#[derive(Debug)]
struct Context {
    rebalances: Mutex<Vec<Change>>,
    errors: ErrorLog,
    lag: Lag,
}

impl Context {
    fn rebalances(&self) -> MutexGuard<'_, Vec<Change>> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.error(error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.errors.log(level, facility, line);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.lag.measure(statistics);
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            self.rebalances().push(Change::Revoked(names(partitions)));
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            self.rebalances().push(Change::Assigned(names(partitions)));
        }
    }
}

/// The message without its client; `None` if its topic is none of these.
pub(crate) fn incoming(message: &BorrowedMessage<'_>, topics: &[(String, Topic)]) -> Option<Incoming> {
    let (_, topic) = topics.iter().find(|(name, _)| name == message.topic())?;
    Some(Incoming {
        partition: Partition { topic: *topic, number: message.partition() },
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().unwrap_or_default().to_vec(),
        sent_at_ms: message.timestamp().to_millis().unwrap_or(0),
        headers: headers(message),
    })
}

fn headers(message: &BorrowedMessage<'_>) -> Vec<(String, Vec<u8>)> {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    headers.take(HEADERS_MAX).map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
}

fn names(partitions: &TopicPartitionList) -> Vec<(String, i32)> {
    partitions.elements().into_iter().map(|one| (one.topic().to_owned(), one.partition())).collect()
}
