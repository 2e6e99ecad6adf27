//! Topics and consumer groups on a real broker.
//!
//! Opens an admin client per call and closes it, so that an operator at rest holds no thread and no connection, and a
//! broker that is away costs nothing between two looks. Knows librdkafka; must not know which topics there should be.

mod answers;

use std::{
    collections::BTreeMap,
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

use crate::decide::servers::{Broker, BrokerAuthentication, TopicSeen, TopicWanted};
use crate::external::ports::{BrokerError, PerName, TopicAdmin};
use answers::Shapes;

type Client = AdminClient<DefaultClientContext>;

const ANSWER_SECONDS_MAX: u64 = 15;
/// A broker that is there answers in milliseconds; one that is away is asked again a minute later.
const METADATA_SECONDS_MAX: u64 = 5;
const DIAGNOSIS_SECONDS_MAX: u64 = 2;
/// A broker that nobody has consumed from makes its coordinator when first asked.
const COORDINATOR_TRIES_MAX: u32 = 20;
const COORDINATOR_PAUSE: Duration = Duration::from_millis(250);
const DIAGNOSIS_POLL: Duration = Duration::from_millis(50);

/// Kafka brokers.
#[derive(Clone, Copy, Debug, Default)]
pub struct KafkaTopics;

#[async_trait]
impl TopicAdmin for KafkaTopics {
    async fn inspect(&self, broker: &Broker, names: &[String]) -> Result<BTreeMap<String, TopicSeen>, BrokerError> {
        let (client, mut shapes) = open(broker).await?;
        shapes.retain(|name, _| names.contains(name));
        let present: Vec<ResourceSpecifier<'_>> = shapes.keys().map(|name| ResourceSpecifier::Topic(name)).collect();
        let configs = match present.as_slice() {
            [] => Ok(Vec::new()),
            present => client.describe_configs(present, &patience()).await,
        };
        close(client);
        let configs = configs.map_err(|error| answers::failure(broker, "describing topics", error))?;
        Ok(answers::topics_seen(&shapes, configs))
    }

    async fn create(&self, broker: &Broker, topics: &[TopicWanted]) -> Result<PerName, BrokerError> {
        if topics.is_empty() {
            return Ok(PerName::new());
        }
        let (client, _) = open(broker).await?;
        let new: Vec<NewTopic<'_>> = topics.iter().map(new_topic).collect();
        let results = client.create_topics(&new, &patience()).await;
        close(client);
        let results = results.map_err(|error| answers::failure(broker, "creating topics", error))?;
        Ok(answers::per_name("creating", Some(RDKafkaErrorCode::TopicAlreadyExists), results))
    }

    async fn set_config(&self, broker: &Broker, topics: &[TopicWanted]) -> Result<PerName, BrokerError> {
        if topics.is_empty() {
            return Ok(PerName::new());
        }
        let (client, _) = open(broker).await?;
        let changes: Vec<AlterConfig<'_>> = topics.iter().map(whole_config).collect();
        let results = client.alter_configs(&changes, &patience()).await;
        close(client);
        let results = results.map_err(|error| answers::failure(broker, "setting topics", error))?;
        Ok(answers::per_name("setting", None, results.into_iter().map(answers::altered).collect()))
    }

    async fn add_partitions(&self, broker: &Broker, topics: &[TopicWanted]) -> Result<PerName, BrokerError> {
        if topics.is_empty() {
            return Ok(PerName::new());
        }
        let (client, _) = open(broker).await?;
        let count = |topic: &TopicWanted| usize::try_from(topic.partitions).unwrap_or_default();
        let counts: Vec<NewPartitions<'_>> =
            topics.iter().map(|topic| NewPartitions::new(&topic.name, count(topic))).collect();
        let results = client.create_partitions(&counts, &patience()).await;
        close(client);
        let results = results.map_err(|error| answers::failure(broker, "adding partitions", error))?;
        Ok(answers::per_name("adding partitions", None, results))
    }

    async fn delete(&self, broker: &Broker, names: &[String]) -> Result<PerName, BrokerError> {
        if names.is_empty() {
            return Ok(PerName::new());
        }
        let (client, _) = open(broker).await?;
        let results = client.delete_topics(&as_strs(names), &patience()).await;
        close(client);
        let results = results.map_err(|error| answers::failure(broker, "deleting topics", error))?;
        Ok(answers::per_name("deleting", Some(RDKafkaErrorCode::UnknownTopicOrPartition), results))
    }

    async fn delete_groups(&self, broker: &Broker, names: &[String]) -> Result<PerName, BrokerError> {
        if names.is_empty() {
            return Ok(PerName::new());
        }
        let (client, _) = open(broker).await?;
        // Of groups the client knows no operation time-out.
        let patience = AdminOptions::new().request_timeout(Some(Duration::from_secs(ANSWER_SECONDS_MAX)));
        let mut results = client.delete_groups(&as_strs(names), &patience).await;
        for _ in 1..COORDINATOR_TRIES_MAX {
            if !results.as_ref().is_ok_and(|results| answers::coordinator_is_coming(results)) {
                break;
            }
            tokio::time::sleep(COORDINATOR_PAUSE).await;
            results = client.delete_groups(&as_strs(names), &patience).await;
        }
        close(client);
        let results = results.map_err(|error| answers::failure(broker, "deleting groups", error))?;
        Ok(answers::per_name("deleting", Some(RDKafkaErrorCode::GroupIdNotFound), results))
    }
}

/// A client to a broker that has answered once. Without that, a request to a broker that is away ends by its time-out
/// alone and says nothing of why.
async fn open(broker: &Broker) -> Result<(Client, Shapes), BrokerError> {
    const ACTION: &str = "asking for metadata";
    let config = config(broker);
    let client: Client = config.create().map_err(|error| answers::failure(broker, "setting up the client", error))?;
    let asked = tokio::task::spawn_blocking(move || {
        let metadata = client.inner().fetch_metadata(None, Duration::from_secs(METADATA_SECONDS_MAX))?;
        Ok::<_, KafkaError>((client, answers::shapes(&metadata)))
    });
    let refusal = match asked.await {
        Ok(Ok(open)) => return Ok(open),
        Ok(Err(error)) => answers::failure(broker, ACTION, error),
        Err(error) => return Err(BrokerError::Failed { action: ACTION, source: error.into() }),
    };
    let in_the_clear = broker.tls.is_none() && matches!(broker.authentication, BrokerAuthentication::None);
    Err(match if in_the_clear { Refusal::None } else { diagnosis(config).await } {
        Refusal::None => refusal,
        Refusal::Login => BrokerError::AuthenticationFailed,
        Refusal::Certificate => BrokerError::Untrusted { bootstrap: broker.bootstrap.join(",") },
    })
}

/// Ends the client's threads aside: it waits for them.
fn close(client: Client) {
    tokio::task::spawn_blocking(move || drop(client));
}

/// The reason why a request failed comes as an event of the client, which admin clients do not hand out.
async fn diagnosis(config: ClientConfig) -> Refusal {
    let asked = tokio::task::spawn_blocking(move || {
        let heard = Heard::default();
        let Ok(producer) = BaseProducer::from_config_and_context(&config, heard) else { return Refusal::None };
        let give_up = Instant::now() + Duration::from_secs(DIAGNOSIS_SECONDS_MAX);
        while producer.client().context().refusal() == Refusal::None && Instant::now() < give_up {
            producer.poll(DIAGNOSIS_POLL);
        }
        producer.client().context().refusal()
    });
    asked.await.unwrap_or(Refusal::None)
}

/// What a broker that answers may refuse, or be refused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    None,
    Login,
    Certificate,
}

/// What the client's events told.
#[derive(Default)]
struct Heard {
    login_refused: AtomicBool,
    certificate_refused: AtomicBool,
}

impl Heard {
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

impl ClientContext for Heard {
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

impl rdkafka::producer::ProducerContext for Heard {
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
    // What goes wrong is returned; librdkafka's own lines would repeat it every second.
    config.set_log_level(RDKafkaLogLevel::Emerg);
    config
}

fn new_topic(topic: &TopicWanted) -> NewTopic<'_> {
    let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(topic.replicas));
    topic.config.iter().fold(new, |new, (key, value)| new.set(key, value))
}

/// The broker takes what is not named here back to its default.
fn whole_config(topic: &TopicWanted) -> AlterConfig<'_> {
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic.name));
    topic.config.iter().fold(change, |change, (key, value)| change.set(key, value))
}

fn patience() -> AdminOptions {
    let patience = Some(Duration::from_secs(ANSWER_SECONDS_MAX));
    AdminOptions::new().request_timeout(patience).operation_timeout(patience)
}

fn as_strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[cfg(all(test, feature = "db-tests"))]
mod tests;
