//! Configuration of the order service, read from environment variables. Must not contain logic that uses the values.

use agora_chassis::{Ports, Reader, WatchedSecret};
use agora_vocab::Epoch;
use agora_web::TokenSettings;

/// Default payment window, in seconds.
const PAYMENT_WINDOW_SECONDS: u32 = 900;
/// Longest payment window, in seconds: catalog limits a reservation to one day, and it outlives the window by 15 minutes.
const PAYMENT_WINDOW_SECONDS_MAX: u32 = 86_400 - 900;

/// Default limits of a user's unpaid orders, and the largest ones that can be set.
const UNPAID_ORDERS: u32 = 5;
const UNPAID_ORDERS_MAX: u32 = 10_000;
const UNPAID_UNITS: u32 = 1_000;
const UNPAID_UNITS_MAX: u32 = 100_000_000;

/// All settings of the order service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ports of the public API, the internal API and the admin server.
    pub ports: Ports,
    /// PostgreSQL connection settings.
    pub postgres: agora_postgres::Config,
    /// Kafka connection settings.
    pub kafka: agora_kafka::Config,
    /// Issuer, audience and key source for verifying access tokens.
    pub tokens: TokenSettings,
    /// Shared secret that signs internal calls; reloaded when its file changes.
    pub internal_secret: WatchedSecret,
    /// Recovery epoch of the database; raised after each restore.
    pub epoch: Epoch,
    /// Time after creation during which an order can be paid.
    pub payment_window: time::Duration,
    /// Unpaid orders that a user can have.
    pub unpaid_orders_max: u32,
    /// Units in all unpaid orders of a user.
    pub unpaid_units_max: u32,
    /// Base URL of catalog's internal API.
    pub catalog_url: String,
    /// Base URL of cart's internal API.
    pub cart_url: String,
    /// Base URL of payment's internal API.
    pub payment_url: String,
    /// Base URL of user's internal API.
    pub user_url: String,
}

impl Config {
    /// Reads all settings; reports invalid values to `reader`.
    pub fn read(reader: &mut Reader) -> Self {
        let window: u32 = reader.default("ORDER_PAYMENT_WINDOW_SECONDS", PAYMENT_WINDOW_SECONDS);
        if !(1..=PAYMENT_WINDOW_SECONDS_MAX).contains(&window) {
            reader.fault("ORDER_PAYMENT_WINDOW_SECONDS", format!("must be from 1 to {PAYMENT_WINDOW_SECONDS_MAX}"));
        }
        Self {
            ports: Ports::read(reader, agora_topology::ORDER.port, agora_topology::ORDER.internal_port),
            postgres: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            tokens: TokenSettings::read(reader),
            internal_secret: reader.secret("INTERNAL_SECRET"),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
            payment_window: time::Duration::seconds(i64::from(window)),
            unpaid_orders_max: limit(reader, "ORDER_UNPAID_ORDERS_MAX", UNPAID_ORDERS, UNPAID_ORDERS_MAX),
            unpaid_units_max: limit(reader, "ORDER_UNPAID_UNITS_MAX", UNPAID_UNITS, UNPAID_UNITS_MAX),
            catalog_url: reader.required("CATALOG_INTERNAL_URL"),
            cart_url: reader.required("CART_INTERNAL_URL"),
            payment_url: reader.required("PAYMENT_INTERNAL_URL"),
            user_url: reader.required("USER_INTERNAL_URL"),
        }
    }
}

/// A setting from 1 to `max`.
fn limit(reader: &mut Reader, name: &'static str, default: u32, max: u32) -> u32 {
    let limit: u32 = reader.default(name, default);
    if !(1..=max).contains(&limit) {
        reader.fault(name, format!("must be from 1 to {max}"));
    }
    limit
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
    }

    #[test]
    fn a_payment_window_of_zero_is_rejected() {
        let pairs = BTreeMap::from([("ORDER_PAYMENT_WINDOW_SECONDS".to_owned(), "0".to_owned())]);
        let faults = settings_from("order", &pairs, Config::read).unwrap_err().to_string();
        assert!(faults.contains("ORDER_PAYMENT_WINDOW_SECONDS"), "{faults}");
    }
}
