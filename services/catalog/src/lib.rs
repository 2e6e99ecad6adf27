//! The catalog service: products, their stock per warehouse, and the holds of orders on that stock.
//!
//! This file is the composition root and the only one that depends on every module of the service.

pub mod config;
mod consumer;
pub mod domain;
pub mod fakes;
pub mod http;
pub mod ports;
pub mod postgres;
pub mod service;

use std::{sync::Arc, time::Duration};

use agora_chassis::{Ports, Process, Routers, chain, settings};
use agora_kafka::Producer;
use futures::{FutureExt as _, future::BoxFuture};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use consumer::handle;

use crate::{
    postgres::{PgProducts, PgStock, Store},
    service::CatalogService,
};

/// Migrations of the service's database, including the outbox and inbox tables.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Interval between two searches for expired holds.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between two deletions of old holds.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// Builds the ports and routers. Returns without waiting for the database, the brokers or other services.
pub fn start(process: Process) -> BoxFuture<'static, anyhow::Result<(Ports, Routers)>> {
    async move { Ok(build(settings(process.service(), Config::read)?, &process).await) }.boxed()
}

async fn build(config: Config, process: &Process) -> (Ports, Routers) {
    let db = agora_postgres::connect(&config.postgres, &MIGRATIONS, process).await;
    let store = Store::new(db.clone(), process.ids(), config.epoch);
    let catalog =
        CatalogService::new(Arc::new(PgProducts::new(store.clone())), Arc::new(PgStock::new(store)), process.ids());

    agora_outbox::relay(db.clone(), Producer::new(&config.kafka), process);
    agora_outbox::sweep(db.clone(), process);
    let reader = catalog.clone();
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelopes| {
        consumer::handle(reader.clone(), envelopes).boxed()
    });
    let (expiring, shutdown) = (catalog.clone(), process.shutdown());
    process.supervise("hold-expiry", move || expire(expiring.clone(), shutdown.clone()));

    let verifier = config.tokens.verifier(process);
    (config.ports, http::routers(catalog, verifier, config.internal_secret))
}

/// Ends expired holds every second and deletes old ones every hour, until shutdown. Any number of replicas may run it:
/// row locks ensure that one of them processes each hold.
async fn expire(catalog: CatalogService, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = interval(EXPIRY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweep_at = Instant::now() + SWEEP_INTERVAL;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        match catalog.expire().await {
            Ok(ended) => metrics::counter!("hold_expired_total").increment(u64::from(ended)),
            // The health endpoint already reports an unavailable database; the next tick retries.
            Err(error) => {
                tracing::warn!(error = chain(&error), "could not end expired holds; retrying on the next tick");
            }
        }
        if Instant::now() >= sweep_at {
            sweep_at = Instant::now() + SWEEP_INTERVAL;
            if let Err(error) = catalog.sweep().await {
                tracing::warn!(error = chain(&error), "could not delete old holds; retrying in an hour");
            }
        }
    }
    Ok(())
}
