//! A connection to a broker: its settings and limits, and why a broker that answers cannot be used.
//!
//! Every request has a limit in librdkafka, and one that is a little longer here, so that no task waits for an answer that is
//! lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, Producer as _},
};

use super::answers::{self, Shapes};
use crate::decide::servers::{Broker, BrokerAuthentication};
use crate::external::ports::{BrokerError, shared};

type Client = AdminClient<DefaultClientContext>;

const ANSWER_SECONDS_MAX: u64 = 15;
/// Time that a call waits longer than librdkafka, whose error names the reason.
const ANSWER_GRACE_SECONDS: u64 = 3;
/// A reachable broker answers in milliseconds; an unreachable one is retried by the caller.
pub const METADATA_SECONDS_MAX: u64 = 5;
const DIAGNOSIS_SECONDS_MAX: u64 = 2;
const DIAGNOSIS_POLL: Duration = Duration::from_millis(50);
/// Limit of setting up a TCP connection with TLS and login.
const CONNECT_MS_MAX: u64 = 4_000;
const SOCKET_MS_MAX: u64 = 10_000;

/// A client of one broker. When it is dropped, its threads end in a thread for blocking calls, because that waits for them.
pub struct Connection {
    broker: Broker,
    client: Option<Client>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let client = self.client.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(client));
        }
    }
}

impl Connection {
    /// A connection to a broker that has answered a request for metadata, with the topics that it named. Without this request,
    /// a call to an unreachable broker fails with a timeout that does not name the reason.
    pub async fn open(broker: &Broker) -> Result<(Self, Shapes), BrokerError> {
        const ACTION: &str = "reading the metadata";
        let config = config(broker);
        let client: Client =
            config.create().map_err(|error| answers::failure(broker, "setting up the client", error))?;
        let connection = Self { broker: broker.clone(), client: Some(client) };
        let diagnosed = tokio::task::spawn_blocking(move || {
            let timeout = Duration::from_secs(METADATA_SECONDS_MAX);
            let metadata = match &connection.client {
                Some(client) => client.inner().fetch_metadata(None, timeout)?,
                None => return Err(KafkaError::Canceled),
            };
            let shapes = answers::shapes(&metadata);
            Ok((connection, shapes))
        });
        let refusal = match diagnosed.await {
            Ok(Ok(open)) => return Ok(open),
            Ok(Err(error)) => answers::failure(broker, ACTION, error),
            Err(error) => return Err(BrokerError::Failed { action: ACTION, source: shared(error) }),
        };
        let plaintext = broker.tls.is_none() && matches!(broker.authentication, BrokerAuthentication::None);
        Err(match if plaintext { Refusal::None } else { diagnose(config).await } {
            Refusal::None => refusal,
            Refusal::Login => BrokerError::AuthenticationFailed,
            Refusal::Certificate => BrokerError::Untrusted { bootstrap: broker.bootstrap.join(",") },
        })
    }

    pub fn client(&self) -> Result<&Client, BrokerError> {
        self.client.as_ref().ok_or_else(|| answers::failure(&self.broker, "using the client", KafkaError::Canceled))
    }

    /// The result of a request of [`Self::client`].
    pub async fn call<T>(
        &self,
        action: &'static str,
        request: impl Future<Output = Result<T, KafkaError>>,
    ) -> Result<T, BrokerError> {
        let limit = Duration::from_secs(ANSWER_SECONDS_MAX + ANSWER_GRACE_SECONDS);
        let answer = tokio::time::timeout(limit, request).await;
        let answer = answer.unwrap_or(Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)));
        answer.map_err(|error| answers::failure(&self.broker, action, error))
    }

    /// `None` if the broker does not disclose it. The binding never frees the text of librdkafka, about 30 bytes per call: so it
    /// is not called at every inspection.
    pub async fn cluster_id(self) -> Result<(Self, Option<String>), BrokerError> {
        let timeout = Duration::from_secs(METADATA_SECONDS_MAX);
        let read = tokio::task::spawn_blocking(move || {
            let identifier = self.client.as_ref().and_then(|client| client.inner().fetch_cluster_id(timeout));
            (self, identifier.filter(|identifier| !identifier.is_empty()))
        });
        read.await.map_err(|error| BrokerError::Failed { action: "reading the cluster id", source: shared(error) })
    }
}

pub fn options() -> AdminOptions {
    group_options().operation_timeout(Some(Duration::from_secs(ANSWER_SECONDS_MAX)))
}

/// librdkafka rejects an operation timeout for requests about groups.
pub fn group_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(Duration::from_secs(ANSWER_SECONDS_MAX)))
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
    config
        .set("bootstrap.servers", broker.bootstrap.join(","))
        .set("client.id", "agora-operator")
        .set("socket.keepalive.enable", "true")
        .set("socket.connection.setup.timeout.ms", CONNECT_MS_MAX.to_string())
        .set("socket.timeout.ms", SOCKET_MS_MAX.to_string());
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
