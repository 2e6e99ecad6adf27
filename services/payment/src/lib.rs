//! The payment service: payments, refunds, the double-entry ledger and the simulated provider.
//!
//! This file is the composition root: the only one that depends on every module of the service.

mod config;
mod consumer;
pub mod domain;
#[cfg(feature = "db-tests")]
pub mod fakes;
mod http;
mod order_client;
pub mod ports;
mod postgres;
pub mod simulator;
pub mod usecases;

use std::{sync::Arc, time::Duration};

use agora_chassis::{Process, Routers, Started};
use agora_outbound::{Client, InternalSigner};
use agora_web::HttpLimits;
use futures::future::BoxFuture;

pub use self::{
    config::{Config, ProviderKind},
    http::{internal, public},
    postgres::PgPayments,
};
use self::{order_client::OrderClient, ports::Provider, simulator::Simulator, usecases::PaymentService};

/// Service name: prefix of environment variables and audience of internal tokens.
pub const NAME: &str = agora_topology::PAYMENT.name;
/// Database migrations, those of outbox and inbox included.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
/// Connections in the pool of the simulated provider.
const SIMULATOR_POOL_SIZE: u32 = 2;
/// Pause of the worker after a batch without rows, or after an error.
const WORKER_PAUSE: Duration = Duration::from_secs(1);

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
    let service = PaymentService {
        payments: Arc::new(PgPayments::new(db.clone(), process.ids(), config.epoch)),
        provider: provider(&config, process).await,
        orders: Arc::new(orders),
        ids: process.ids(),
        epoch: config.epoch,
        provider_timeout: usecases::PROVIDER_TIMEOUT,
    };
    agora_outbox::relay(db.clone(), agora_kafka::Producer::new(&config.kafka), process);
    agora_outbox::sweep(db.clone(), process);
    let handler = service.clone();
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelope| {
        let service = handler.clone();
        Box::pin(async move { consumer::handle(&service, envelope).await })
    });
    let worker = service.clone();
    let shutdown = process.shutdown();
    process.spawn("payments", async move {
        shutdown.run_until_cancelled(run_worker(worker)).await;
        Ok(())
    });
    let limits = HttpLimits { verifier: Some(config.tokens.verifier(process)), ..HttpLimits::default() };
    Ok(Routers {
        public: agora_web::public_stack(http::public(service.clone()), limits),
        internal: agora_web::internal(http::internal(service), config.internal, &agora_topology::PAYMENT),
    })
}

/// The configured payment provider.
async fn provider(config: &Config, process: &Process) -> Option<Arc<dyn Provider>> {
    match config.provider {
        ProviderKind::None => None,
        ProviderKind::Simulator => {
            let database = agora_postgres::Config { pool_size: SIMULATOR_POOL_SIZE, ..config.database.clone() };
            let db = agora_postgres::connect(&database, &MIGRATIONS, process).await;
            Some(Arc::new(Simulator::new(db)))
        }
    }
}

/// Runs the worker until it is dropped.
async fn run_worker(service: PaymentService) {
    loop {
        match service.recover_once().await {
            Ok(leased) if leased > 0 => {}
            Ok(_) => tokio::time::sleep(WORKER_PAUSE).await,
            Err(error) => {
                tracing::warn!(
                    error = agora_chassis::chain(&error),
                    "Payment worker paused (database unavailable): it retries in 1 s"
                );
                tokio::time::sleep(WORKER_PAUSE).await;
            }
        }
    }
}
