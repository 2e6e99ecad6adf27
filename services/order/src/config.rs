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
const PAYMENT_WINDOW_SECONDS_MAX: u32 = 7 * 24 * 3600;

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
