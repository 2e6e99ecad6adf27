//! Settings of the cart service, read from the environment. Depends on no other module of the service.

use agora_chassis::{Ports, Reader, WatchedSecret};
use agora_vocab::{AssetBase, Epoch};
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
    /// Base URL of the catalog's internal API.
    pub catalog_url: String,
    /// Recovery epoch of the database, written into every event; rises with each restore.
    pub epoch: Epoch,
    /// The address of the shop's files, such as pictures that are stored by their path.
    pub assets: AssetBase,
}

impl Config {
    /// Reads every setting; errors are collected in `reader`.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            ports: Ports::read(reader, agora_topology::CART.port, agora_topology::CART.internal_port),
            postgres: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            tokens: TokenSettings::read(reader),
            internal_secret: reader.secret("INTERNAL_SECRET"),
            catalog_url: reader.required("CATALOG_INTERNAL_URL"),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
            assets: reader.default("ASSET_BASE_URL", AssetBase::default()),
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
        let row = agora_topology::service("cart").unwrap();
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
    }
}
