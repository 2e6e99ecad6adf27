//! The settings of orders. Knows names; what they are for is known where they are used.

use agora_chassis::{Ports, Reader, WatchedSecret};
use agora_vocab::Epoch;
use agora_web::TokenSettings;

/// Port of the public API.
const PORT: u16 = 3004;
/// Port of internal commands.
const INTERNAL_PORT: u16 = 4004;
/// How long an order can be paid, in seconds.
const PAYMENT_WINDOW_SECONDS: u32 = 900;
/// The catalogue holds for a day at most, and a hold outlives the window by a quarter of an hour.
const PAYMENT_WINDOW_SECONDS_MAX: u32 = 86_400 - 900;

/// Everything that orders are told by their environment.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub ports: Ports,
    /// The database.
    pub postgres: agora_postgres::Config,
    /// The broker.
    pub kafka: agora_kafka::Config,
    /// How access tokens are checked.
    pub tokens: TokenSettings,
    /// What internal callers sign with.
    pub internal_secret: WatchedSecret,
    /// The recovery epoch of the database.
    pub epoch: Epoch,
    /// How long an order can be paid.
    pub payment_window: time::Duration,
    /// The catalogue's internal port.
    pub catalog_url: String,
    /// The cart's.
    pub cart_url: String,
    /// Payment's.
    pub payment_url: String,
    /// The user service's.
    pub user_url: String,
}

impl Config {
    /// Reads the environment.
    pub fn read(reader: &mut Reader) -> Self {
        let window: u32 = reader.default("ORDER_PAYMENT_WINDOW_SECONDS", PAYMENT_WINDOW_SECONDS);
        if !(1..=PAYMENT_WINDOW_SECONDS_MAX).contains(&window) {
            reader.fault("ORDER_PAYMENT_WINDOW_SECONDS", format!("must be from 1 to {PAYMENT_WINDOW_SECONDS_MAX}"));
        }
        Self {
            ports: Ports::read(reader, PORT, Some(INTERNAL_PORT)),
            postgres: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            tokens: TokenSettings::read(reader),
            internal_secret: reader.secret("INTERNAL_SECRET"),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
            payment_window: time::Duration::seconds(i64::from(window)),
            catalog_url: reader.required("CATALOG_INTERNAL_URL"),
            cart_url: reader.required("CART_INTERNAL_URL"),
            payment_url: reader.required("PAYMENT_INTERNAL_URL"),
            user_url: reader.required("USER_INTERNAL_URL"),
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
        let row = agora_topology::service("order").unwrap();
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
        assert_eq!((row.port, row.internal_port), (super::PORT, Some(super::INTERNAL_PORT)));
        assert_eq!(crate::http::CALLERS, agora_topology::callers("order").collect::<Vec<_>>());
    }

    #[test]
    fn a_window_of_nothing_is_refused_by_name() {
        let pairs = BTreeMap::from([("ORDER_PAYMENT_WINDOW_SECONDS".to_owned(), "0".to_owned())]);
        let faults = settings_from("order", &pairs, Config::read).unwrap_err().to_string();
        assert!(faults.contains("ORDER_PAYMENT_WINDOW_SECONDS"), "{faults}");
    }
}
