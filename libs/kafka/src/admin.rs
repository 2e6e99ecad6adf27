//! Creates topics where no operator does: in tests, and for a process outside a cluster.
//!
//! Must not change or delete a topic.

use std::time::{Duration, Instant};

use agora_events::Topic;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::MetadataTopic,
};

use crate::{Config, Error, error_log::ErrorLog};

const OPERATION_MAX: Duration = Duration::from_secs(10);
/// Pause between two looks at what the broker knows of new topics.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Creates each missing topic with `partitions` partitions and one replica, and waits until it accepts writes. Idempotent.
pub async fn ensure_topics(config: &Config, topics: &[Topic], partitions: i32) -> Result<(), Error> {
    let admin: AdminClient<ErrorLog> =
        config.client().create_with_context(ErrorLog::default()).map_err(Error::Client)?;
    let names: Vec<String> = topics.iter().map(|topic| config.topic(*topic)).collect();
    let new: Vec<NewTopic<'_>> =
        names.iter().map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1))).collect();
    let options = AdminOptions::new().operation_timeout(Some(OPERATION_MAX)).request_timeout(Some(OPERATION_MAX));
    for result in admin.create_topics(&new, &options).await.map_err(Error::Topic)? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(Error::Topic(KafkaError::AdminOp(code))),
        }
    }
    let waited = tokio::task::spawn_blocking(move || wait_until_known(&admin, &names)).await;
    waited.map_err(|_| Error::Cancelled)?.map_err(Error::Topic)
}

/// Waits until the broker names a leader of each partition: it answers a creation before it accepts writes.
fn wait_until_known(admin: &AdminClient<ErrorLog>, names: &[String]) -> Result<(), KafkaError> {
    let begun = Instant::now();
    loop {
        let metadata = admin.inner().fetch_metadata(None, OPERATION_MAX)?;
        let is_led = |topic: &MetadataTopic| topic.partitions().iter().all(|partition| partition.leader() >= 0);
        let known = metadata.topics().iter().filter(|topic| !topic.partitions().is_empty() && is_led(topic));
        let known: Vec<&str> = known.map(MetadataTopic::name).collect();
        if names.iter().all(|name| known.contains(&name.as_str())) {
            return Ok(());
        }
        if begun.elapsed() > OPERATION_MAX {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::LeaderNotAvailable));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
