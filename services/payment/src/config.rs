//! What the payment service reads from its environment.

use std::str::FromStr;

use agora_chassis::{Ports, Reader, WatchedSecret};
use agora_vocab::{Epoch, Invalid};

/// The settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub ports: Ports,
    /// Its database.
    pub database: agora_postgres::Config,
    /// The broker.
    pub kafka: agora_kafka::Config,
    /// How access tokens are checked.
    pub tokens: agora_web::TokenSettings,
    /// The secret of internal tokens.
    pub internal: WatchedSecret,
    /// The order service's internal port.
    pub order_url: String,
    /// Who takes the money.
    pub provider: ProviderKind,
    /// The recovery epoch.
    pub epoch: Epoch,
}

impl Config {
    /// Reads them all.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            ports: Ports::read(reader, 3005, Some(4005)),
            database: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            tokens: agora_web::TokenSettings::read(reader),
            internal: reader.secret("INTERNAL_SECRET"),
            order_url: reader.required("ORDER_INTERNAL_URL"),
            provider: reader.default("PAYMENT_PROVIDER", ProviderKind::None),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
        }
    }
}

/// Who takes the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// The simulated provider, for development alone.
    Simulator,
    /// Nobody: paying answers 503 `NO_PROVIDER`.
    None,
}

impl FromStr for ProviderKind {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "Simulator" => Ok(Self::Simulator),
            "None" => Ok(Self::None),
            _ => Err(Invalid::new("PAYMENT_PROVIDER", "must be Simulator or None")),
        }
    }
}
