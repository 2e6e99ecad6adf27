//! The payment service: payments, refunds, the double-entry ledger and the simulated provider.
//!
//! This file is the composition root: the only one that depends on every module of the service.

mod clients;
mod config;
mod consumer;
mod crypto;
pub mod domain;
mod http;
pub mod ports;
mod postgres;
pub mod service;
pub mod worker;

use std::{sync::Arc, time::Duration};

use agora_chassis::{Process, Routers, Started};
use agora_outbound::{Client, InternalSigner};
use agora_web::PortSettings;
use futures::{FutureExt as _, future::BoxFuture};

use self::{
    clients::order::OrderClient,
    ports::{Challenges, Provider, Webhooks},
    service::PaymentService,
};
pub use agora_cipher::EnvelopeCipher;

pub use self::{
    clients::{
        simulator::Simulator,
        stripe::{Stripe, StripeSettings, StripeWebhooks},
    },
    config::{Config, ProviderKind, StripeConfig},
    http::{internal, public},
    postgres::PgPayments,
};

/// Service name: prefix of environment variables and audience of internal tokens.
pub const NAME: &str = agora_topology::PAYMENT.name;
/// Database migrations, those of outbox and inbox included.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
/// Time until the internal port answers: the provider's, and some for the database. The order service waits longer.
pub const INTERNAL_TIMEOUT: Duration = Duration::from_secs(6);
/// Connections in the pool of the simulated provider.
const SIMULATOR_POOL_SIZE: u32 = 2;

/// Starts the service with settings from the environment. Returns without waiting for PostgreSQL or Kafka.
pub fn start(process: Process) -> BoxFuture<'static, Started> {
    Box::pin(async move {
        let config = agora_chassis::settings(NAME, Config::read)?;
        let ports = config.ports;
        Ok((ports, build(config, &process).await?))
    })
}

/// Connects the modules and starts the background tasks.
pub async fn build(config: Config, process: &Process) -> anyhow::Result<Routers> {
    let db = agora_postgres::connect(&config.database, &MIGRATIONS, process).await;
    let signer = InternalSigner::new(config.internal.clone(), NAME);
    let orders = OrderClient::new(Client::new("order", &config.order_url, signer, process));
    let Adapters { provider, webhooks, challenges } = adapters(&config, process).await?;
    let cipher = EnvelopeCipher::new(config.encryption_key.clone(), config.previous_encryption_key.clone());
    let service = PaymentService {
        store: Arc::new(PgPayments::new(db.clone(), process.ids(), config.epoch)),
        provider,
        webhooks,
        challenges,
        cipher: Arc::new(cipher),
        orders: Arc::new(orders),
        ids: process.ids(),
        provider_timeout: service::PROVIDER_TIMEOUT,
    };
    agora_outbox::relay(db.clone(), agora_kafka::Producer::new(&config.kafka), process);
    agora_outbox::sweep(db.clone(), process);
    let handler = service.clone();
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelopes| {
        consumer::handle(handler.clone(), envelopes).boxed()
    });
    let (recovering, shutdown) = (service.clone(), process.shutdown());
    process.supervise("payment-worker", move || worker::run(recovering.clone(), shutdown.clone()));
    let (keeping, shutdown) = (service.clone(), process.shutdown());
    process.supervise("payment-upkeep", move || worker::keep_up(keeping.clone(), shutdown.clone()));
    let settings = PortSettings { verifier: Some(config.tokens.verifier(process)), ..PortSettings::of(process) };
    let commands = PortSettings { timeout: INTERNAL_TIMEOUT, ..PortSettings::of(process) };
    Ok(Routers {
        public: agora_web::public_stack(http::public(service.clone()), settings),
        internal: agora_web::internal(http::internal(service), config.internal, &agora_topology::PAYMENT, commands),
    })
}

/// The adapters of the configured payment provider.
#[derive(Default)]
struct Adapters {
    provider: Option<Arc<dyn Provider>>,
    webhooks: Option<Arc<dyn Webhooks>>,
    challenges: Option<Arc<dyn Challenges>>,
}

async fn adapters(config: &Config, process: &Process) -> anyhow::Result<Adapters> {
    match (config.provider, &config.stripe) {
        (ProviderKind::Simulator, _) => {
            let database = config.database.with_pool_size(SIMULATOR_POOL_SIZE);
            let db = agora_postgres::connect(&database, &MIGRATIONS, process).await;
            let simulator = Arc::new(Simulator::new(db));
            Ok(Adapters { provider: Some(simulator.clone()), webhooks: None, challenges: Some(simulator) })
        }
        (ProviderKind::StripeCompatible, Some(stripe)) => {
            let StripeConfig { base_url, api_key, webhook_secret, return_url } = stripe.clone();
            let provider = Stripe::new(StripeSettings { base_url, api_key, return_url })?;
            let webhooks = webhook_secret.map(|secret| {
                let webhooks: Arc<dyn Webhooks> = Arc::new(StripeWebhooks::new(secret, process.clock()));
                webhooks
            });
            Ok(Adapters { provider: Some(Arc::new(provider)), webhooks, challenges: None })
        }
        (ProviderKind::StripeCompatible | ProviderKind::None, _) => Ok(Adapters::default()),
    }
}
