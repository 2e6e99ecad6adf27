//! Settings of the payment service, read from the environment. Depends on no other module.

use std::str::FromStr;

use agora_chassis::{Ports, Reader, WatchedSecret};
use agora_vocab::{Epoch, Invalid};

/// Settings of the payment service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Public and internal port: 3005 and 4005 by default.
    pub ports: Ports,
    /// The PostgreSQL connection.
    pub database: agora_postgres::Config,
    /// The Kafka connection.
    pub kafka: agora_kafka::Config,
    /// How access tokens are verified.
    pub tokens: agora_web::TokenSettings,
    /// The key that signs and verifies internal tokens.
    pub internal: WatchedSecret,
    /// URL of the order service's internal port.
    pub order_url: String,
    /// The payment provider.
    pub provider: ProviderKind,
    /// The recovery epoch: incremented with each restore of the database.
    pub epoch: Epoch,
}

impl Config {
    /// Reads all settings; errors are collected in `reader`.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            ports: Ports::read(reader, agora_topology::PAYMENT.port, agora_topology::PAYMENT.internal_port),
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

/// The kind of payment provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// The simulated provider, for development only.
    Simulator,
    /// No provider: a payment request returns 503 `NO_PROVIDER`.
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
