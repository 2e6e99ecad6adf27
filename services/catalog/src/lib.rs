//! Products, their stock per warehouse, and the reservations that orders hold.
//!
//! The composition root: the one file that knows every part of the service.

pub mod config;
mod consumer;
pub mod domain;
pub mod fakes;
pub mod http;
pub mod ports;
pub mod postgres;
pub mod usecases;

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
    usecases::CatalogService,
};

/// The tables, outbox and inbox included.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// How often holds that have run out are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often holds that ended long ago are forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// Starts the service; waits for nothing that may be away.
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
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelope| {
        consumer::handle(reader.clone(), envelope).boxed()
    });
    let (expiring, shutdown) = (catalog.clone(), process.shutdown());
    process.supervise("hold-expiry", move || expire(expiring.clone(), shutdown.clone()));

    let verifier = config.tokens.verifier(process);
    (config.ports, http::routers(catalog, verifier, config.internal_secret))
}

/// Ends holds that have run out, every second, and forgets those that ended long ago, every hour. Any number of replicas
/// may: each hold is ended, and forgotten, by one of them.
async fn expire(catalog: CatalogService, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = interval(EXPIRY_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweep_at = Instant::now() + SWEEP_INTERVAL;
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        match catalog.expire().await {
            Ok(ended) => metrics::counter!("hold_expired_total").increment(u64::from(ended)),
            // A database that is away is listed as degraded already; holds wait for it.
            Err(error) => tracing::warn!(error = chain(&error), "holds were not ended"),
        }
        if Instant::now() >= sweep_at {
            sweep_at = Instant::now() + SWEEP_INTERVAL;
            if let Err(error) = catalog.sweep().await {
                tracing::warn!(error = chain(&error), "old holds were not forgotten");
            }
        }
    }
    Ok(())
}
