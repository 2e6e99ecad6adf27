//! The settings of this service. Knows names and bounds.

use agora_chassis::{Ports, Reader, WatchedFile, WatchedSecret};
use agora_vocab::{Email, Epoch};
use agora_web::TokenSettings;

/// How long an access token is good for unless told otherwise, and the bounds of that, in seconds.
const ACCESS_LIFETIME_S: u32 = 900;
const ACCESS_LIFETIME_S_MIN: u32 = 60;
const ACCESS_LIFETIME_S_MAX: u32 = 86_400;

/// The topology's numbers; what the process is given in `PORT` and `INTERNAL_PORT` wins.
const PORT: u16 = 3001;
const INTERNAL_PORT: u16 = 4001;

/// The settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub ports: Ports,
    /// Its database.
    pub postgres: agora_postgres::Config,
    /// Where facts go.
    pub kafka: agora_kafka::Config,
    /// The recovery epoch.
    pub epoch: Epoch,
    /// What signs access tokens.
    pub signing_key: WatchedFile,
    /// What verifies them, and what they say about themselves.
    pub tokens: TokenSettings,
    /// How long they are good for, in seconds.
    pub access_lifetime_s: u32,
    /// What callers of the internal port prove themselves with.
    pub internal_secret: WatchedSecret,
    /// The first admin, if there shall be one.
    pub first_admin: Option<FirstAdmin>,
}

/// The first admin's address, and his password as it is now.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    /// `ADMIN_EMAIL`.
    pub email: Email,
    /// `ADMIN_PASSWORD`.
    pub password: WatchedSecret,
}

impl Config {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Self {
        let access_lifetime_s = reader.default("ACCESS_TOKEN_LIFETIME_SECONDS", ACCESS_LIFETIME_S);
        if !(ACCESS_LIFETIME_S_MIN..=ACCESS_LIFETIME_S_MAX).contains(&access_lifetime_s) {
            let range = format!("{ACCESS_LIFETIME_S_MIN} to {ACCESS_LIFETIME_S_MAX}");
            reader.fault("ACCESS_TOKEN_LIFETIME_SECONDS", format!("must be from {range}"));
        }
        Self {
            ports: Ports::read(reader, PORT, Some(INTERNAL_PORT)),
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

    use super::{Config, INTERNAL_PORT, PORT};

    #[test]
    fn the_topology_names_every_setting_and_both_ports() {
        let row = agora_topology::service("user").unwrap();
        assert_eq!((row.port, row.internal_port), (PORT, Some(INTERNAL_PORT)));
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
        assert_eq!(crate::http::CALLERS, agora_topology::callers("user").collect::<Vec<_>>());
    }

    #[test]
    fn half_an_admin_is_refused_with_the_missing_name() {
        let pairs = BTreeMap::from([("ADMIN_EMAIL".to_owned(), "ada@example.com".to_owned())]);
        let faults = settings_from("user", &pairs, Config::read).unwrap_err().to_string();
        assert!(faults.contains("ADMIN_PASSWORD has a value that cannot be used: is needed beside"), "{faults}");
        assert!(faults.contains("DATABASE_URL is not set"), "all faults at once: {faults}");
    }
}
