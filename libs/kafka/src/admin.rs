//! Makes topics where no operator does: tests, and a process outside a cluster.
//!
//! Knows how to make a topic; must not change or delete one.

use std::time::Duration;

use agora_events::Topic;
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{Config, Error, trouble::Trouble};

const OPERATION_MAX: Duration = Duration::from_secs(10);

/// Makes each topic that is not there, with that many partitions and one replica; waits until they can be written to.
pub async fn ensure_topics(config: &Config, topics: &[Topic], partitions: i32) -> Result<(), Error> {
    let admin: AdminClient<Trouble> = config.client().create_with_context(Trouble::default()).map_err(Error::Client)?;
    let names: Vec<String> = topics.iter().map(|topic| config.topic(*topic)).collect();
    let wanted: Vec<NewTopic<'_>> =
        names.iter().map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1))).collect();
    let options = AdminOptions::new().operation_timeout(Some(OPERATION_MAX)).request_timeout(Some(OPERATION_MAX));
    for result in admin.create_topics(&wanted, &options).await.map_err(Error::Topic)? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(Error::Topic(KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}
