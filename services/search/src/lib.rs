//! The search service: an index of the catalog's products, fed by events, for searches by text and filters.
//!
//! This file is the composition root and the only one that depends on every module of the service.

mod clients;
pub mod config;
pub mod consumer;
pub mod domain;
pub mod http;
pub mod ports;
pub mod postgres;
pub mod service;
mod worker;

use std::{sync::Arc, time::Duration};

use agora_chassis::{Ports, Process, Routers, Started, settings};
use agora_kafka::Producer;
use agora_outbound::{Client, InternalSigner};
use agora_postgres::{PoolPart, connect_reads};
use futures::{FutureExt as _, future::BoxFuture};

pub use config::Config;

use crate::{clients::catalog::CatalogClient, postgres::PgIndex, service::SearchService};

/// The part of the pool for searches, which anybody can request.
pub const SEARCH_POOL: PoolPart =
    PoolPart { name: "search-reads", one_in: 2, statement_time_max: Duration::from_secs(1) };

/// Migrations of the service's database, including the outbox and inbox tables.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Builds the ports and routers. Returns without waiting for the database, the brokers or other services.
pub fn start(process: Process) -> BoxFuture<'static, Started> {
    async move { Ok(build(settings(process.service(), Config::read)?, &process).await) }.boxed()
}

async fn build(config: Config, process: &Process) -> (Ports, Routers) {
    let (writes, searches) = config.postgres.split(SEARCH_POOL);
    let db = agora_postgres::connect(&writes, &MIGRATIONS, process).await;
    let reads = match &searches {
        Some(searches) => agora_postgres::connect(searches, &MIGRATIONS, process).await,
        None => db.clone(),
    };
    let reads = match &config.replica {
        Some(replica) => connect_reads(&searches.unwrap_or(writes), replica, reads, &MIGRATIONS, process),
        None => reads.into(),
    };
    let signer = InternalSigner::new(config.internal_secret, "search");
    let catalog = CatalogClient(Client::new("catalog", &config.catalog_url, signer, process));
    let index = PgIndex::new(db.clone(), reads);
    let service = SearchService::new(Arc::new(index), Arc::new(catalog), &*process.ids()).with_assets(config.assets);

    // Dead letters are the only events that this service sends.
    agora_outbox::relay(db.clone(), Producer::new(&config.kafka), process);
    agora_outbox::sweep(db.clone(), process);
    let reader = service.clone();
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelopes| {
        consumer::handle(reader.clone(), envelopes).boxed()
    });
    if let Some(archive) = &config.archive {
        let group = agora_topology::ARCHIVE_GROUP;
        agora_archive::write(archive, &config.kafka, group, &agora_events::topics::ALL, process);
    }
    let (building, shutdown) = (service.clone(), process.shutdown());
    process.supervise("index-build", move || worker::run(building.clone(), shutdown.clone()));

    let verifier = config.tokens.verifier(process);
    (config.ports, http::routers(service, verifier, process))
}
