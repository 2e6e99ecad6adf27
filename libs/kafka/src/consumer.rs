//! Receives the messages of a group's partitions; commits, pauses and resumes what it is told to.
//!
//! Knows offsets; must not decide when a message is done with.

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use agora_events::Topic;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer},
    error::KafkaError,
};

use crate::{Config, Error, trouble::Trouble};

/// A member that is not heard of for so long loses its partitions, in milliseconds.
const SESSION_MS_MAX: &str = "15000";
const HEARTBEAT_MS: &str = "3000";
/// Memory for messages fetched ahead, in KiB.
const FETCHED_KIB_MAX: &str = "8192";
const FETCH_BYTES_MAX: &str = "4194304";

/// A partition of a subscribed topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic.
    pub topic: Topic,
    /// Its number.
    pub number: i32,
}

/// One message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Where it was read.
    pub partition: Partition,
    /// Its place there; the next one is what to commit when it is done with.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its bytes.
    pub payload: Vec<u8>,
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
    /// Joins a group (named without the isolation key) that reads topics from their beginning.
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
            .set("fetch.max.bytes", FETCH_BYTES_MAX);
        let client: StreamConsumer<Context> =
            settings.create_with_context(Context::default()).map_err(Error::Client)?;
        let topics: Vec<(String, Topic)> = topics.iter().map(|topic| (config.topic(*topic), *topic)).collect();
        let names: Vec<&str> = topics.iter().map(|(name, _)| name.as_str()).collect();
        client.subscribe(&names).map_err(Error::Client)?;
        Ok(Self { client, topics })
    }

    /// The next message of any partition that is not paused. May be cancelled without losing one.
    pub async fn recv(&self) -> Result<Incoming, Error> {
        loop {
            let message = self.client.recv().await.map_err(Error::Receive)?;
            if let Some(topic) = self.topic(message.topic()) {
                return Ok(Incoming {
                    partition: Partition { topic, number: message.partition() },
                    offset: message.offset(),
                    key: message.key().map(<[u8]>::to_vec),
                    payload: message.payload().unwrap_or_default().to_vec(),
                });
            }
        }
    }

    /// The partitions that went to other members since the last call; messages of theirs that were received and not yet
    /// committed are theirs again.
    pub fn lost(&self) -> Vec<Partition> {
        let names = mem::take(&mut *self.client.context().lost());
        let known = |(name, number): (String, i32)| Some(Partition { topic: self.topic(&name)?, number });
        names.into_iter().filter_map(known).collect()
    }

    /// Commits, for each partition, the offset to go on from; does not wait for the broker.
    pub fn commit(&self, next: &[(Partition, i64)]) -> Result<(), Error> {
        let next: Vec<_> = next.iter().map(|(partition, offset)| (*partition, Offset::Offset(*offset))).collect();
        self.client.commit(&self.list(&next)?, CommitMode::Async).map_err(Error::Partition)
    }

    /// Stops receiving from a partition; a few messages that were fetched already may still come.
    pub fn pause(&self, partition: Partition) -> Result<(), Error> {
        self.client.pause(&self.list(&[(partition, Offset::Invalid)])?).map_err(Error::Partition)
    }

    /// Goes on after [`Consumer::pause`].
    pub fn resume(&self, partition: Partition) -> Result<(), Error> {
        self.client.resume(&self.list(&[(partition, Offset::Invalid)])?).map_err(Error::Partition)
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

/// Notes which partitions were taken away, as librdkafka tells only its callback.
#[derive(Debug, Default)]
struct Context {
    lost: Mutex<Vec<(String, i32)>>,
    trouble: Trouble,
}

impl Context {
    fn lost(&self) -> std::sync::MutexGuard<'_, Vec<(String, i32)>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.error(error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.trouble.log(level, facility, line);
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let names = partitions.elements().into_iter().map(|one| (one.topic().to_owned(), one.partition()));
            self.lost().extend(names);
        }
    }
}
