//! Creates topics where no operator does: in tests, and for a process outside a cluster.
//!
//! Must not change or delete a topic.

use std::time::Duration;

use agora_events::Topic;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{Config, Error, error_log::ErrorLog};

const OPERATION_MAX: Duration = Duration::from_secs(10);

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
    Ok(())
}
