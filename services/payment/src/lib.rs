//! Payments, refunds, the double-entry ledger and the simulated provider.
//!
//! This file is the composition root, the only one that knows every part.

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
use self::{order_client::OrderClient, ports::Provider, simulator::Simulator, usecases::Pay};

/// Name, environment prefix and audience of internal tokens.
pub const NAME: &str = "payment";
/// The migrations of its database.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();
/// Who may command it.
const CALLERS: &[&str] = &["order"];
/// Connections of the simulated provider's own pool.
const SIMULATOR_POOL_SIZE: u32 = 2;
/// Pause between two rounds of the worker that found nothing.
const WORKER_PAUSE: Duration = Duration::from_secs(1);

/// Starts the service from its environment.
pub fn start(process: Process) -> BoxFuture<'static, Started> {
    Box::pin(async move {
        let config = agora_chassis::settings(NAME, Config::read)?;
        let ports = config.ports;
        Ok((ports, build(config, &process).await?))
    })
}

/// Puts the parts together.
pub async fn build(config: Config, process: &Process) -> anyhow::Result<Routers> {
    let db = agora_postgres::connect(&config.database, &MIGRATIONS, process).await;
    let signer = InternalSigner::new(config.internal.clone(), NAME);
    let orders = OrderClient::new(Client::new("order", &config.order_url, signer, process));
    let pay = Pay {
        payments: Arc::new(PgPayments::new(db.clone(), process.ids(), config.epoch)),
        provider: provider(&config, process).await,
        orders: Arc::new(orders),
        ids: process.ids(),
        epoch: config.epoch,
        provider_timeout: usecases::PROVIDER_TIMEOUT,
    };
    agora_outbox::relay(db.clone(), agora_kafka::Producer::new(&config.kafka), process);
    agora_outbox::sweep(db.clone(), process);
    let handler = pay.clone();
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelope| {
        let pay = handler.clone();
        Box::pin(async move { consumer::handle(&pay, envelope).await })
    });
    let worker = pay.clone();
    let shutdown = process.shutdown();
    process.spawn("payments", async move {
        shutdown.run_until_cancelled(work(worker)).await;
        Ok(())
    });
    let limits = HttpLimits { verifier: Some(config.tokens.verifier(process)), ..HttpLimits::default() };
    Ok(Routers {
        public: agora_web::public_stack(http::public(pay.clone()), limits),
        internal: agora_web::internal(http::internal(pay), config.internal, NAME, CALLERS),
    })
}

/// The provider that the shop has.
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

/// Resumes what nobody drives, round after round.
async fn work(pay: Pay) {
    loop {
        match pay.round().await {
            Ok(found) if found > 0 => {}
            Ok(_) => tokio::time::sleep(WORKER_PAUSE).await,
            Err(error) => {
                tracing::warn!(error = agora_chassis::chain(&error), "the worker waits for its database");
                tokio::time::sleep(WORKER_PAUSE).await;
            }
        }
    }
}
