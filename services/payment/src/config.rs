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
    /// Where a provider with Stripe's interface is; none for another provider.
    pub stripe: Option<StripeConfig>,
    /// The key that tokens of cards are encrypted under: 32 bytes in Base64.
    pub encryption_key: WatchedSecret,
    /// The key before the last rotation.
    pub previous_encryption_key: Option<WatchedSecret>,
    /// The recovery epoch: incremented with each restore of the database.
    pub epoch: Epoch,
}

impl Config {
    /// Reads all settings; errors are collected in `reader`.
    pub fn read(reader: &mut Reader) -> Self {
        let provider = reader.default("PAYMENT_PROVIDER", ProviderKind::None);
        Self {
            ports: Ports::read(reader, agora_topology::PAYMENT.port, agora_topology::PAYMENT.internal_port),
            database: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            tokens: agora_web::TokenSettings::read(reader),
            internal: reader.secret("INTERNAL_SECRET"),
            order_url: reader.required("ORDER_INTERNAL_URL"),
            provider,
            stripe: StripeConfig::read(reader, provider),
            encryption_key: reader.secret("ENCRYPTION_KEY"),
            previous_encryption_key: reader.optional_secret("ENCRYPTION_KEY_PREVIOUS"),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
        }
    }
}

/// A provider with Stripe's interface.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// Its address, for example `https://api.stripe.com`.
    pub base_url: String,
    /// The secret API key.
    pub api_key: WatchedSecret,
    /// Signing secrets of the webhook endpoint, one a line; none: messages are not accepted.
    pub webhook_secret: Option<WatchedSecret>,
    /// Where the payer's bank sends the payer back to.
    pub return_url: Option<String>,
}

impl StripeConfig {
    /// Reads the settings; those that the provider needs are required if it is chosen.
    fn read(reader: &mut Reader, provider: ProviderKind) -> Option<Self> {
        let base_url: Option<String> = reader.optional("STRIPE_BASE_URL");
        let api_key = reader.optional_secret("STRIPE_API_KEY");
        let webhook_secret = reader.optional_secret("STRIPE_WEBHOOK_SECRET");
        let return_url = reader.optional("STRIPE_RETURN_URL");
        if provider != ProviderKind::StripeCompatible {
            return None;
        }
        if base_url.is_none() {
            reader.fault("STRIPE_BASE_URL", "must be set for PAYMENT_PROVIDER StripeCompatible");
        }
        if api_key.is_none() {
            reader.fault("STRIPE_API_KEY", "must be set for PAYMENT_PROVIDER StripeCompatible");
        }
        Some(Self { base_url: base_url?, api_key: api_key?, webhook_secret, return_url })
    }
}

/// The kind of payment provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// The simulated provider, for development only.
    Simulator,
    /// A provider with Stripe's HTTP interface.
    StripeCompatible,
    /// No provider: a payment request returns 503 `NO_PROVIDER`.
    None,
}

impl FromStr for ProviderKind {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "Simulator" => Ok(Self::Simulator),
            "StripeCompatible" => Ok(Self::StripeCompatible),
            "None" => Ok(Self::None),
            _ => Err(Invalid::new("PAYMENT_PROVIDER", "must be Simulator, StripeCompatible or None")),
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
        let row = agora_topology::service("payment").unwrap();
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
    }

    #[test]
    fn a_provider_over_http_needs_its_address_and_key_and_others_do_not() {
        let faults = |provider: &str| {
            let pairs = BTreeMap::from([("PAYMENT_PROVIDER".to_owned(), provider.to_owned())]);
            settings_from("payment", &pairs, Config::read).unwrap_err().to_string()
        };
        let stripe = faults("StripeCompatible");
        assert!(stripe.contains("STRIPE_BASE_URL") && stripe.contains("STRIPE_API_KEY"), "{stripe}");
        assert!(!faults("Simulator").contains("STRIPE_"));
        assert!(faults("Paypal").contains("must be Simulator, StripeCompatible or None"));
    }
}
