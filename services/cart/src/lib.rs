//! The cart service: one cart per user, shown with the catalog's current prices.
//!
//! This file is the composition root and the only one that depends on every module of the service.

mod clients;
pub mod config;
mod consumer;
pub mod domain;
pub mod fakes;
pub mod http;
pub mod ports;
pub mod postgres;
pub mod service;

use std::{sync::Arc, time::Duration};

use agora_chassis::{Ports, Process, Routers, settings};
use agora_kafka::Producer;
use agora_outbound::{Client, InternalSigner};
use futures::{FutureExt as _, future::BoxFuture};
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use consumer::handle;

use crate::{clients::catalog::CatalogClient, postgres::PgCarts, service::CartService};

/// Migrations of the service's database, including the outbox and inbox tables.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Interval between two deletions of old checkouts.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// Builds the ports and routers. Returns without waiting for the database, the brokers or other services.
pub fn start(process: Process) -> BoxFuture<'static, anyhow::Result<(Ports, Routers)>> {
    async move { Ok(build(settings(process.service(), Config::read)?, &process).await) }.boxed()
}

async fn build(config: Config, process: &Process) -> (Ports, Routers) {
    let db = agora_postgres::connect(&config.postgres, &MIGRATIONS, process).await;
    let signer = InternalSigner::new(config.internal_secret.clone(), "cart");
    let catalog = CatalogClient(Client::new("catalog", &config.catalog_url, signer, process));
    let carts = PgCarts::new(db.clone(), process.ids(), config.epoch);
    let service = CartService::new(Arc::new(carts), Arc::new(catalog), process.ids());

    agora_outbox::relay(db.clone(), Producer::new(&config.kafka), process);
    agora_outbox::sweep(db.clone(), process);
    let reader = service.clone();
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelopes| {
        consumer::handle(reader.clone(), envelopes).boxed()
    });
    let (sweeping, shutdown) = (service.clone(), process.shutdown());
    process.supervise("checkouts-sweep", move || sweep(sweeping.clone(), shutdown.clone()));

    let verifier = config.tokens.verifier(process);
    (config.ports, http::routers(service, verifier, config.internal_secret))
}

/// Deletes old checkouts every hour, until shutdown.
async fn sweep(service: CartService, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL)).await.is_some() {
        if let Err(error) = service.sweep().await {
            tracing::warn!(
                error = format!("{:#}", anyhow::Error::from(error)),
                "could not delete old checkouts; retrying in an hour"
            );
        }
    }
    Ok(())
}
