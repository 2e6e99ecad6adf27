//! What is on the Marketplace's topics, read through the broker's door for processes of the host.

use std::time::{Duration, Instant};

use agora_events::{Envelope, Topic};
use agora_shopper::checker::EventSeen;
use anyhow::Context;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::settings::KAFKA;

const ANSWER: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
const READ_SECONDS_MAX: u64 = 60;
const EVENTS_MAX: usize = 1_000_000;

/// Names of the topics that begin with an isolation key.
pub async fn topics(isolation_key: &str) -> anyhow::Result<Vec<String>> {
    let prefix = format!("{isolation_key}.");
    tokio::task::spawn_blocking(move || {
        let metadata = consumer()?.fetch_metadata(None, ANSWER).context("asking the broker for its topics")?;
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        Ok(names.filter(|name| name.starts_with(&prefix)).collect())
    })
    .await?
}

/// Every event on a topic, in the order of each partition.
pub async fn events(isolation_key: &str, topic: Topic) -> anyhow::Result<Vec<EventSeen>> {
    let full = format!("{isolation_key}.{topic}");
    tokio::task::spawn_blocking(move || read(&full, topic)).await?
}

fn read(full: &str, topic: Topic) -> anyhow::Result<Vec<EventSeen>> {
    let consumer = consumer()?;
    let metadata = consumer.fetch_metadata(Some(full), ANSWER)?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    let (mut assignment, mut ends) = (TopicPartitionList::new(), Vec::new());
    for partition in 0..i32::try_from(partitions)? {
        let (low, high) = consumer.fetch_watermarks(full, partition, ANSWER)?;
        if high > low {
            assignment.add_partition_offset(full, partition, Offset::Beginning)?;
            ends.push((partition, high));
        }
    }
    consumer.assign(&assignment)?;
    let (mut events, give_up) = (Vec::new(), Instant::now() + Duration::from_secs(READ_SECONDS_MAX));
    while !ends.is_empty() && events.len() < EVENTS_MAX && Instant::now() < give_up {
        let Some(message) = consumer.poll(POLL) else { continue };
        let message = message?;
        let envelope: Envelope = serde_json::from_slice(message.payload().unwrap_or_default())
            .with_context(|| format!("{full} partition {} offset {}", message.partition(), message.offset()))?;
        let Envelope { id, key, seq, .. } = envelope;
        events.push(EventSeen { topic: topic.name().to_owned(), key, seq, id: Some(id) });
        ends.retain(|(partition, end)| *partition != message.partition() || message.offset() + 1 < *end);
    }
    Ok(events)
}

fn consumer() -> anyhow::Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", KAFKA)
        .set("group.id", "agora-e2e-reader")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .set_log_level(RDKafkaLogLevel::Emerg);
    config.create().context("setting up a consumer")
}
