//! `TopicAdmin` for Kafka brokers, with librdkafka.
//!
//! Opens one admin client per call, so that between inspections the operator has no threads and no connections for a broker.
//! Must not know which topics are desired.

mod answers;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, Producer as _},
};

use crate::decide::servers::{Broker, BrokerAuthentication, DesiredTopic, ObservedBroker};
use crate::external::ports::{BrokerError, PerName, TopicAdmin};
use answers::Shapes;

type Client = AdminClient<DefaultClientContext>;

const ANSWER_SECONDS_MAX: u64 = 15;
/// A reachable broker answers in milliseconds; an unreachable one is retried by the caller.
const METADATA_SECONDS_MAX: u64 = 5;
const DIAGNOSIS_SECONDS_MAX: u64 = 2;
/// A new broker creates the topic of its group coordinator at the first request for a group.
const COORDINATOR_ATTEMPTS_MAX: u32 = 20;
const COORDINATOR_DELAY: Duration = Duration::from_millis(250);
const DIAGNOSIS_POLL: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, Default)]
pub struct KafkaTopics;

#[async_trait]
impl TopicAdmin for KafkaTopics {
    async fn inspect(
        &self,
        broker: &Broker,
        names: &[String],
        marker_prefix: &str,
        identify: bool,
    ) -> Result<ObservedBroker, BrokerError> {
        let (client, mut shapes) = open(broker).await?;
        let markers = shapes.keys().filter(|name| name.starts_with(marker_prefix)).cloned().collect();
        shapes.retain(|name, _| names.contains(name));
        let identify = identify || shapes.len() < names.len();
        let (client, cluster_id) = if identify { cluster_id(client).await? } else { (client, None) };
        let present: Vec<ResourceSpecifier<'_>> = shapes.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        let configs = match present.as_slice() {
            [] => Ok(Vec::new()),
            present => client.describe_configs(present, &request_options()).await,
        };
        close(client);
        let configs = configs.map_err(|error| answers::failure(broker, "describing topics", error))?;
        Ok(ObservedBroker { cluster_id, markers, topics: answers::observed_topics(&shapes, configs) })
    }

    async fn create(&self, broker: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError> {
        if topics.is_empty() {
            return Ok(PerName::new());
        }
        let (client, _) = open(broker).await?;
        let new: Vec<NewTopic<'_>> = topics.iter().map(new_topic).collect();
        let results = client.create_topics(&new, &request_options()).await;
        close(client);
        let results = results.map_err(|error| answers::failure(broker, "creating topics", error))?;
        Ok(answers::per_name("creating topic", Some(RDKafkaErrorCode::TopicAlreadyExists), results))
    }

    async fn set_config(&self, broker: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError> {
        if topics.is_empty() {
            return Ok(PerName::new());
        }
        let (client, _) = open(broker).await?;
        let changes: Vec<AlterConfig<'_>> = topics.iter().map(complete_config).collect();
        let results = client.alter_configs(&changes, &request_options()).await;
        close(client);
        let results = results.map_err(|error| answers::failure(broker, "changing the settings of topics", error))?;
        Ok(answers::per_name(
            "changing the settings of topic",
            None,
            results.into_iter().map(answers::altered).collect(),
        ))
    }

    async fn add_partitions(&self, broker: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError> {
        if topics.is_empty() {
            return Ok(PerName::new());
        }
        let (client, _) = open(broker).await?;
        let count = |topic: &DesiredTopic| usize::try_from(topic.partitions).unwrap_or_default();
        let counts: Vec<NewPartitions<'_>> =
            topics.iter().map(|topic| NewPartitions::new(&topic.name, count(topic))).collect();
        let results = client.create_partitions(&counts, &request_options()).await;
        close(client);
        let results = results.map_err(|error| answers::failure(broker, "adding partitions", error))?;
        Ok(answers::per_name("adding partitions to topic", None, results))
    }

    async fn delete(&self, broker: &Broker, names: &[String]) -> Result<PerName, BrokerError> {
        if names.is_empty() {
            return Ok(PerName::new());
        }
        let (client, _) = open(broker).await?;
        let results = client.delete_topics(&as_strs(names), &request_options()).await;
        close(client);
        let results = results.map_err(|error| answers::failure(broker, "deleting topics", error))?;
        Ok(answers::per_name("deleting topic", Some(RDKafkaErrorCode::UnknownTopicOrPartition), results))
    }

    async fn delete_groups(&self, broker: &Broker, names: &[String]) -> Result<PerName, BrokerError> {
        if names.is_empty() {
            return Ok(PerName::new());
        }
        let (client, _) = open(broker).await?;
        // librdkafka rejects an operation timeout for requests about groups.
        let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(ANSWER_SECONDS_MAX)));
        let mut results = client.delete_groups(&as_strs(names), &options).await;
        for _ in 1..COORDINATOR_ATTEMPTS_MAX {
            if !results.as_ref().is_ok_and(|results| answers::coordinator_is_starting(results)) {
                break;
            }
            tokio::time::sleep(COORDINATOR_DELAY).await;
            results = client.delete_groups(&as_strs(names), &options).await;
        }
        close(client);
        let results = results.map_err(|error| answers::failure(broker, "deleting consumer groups", error))?;
        Ok(answers::per_name("deleting consumer group", Some(RDKafkaErrorCode::GroupIdNotFound), results))
    }
}

