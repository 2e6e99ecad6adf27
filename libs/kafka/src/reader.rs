//! Reads all partitions of some topics, without a group: every reader gets every message, and no place is stored at the broker.
//!
//! Must not decide what a message means.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agora_events::Topic;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{Consumer as _, ConsumerContext, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::{MetadataPartition, MetadataTopic},
};

use crate::{
    Config, Error,
    consumer::{Incoming, Partition, incoming},
    error_log::ErrorLog,
};

/// Memory for prefetched messages, in KiB.
const FETCHED_KIB_MAX: &str = "2048";
/// Longest time that the broker holds a fetch without messages, in milliseconds. A new message ends it at once.
const FETCH_WAIT_MS_MAX: &str = "1000";
/// Time for the broker to say how many partitions a topic has.
const METADATA_MAX: Duration = Duration::from_secs(3);

/// Where a reader goes on. Survives the reader, so that another one of the same process misses nothing.
#[derive(Clone, Debug, Default)]
pub struct ReadPositions(Arc<Mutex<HashMap<Partition, i64>>>);

impl ReadPositions {
    fn next(&self) -> MutexGuard<'_, HashMap<Partition, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads topics from near their ends.
pub struct Reader {
    client: Arc<StreamConsumer<ErrorLog>>,
    topics: Vec<(String, Topic)>,
    positions: ReadPositions,
    /// How many of its latest messages a partition without a position is read from.
    latest: i64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("topics", &self.topics).finish_non_exhaustive()
    }
}

impl ConsumerContext for ErrorLog {}

impl Reader {
    /// Reads nothing until [`Reader::assign`]. A partition without a position begins with its `latest` messages. `name`
    /// (without the isolation key) is how the client calls itself; it joins no group, and commits nothing.
    pub fn new(
        config: &Config,
        name: &str,
        topics: &[Topic],
        positions: ReadPositions,
        latest: u32,
    ) -> Result<Self, Error> {
        let mut settings = config.client();
        settings
            // librdkafka requires one for assigned partitions too.
            .set("group.id", config.name_on_broker(name))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // For a place that the topic's retention has passed.
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .set("queued.max.messages.kbytes", FETCHED_KIB_MAX)
            .set("fetch.wait.max.ms", FETCH_WAIT_MS_MAX);
        let client = settings.create_with_context(ErrorLog::default()).map_err(Error::Client)?;
        let topics = topics.iter().map(|topic| (config.topic(*topic), *topic)).collect();
        Ok(Self { client: Arc::new(client), topics, positions, latest: i64::from(latest) })
    }

    /// Asks the broker for the partitions of the topics and reads all of them; returns how many there are. Called again,
    /// it takes new partitions over. Fails if a topic does not exist yet.
    pub async fn assign(&self) -> Result<usize, Error> {
        let (client, topics) = (self.client.clone(), self.topics.clone());
        let asked = tokio::task::spawn_blocking(move || partitions(&client, &topics)).await;
        let found = asked.map_err(|_| Error::Cancelled)?.map_err(Error::Topic)?;
        let assigned = self.client.assignment().map_err(Error::Partition)?;
        if assigned.count() == found.len() {
            return Ok(found.len());
        }
        let mut list = TopicPartitionList::with_capacity(found.len());
        let known = self.positions.next().clone();
        for (name, partition) in &found {
            // A partition that appears later is read from its beginning: its messages are new.
            let unknown = if assigned.count() == 0 { Offset::OffsetTail(self.latest) } else { Offset::Beginning };
            let offset = known.get(partition).map_or(unknown, |next| Offset::Offset(*next));
            list.add_partition_offset(name, partition.number, offset).map_err(Error::Partition)?;
        }
        self.client.assign(&list).map_err(Error::Partition)?;
        Ok(found.len())
    }

    /// The next message of any partition. Cancel-safe.
    pub async fn recv(&self) -> Result<Incoming, Error> {
        loop {
            let message = self.client.recv().await.map_err(Error::Receive)?;
            if let Some(incoming) = incoming(&message, &self.topics) {
                self.positions.next().insert(incoming.partition, incoming.offset + 1);
                return Ok(incoming);
            }
        }
    }
}

fn partitions(
    client: &StreamConsumer<ErrorLog>,
    topics: &[(String, Topic)],
) -> Result<Vec<(String, Partition)>, KafkaError> {
    let mut all = Vec::new();
    for (name, topic) in topics {
        let metadata = client.fetch_metadata(Some(name.as_str()), METADATA_MAX)?;
        let found = metadata.topics().iter().find(|found| found.name() == name && found.error().is_none());
        let numbers: Vec<i32> =
            found.into_iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id).collect();
        if numbers.is_empty() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        all.extend(numbers.into_iter().map(|number| (name.clone(), Partition { topic: *topic, number })));
    }
    Ok(all)
}
