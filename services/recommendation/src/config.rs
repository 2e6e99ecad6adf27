//! Settings of the recommendation service, read from the environment. Depends on no other module of the service.

use std::time::Duration;

use agora_archive::Config as Archive;
use agora_chassis::{Ports, Reader};
use agora_vocab::Epoch;
use agora_web::TokenSettings;

/// Default time between two scheduled runs, and the shortest and longest that can be set, in seconds.
const INTERVAL_SECONDS: u32 = 300;
const INTERVAL_SECONDS_MIN: u32 = 10;
const INTERVAL_SECONDS_MAX: u32 = 86_400;

const DEFAULT_CATEGORY: &str = "Electronics";

/// All settings of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ports to listen on: public and admin.
    pub ports: Ports,
    /// Connection settings of the PostgreSQL database.
    pub postgres: agora_postgres::Config,
    /// Connection settings of the Kafka brokers.
    pub kafka: agora_kafka::Config,
    /// Issuer, audience and keys that access tokens are verified with, and the Redis that holds revoked sessions and the cache.
    pub tokens: TokenSettings,
    /// Recovery epoch of the database, written into every event; rises with each restore.
    pub epoch: Epoch,
    /// Time from the end of one scheduled run over all users to the start of the next.
    pub recompute_every: Duration,
    /// Category that is recommended to users without purchases.
    pub default_category: String,
    /// The archive that `agora replay --into recommendation` reads; the service itself does not use it.
    pub archive: Option<Archive>,
}

impl Config {
    /// Reads every setting; errors are collected in `reader`.
    pub fn read(reader: &mut Reader) -> Self {
        let interval: u32 = reader.default("RECOMMENDATION_INTERVAL_SECONDS", INTERVAL_SECONDS);
        if !(INTERVAL_SECONDS_MIN..=INTERVAL_SECONDS_MAX).contains(&interval) {
            let bounds = format!("must be from {INTERVAL_SECONDS_MIN} to {INTERVAL_SECONDS_MAX}");
            reader.fault("RECOMMENDATION_INTERVAL_SECONDS", bounds);
        }
        let row = &agora_topology::RECOMMENDATION;
        Self {
            ports: Ports::read(reader, row.port, row.internal_port),
            postgres: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            tokens: TokenSettings::read(reader),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
            recompute_every: Duration::from_secs(interval.into()),
            default_category: reader.default("RECOMMENDATION_DEFAULT_CATEGORY", DEFAULT_CATEGORY.to_owned()),
            archive: Archive::read(reader),
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
        let row = agora_topology::service("recommendation").unwrap();
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
    }

    #[test]
    fn an_interval_out_of_bounds_is_rejected() {
        let pairs = BTreeMap::from([("RECOMMENDATION_INTERVAL_SECONDS".to_owned(), "9".to_owned())]);
        let faults = settings_from("recommendation", &pairs, Config::read).unwrap_err().to_string();
        assert!(faults.contains("RECOMMENDATION_INTERVAL_SECONDS"), "{faults}");
    }
}
