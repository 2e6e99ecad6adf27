//! Settings of the catalog service, read from the environment. Depends on no other module of the service.

use agora_chassis::{Ports, Reader, WatchedSecret};
use agora_vocab::Epoch;
use agora_web::TokenSettings;

/// All settings of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ports to listen on: public, internal and admin.
    pub ports: Ports,
    /// Connection settings of the PostgreSQL database.
    pub postgres: agora_postgres::Config,
    /// Connection settings of the Kafka brokers.
    pub kafka: agora_kafka::Config,
    /// Issuer, audience and keys that access tokens are verified with.
    pub tokens: TokenSettings,
    /// Shared secret that internal callers sign requests with; re-read when its file changes.
    pub internal_secret: WatchedSecret,
    /// Recovery epoch of the database, written into every event; rises with each restore.
    pub epoch: Epoch,
}

impl Config {
    /// Reads every setting; errors are collected in `reader`.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            ports: Ports::read(reader, agora_topology::CATALOG.port, agora_topology::CATALOG.internal_port),
            postgres: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            tokens: TokenSettings::read(reader),
            internal_secret: reader.secret("INTERNAL_SECRET"),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use agora_chassis::names_read;

    use super::Config;

    #[test]
    fn the_topology_names_exactly_what_is_read() {
        let row = agora_topology::service("catalog").unwrap();
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
    }
}
