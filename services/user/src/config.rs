//! Settings of this service: names, defaults and ranges.

use agora_chassis::{Ports, Reader, WatchedFile, WatchedSecret};
use agora_vocab::{Email, Epoch};
use agora_web::TokenSettings;

/// Default and range of the lifetime of access tokens, in seconds.
const ACCESS_LIFETIME_S: u32 = 900;
const ACCESS_LIFETIME_S_MIN: u32 = 60;
const ACCESS_LIFETIME_S_MAX: u32 = 86_400;

/// Settings of the user service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Public and internal listener.
    pub ports: Ports,
    /// The service's database.
    pub postgres: agora_postgres::Config,
    /// The broker that events are sent to.
    pub kafka: agora_kafka::Config,
    /// The recovery epoch of published events.
    pub epoch: Epoch,
    /// PKCS #8 PEM of the Ed25519 key that signs access tokens.
    pub signing_key: WatchedFile,
    /// Key set, issuer and audience of access tokens.
    pub tokens: TokenSettings,
    /// Lifetime of access tokens, in seconds.
    pub access_lifetime_s: u32,
    /// Verifies tokens of callers on the internal port.
    pub internal_secret: WatchedSecret,
    /// `None` if no first admin is configured.
    pub first_admin: Option<FirstAdmin>,
}

/// E-mail address and watched password of the first admin.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    pub email: Email,
    pub password: WatchedSecret,
}

impl Config {
    /// Reports all invalid settings at once.
    pub fn read(reader: &mut Reader) -> Self {
        let access_lifetime_s = reader.default("ACCESS_TOKEN_LIFETIME_SECONDS", ACCESS_LIFETIME_S);
        if !(ACCESS_LIFETIME_S_MIN..=ACCESS_LIFETIME_S_MAX).contains(&access_lifetime_s) {
            let range = format!("{ACCESS_LIFETIME_S_MIN} to {ACCESS_LIFETIME_S_MAX}");
            reader.fault("ACCESS_TOKEN_LIFETIME_SECONDS", format!("must be from {range}"));
        }
        Self {
            ports: Ports::read(reader, agora_topology::USER.port, agora_topology::USER.internal_port),
            postgres: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
            signing_key: reader.file("SIGNING_KEY_FILE"),
            tokens: TokenSettings::read(reader),
            access_lifetime_s,
            internal_secret: reader.secret("INTERNAL_SECRET"),
            first_admin: first_admin(reader),
        }
    }
}

fn first_admin(reader: &mut Reader) -> Option<FirstAdmin> {
    let email: Option<String> = reader.optional("ADMIN_EMAIL");
    let password = reader.optional_secret("ADMIN_PASSWORD");
    match (email, password) {
        (Some(email), Some(password)) => match Email::parse(&email) {
            Ok(email) => Some(FirstAdmin { email, password }),
            Err(invalid) => {
                reader.fault("ADMIN_EMAIL", invalid.message);
                None
            }
        },
        (None, None) => None,
        (Some(_), None) => {
            reader.fault("ADMIN_PASSWORD", "is needed beside ADMIN_EMAIL");
            None
        }
        (None, Some(_)) => {
            reader.fault("ADMIN_EMAIL", "is needed beside ADMIN_PASSWORD");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use agora_chassis::{names_read, settings_from};

    use super::Config;

    #[test]
    fn the_topology_names_exactly_what_is_read() {
        let row = agora_topology::service("user").unwrap();
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
    }

    #[test]
    fn an_incomplete_first_admin_names_the_missing_setting() {
        let pairs = BTreeMap::from([("ADMIN_EMAIL".to_owned(), "ada@example.com".to_owned())]);
        let faults = settings_from("user", &pairs, Config::read).unwrap_err().to_string();
        assert!(faults.contains("ADMIN_PASSWORD has a value that cannot be used: is needed beside"), "{faults}");
        assert!(faults.contains("DATABASE_URL is not set"), "all faults at once: {faults}");
    }
}
