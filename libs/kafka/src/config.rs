//! Address, TLS and authentication of the broker, as librdkafka properties.
//!
//! Must not connect.

use agora_chassis::{Reader, WatchedFile, WatchedSecret};
use agora_events::Topic;
use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

const ISOLATION_KEY_DEFAULT: &str = "agora";
const SECURITY_PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
const SASL_MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
/// Longest back-off between two connection attempts, in milliseconds.
const RECONNECT_MS_MAX: &str = "1000";
/// Interval at which new topics and partitions are discovered, in milliseconds.
const METADATA_MS_MAX: &str = "10000";

/// How to reach the broker.
#[derive(Clone, Debug)]
pub struct Config {
    brokers: String,
    isolation_key: String,
    security_protocol: String,
    pub(crate) login: Option<Login>,
    pub(crate) ca: Option<WatchedFile>,
}

#[derive(Clone, Debug)]
pub(crate) struct Login {
    mechanism: String,
    name: String,
    pub(crate) password: WatchedSecret,
}

impl Config {
    /// Reads `KAFKA_BROKERS`, `ISOLATION_KEY` and the other `KAFKA_…` variables of the README.
    pub fn read(reader: &mut Reader) -> Self {
        let config = Self {
            brokers: reader.required("KAFKA_BROKERS"),
            isolation_key: reader.default("ISOLATION_KEY", ISOLATION_KEY_DEFAULT.to_owned()),
            security_protocol: reader
                .default("KAFKA_SECURITY_PROTOCOL", SECURITY_PROTOCOLS[0].to_owned())
                .to_lowercase(),
            login: read_login(reader),
            ca: reader.optional_file("KAFKA_CA_FILE"),
        };
        if !SECURITY_PROTOCOLS.contains(&config.security_protocol.as_str()) {
            reader.fault("KAFKA_SECURITY_PROTOCOL", format!("must be one of {}", SECURITY_PROTOCOLS.join(", ")));
        }
        if config.security_protocol.starts_with("sasl") && config.login.is_none() {
            reader.fault("KAFKA_USERNAME", format!("is needed for {}", config.security_protocol));
        }
        config
    }

    /// A broker without TLS and authentication.
    pub fn plain(brokers: &str, isolation_key: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            isolation_key: isolation_key.to_owned(),
            security_protocol: SECURITY_PROTOCOLS[0].to_owned(),
            login: None,
            ca: None,
        }
    }

    /// The name of a topic or group on the broker: `<isolation key>.<name>`.
    pub fn name_on_broker(&self, bare: &str) -> String {
        format!("{}.{bare}", self.isolation_key)
    }

    /// The name of a topic on the broker: `<isolation key>.<name>`.
    pub fn topic(&self, topic: Topic) -> String {
        self.name_on_broker(topic.name())
    }

    /// The properties of every client, with the current password and certificate authorities.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("security.protocol", &self.security_protocol)
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.max.ms", RECONNECT_MS_MAX)
            .set("topic.metadata.refresh.interval.ms", METADATA_MS_MAX)
            .set_log_level(RDKafkaLogLevel::Warning);
        if let Some(login) = &self.login {
            client
                .set("sasl.mechanism", &login.mechanism)
                .set("sasl.username", &login.name)
                .set("sasl.password", login.password.current().expose());
        }
        if let Some(ca) = &self.ca {
            client.set("ssl.ca.pem", &*ca.current());
        }
        client
    }
}

fn read_login(reader: &mut Reader) -> Option<Login> {
    let name: Option<String> = reader.optional("KAFKA_USERNAME");
    let mechanism = reader.default("KAFKA_SASL_MECHANISM", SASL_MECHANISMS[2].to_owned());
    let password = reader.optional_secret("KAFKA_PASSWORD");
    if !SASL_MECHANISMS.contains(&mechanism.as_str()) {
        reader.fault("KAFKA_SASL_MECHANISM", format!("must be one of {}", SASL_MECHANISMS.join(", ")));
    }
    match (name, password) {
        (Some(name), Some(password)) => Some(Login { mechanism, name, password }),
        (Some(_), None) => {
            reader.fault("KAFKA_PASSWORD", "is needed with KAFKA_USERNAME");
            None
        }
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use agora_events::topics;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let pairs: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        agora_chassis::settings_from("order", &pairs, Config::read).map_err(|faults| faults.to_string())
    }

    #[test]
    fn names_on_the_broker_carry_the_isolation_key() {
        let config = read(&[("KAFKA_BROKERS", "b:1"), ("ISOLATION_KEY", "shop-main")]).expect("settings");
        assert_eq!(config.topic(topics::ORDER), "shop-main.order-events");
    }

    #[test]
    fn a_sasl_protocol_requires_username_and_password() {
        let sasl = [("KAFKA_BROKERS", "b:1"), ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")];
        assert!(read(&sasl).expect_err("no login").contains("KAFKA_USERNAME"));
        let half = [sasl[0], sasl[1], ("KAFKA_USERNAME", "u")];
        assert!(read(&half).expect_err("no password").contains("KAFKA_PASSWORD"));
        let whole = [sasl[0], sasl[1], ("KAFKA_USERNAME", "u"), ("KAFKA_PASSWORD", "hunter2")];
        let config = read(&whole).expect("settings");
        assert_eq!(config.client().get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