/// A client of a broker that has answered a request for metadata. Without this request, a call to an unreachable broker
/// fails with a timeout that does not name the reason.
async fn open(broker: &Broker) -> Result<(Client, Shapes), BrokerError> {
    const ACTION: &str = "reading the metadata";
    let config = config(broker);
    let client: Client = config.create().map_err(|error| answers::failure(broker, "setting up the client", error))?;
    let diagnosed = tokio::task::spawn_blocking(move || {
        let metadata = client.inner().fetch_metadata(None, Duration::from_secs(METADATA_SECONDS_MAX))?;
        Ok::<_, KafkaError>((client, answers::shapes(&metadata)))
    });
    let refusal = match diagnosed.await {
        Ok(Ok(open)) => return Ok(open),
        Ok(Err(error)) => answers::failure(broker, ACTION, error),
        Err(error) => {
            return Err(BrokerError::Failed { action: ACTION, source: error.into() });
        }
    };
    let plaintext = broker.tls.is_none() && matches!(broker.authentication, BrokerAuthentication::None);
    Err(match if plaintext { Refusal::None } else { diagnose(config).await } {
        Refusal::None => refusal,
        Refusal::Login => BrokerError::AuthenticationFailed,
        Refusal::Certificate => BrokerError::Untrusted { bootstrap: broker.bootstrap.join(",") },
    })
}

/// The binding never frees the text of librdkafka, about 30 bytes per call: so it is not called at every inspection.
async fn cluster_id(client: Client) -> Result<(Client, Option<String>), BrokerError> {
    let timeout = Duration::from_secs(METADATA_SECONDS_MAX);
    let read = tokio::task::spawn_blocking(move || {
        let identifier = client.inner().fetch_cluster_id(timeout).filter(|identifier| !identifier.is_empty());
        (client, identifier)
    });
    read.await.map_err(|error| BrokerError::Failed { action: "reading the cluster id", source: error.into() })
}

/// Drops the client in a thread for blocking calls, because that waits for the end of its threads.
fn close(client: Client) {
    tokio::task::spawn_blocking(move || drop(client));
}

/// Why the broker rejected the connection. librdkafka reports it as an event, which only a producer or consumer delivers.
async fn diagnose(config: ClientConfig) -> Refusal {
    let diagnosed = tokio::task::spawn_blocking(move || {
        let events = ClientEvents::default();
        let Ok(producer) = BaseProducer::from_config_and_context(&config, events) else {
            return Refusal::None;
        };
        let deadline = Instant::now() + Duration::from_secs(DIAGNOSIS_SECONDS_MAX);
        while producer.client().context().refusal() == Refusal::None && Instant::now() < deadline {
            producer.poll(DIAGNOSIS_POLL);
        }
        producer.client().context().refusal()
    });
    diagnosed.await.unwrap_or(Refusal::None)
}

/// Why a broker that answers cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    None,
    Login,
    Certificate,
}

/// The relevant events of the client.
#[derive(Default)]
struct ClientEvents {
    login_refused: AtomicBool,
    certificate_refused: AtomicBool,
}

impl ClientEvents {
    fn refusal(&self) -> Refusal {
        if self.login_refused.load(Ordering::Relaxed) {
            Refusal::Login
        } else if self.certificate_refused.load(Ordering::Relaxed) {
            Refusal::Certificate
        } else {
            Refusal::None
        }
    }
}

impl ClientContext for ClientEvents {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, _: &str) {
        use RDKafkaErrorCode::{Authentication, SSL, SaslAuthenticationFailed};
        match error.rdkafka_error_code() {
            Some(Authentication | SaslAuthenticationFailed) => self.login_refused.store(true, Ordering::Relaxed),
            Some(SSL) => self.certificate_refused.store(true, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl rdkafka::producer::ProducerContext for ClientEvents {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::producer::DeliveryResult<'_>, (): ()) {}
}

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap.join(",")).set("client.id", "agora-operator");
    let login = match &broker.authentication {
        BrokerAuthentication::None => None,
        BrokerAuthentication::Plain { user, password } => Some(("PLAIN", user, password)),
        BrokerAuthentication::ScramSha256 { user, password } => Some(("SCRAM-SHA-256", user, password)),
        BrokerAuthentication::ScramSha512 { user, password } => Some(("SCRAM-SHA-512", user, password)),
    };
    config.set(
        "security.protocol",
        match (&broker.tls, &login) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        },
    );
    if let Some((mechanism, user, password)) = login {
        config.set("sasl.mechanism", mechanism).set("sasl.username", user).set("sasl.password", password.expose());
    }
    if let Some(pem) = broker.tls.as_ref().and_then(|tls| tls.ca_pem.as_ref()) {
        config.set("ssl.ca.pem", pem);
    }
    // Errors are returned; the log of librdkafka would repeat them every second.
    config.set_log_level(RDKafkaLogLevel::Emerg);
    config
}

fn new_topic(topic: &DesiredTopic) -> NewTopic<'_> {
    let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(topic.replicas));
    topic.config.iter().fold(new, |new, (key, value)| new.set(key, value))
}

/// The request resets settings that it does not contain to the defaults of the broker.
fn complete_config(topic: &DesiredTopic) -> AlterConfig<'_> {
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic.name));
    topic.config.iter().fold(change, |change, (key, value)| change.set(key, value))
}

fn request_options() -> AdminOptions {
    let timeout = Some(Duration::from_secs(ANSWER_SECONDS_MAX));
    AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
}

fn as_strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[cfg(all(test, feature = "db-tests"))]
mod tests;
