//! Reads topics, groups and settings of the broker through its plaintext listener for the host, and deletes a topic. Must not
//! write to topics.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use agora_events::{Envelope, Topic};
use agora_shopper::checker::EventSeen;
use anyhow::{Context, ensure};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, ConfigSource, OwnedResourceSpecifier, ResourceSpecifier},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _},
    groups::GroupInfo,
};

use crate::settings::KAFKA;

const ANSWER: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
const READ_SECONDS_MAX: u64 = 60;
const EVENTS_MAX: usize = 1_000_000;

/// Names of all topics whose prefix is the isolation key.
pub async fn topics(isolation_key: &str) -> anyhow::Result<Vec<String>> {
    let prefix = format!("{isolation_key}.");
    tokio::task::spawn_blocking(move || {
        let metadata = consumer()?.fetch_metadata(None, ANSWER).context("listing topics")?;
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        Ok(names.filter(|name| name.starts_with(&prefix)).collect())
    })
    .await?
}

/// Deletes a topic, as a user by mistake.
pub async fn delete_topic(name: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = base().create().context("creating an admin client")?;
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    for deleted in admin.delete_topics(&[name], &options).await? {
        deleted.map_err(|(name, code)| anyhow::anyhow!("deleting topic {name}: {code}"))?;
    }
    Ok(())
}

/// All events on a topic, in the order of each partition.
pub async fn events(isolation_key: &str, topic: Topic) -> anyhow::Result<Vec<EventSeen>> {
    let full = format!("{isolation_key}.{topic}");
    tokio::task::spawn_blocking(move || read(&full, topic)).await?
}

/// Name of a consumer group, and the IP addresses of its members.
pub type Group = (String, BTreeSet<String>);

/// All consumer groups whose prefix is the isolation key.
pub async fn groups(isolation_key: &str) -> anyhow::Result<Vec<Group>> {
    let prefix = format!("{isolation_key}.");
    tokio::task::spawn_blocking(move || {
        let list = consumer()?.client().fetch_group_list(None, ANSWER).context("listing consumer groups")?;
        let ours = list.groups().iter().filter(|group| group.name().starts_with(&prefix));
        let hosts = |group: &GroupInfo| {
            group.members().iter().map(|member| member.client_host().trim_start_matches('/').to_owned()).collect()
        };
        Ok(ours.map(|group| (group.name().to_owned(), hosts(group))).collect())
    })
    .await?
}

/// Settings of each topic that differ from the broker's defaults.
pub async fn settings(topics: &[String]) -> anyhow::Result<BTreeMap<String, BTreeMap<String, String>>> {
    let admin: AdminClient<DefaultClientContext> = base().create().context("creating an admin client")?;
    let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let mut settings = BTreeMap::new();
    for described in admin.describe_configs(&resources, &AdminOptions::new().request_timeout(Some(ANSWER))).await? {
        let described = described.context("describing a topic")?;
        let OwnedResourceSpecifier::Topic(name) = described.specifier else { continue };
        let own = described.entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        settings.insert(name, own.filter_map(|entry| Some((entry.name, entry.value?))).collect());
    }
    Ok(settings)
}

/// Remote addresses of established connections to a local port, from /proc/net/tcp.
pub fn peers(port: u16) -> anyhow::Result<BTreeSet<Ipv4Addr>> {
    const ESTABLISHED: &str = "01";
    let mut found = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table).with_context(|| table.to_owned())?.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, ESTABLISHED, ..] = words.as_slice() else { continue };
            if local.ends_with(&format!(":{port:04X}")) {
                found.extend(address(remote));
            }
        }
    }
    Ok(found)
}

/// Parses `0100007F:1F90`: the last eight digits before the colon are the IPv4 address, least significant byte first.
/// An IPv4-mapped IPv6 address has 24 more digits before them.
fn address(socket: &str) -> Option<Ipv4Addr> {
    let (address, _) = socket.split_once(':')?;
    let low = address.get(address.len().checked_sub(8)?..)?;
    Some(Ipv4Addr::from(u32::from_str_radix(low, 16).ok()?.to_le_bytes()))
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
    let (mut events, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(READ_SECONDS_MAX));
    while !ends.is_empty() && events.len() < EVENTS_MAX && Instant::now() < deadline {
        let Some(message) = consumer.poll(POLL) else { continue };
        let message = message?;
        let envelope: Envelope = serde_json::from_slice(message.payload().unwrap_or_default())
            .with_context(|| format!("{full} partition {} offset {}", message.partition(), message.offset()))?;
        let Envelope { id, key, seq, .. } = envelope;
        events.push(EventSeen { topic: topic.name().to_owned(), key, seq, id: Some(id) });
        ends.retain(|(partition, end)| *partition != message.partition() || message.offset() + 1 < *end);
    }
    ensure!(ends.is_empty(), "{full} is not read to its end: {} events, {ends:?} are left", events.len());
    Ok(events)
}

fn consumer() -> anyhow::Result<BaseConsumer> {
    let mut config = base();
    config
        .set("group.id", "agora-e2e-reader")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false");
    config.create().context("creating a consumer")
}

fn base() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", KAFKA).set_log_level(RDKafkaLogLevel::Emerg);
    config
}
