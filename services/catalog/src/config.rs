//! The settings of the catalog. Knows names; what they are for is known where they are used.

use agora_chassis::{Ports, Reader, WatchedSecret};
use agora_vocab::Epoch;
use agora_web::TokenSettings;

/// Port of the public API.
const PORT: u16 = 3002;
/// Port of internal commands.
const INTERNAL_PORT: u16 = 4002;

/// Everything that the catalog is told by its environment.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub ports: Ports,
    /// The database.
    pub postgres: agora_postgres::Config,
    /// The broker.
    pub kafka: agora_kafka::Config,
    /// What access tokens are verified with.
    pub tokens: TokenSettings,
    /// What internal callers sign with.
    pub internal_secret: WatchedSecret,
    /// The recovery epoch of the database.
    pub epoch: Epoch,
}

impl Config {
    /// Reads the environment.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            ports: Ports::read(reader, PORT, Some(INTERNAL_PORT)),
            postgres: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            tokens: TokenSettings::read(reader),
            internal_secret: reader.secret("INTERNAL_SECRET"),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
        }
    }
}
