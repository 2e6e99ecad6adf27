//! The cart service: one cart per user and per guest, shown with the catalog's current prices.
//!
//! This file is the composition root and the only one that depends on every module of the service.

pub mod cache;
mod clients;
pub mod config;
pub mod consumer;
pub mod crypto;
pub mod domain;
pub mod http;
pub mod ports;
pub mod postgres;
pub mod service;
mod worker;

use std::sync::Arc;

use agora_chassis::{Ports, Process, Routers, Started, settings};
use agora_kafka::Producer;
use agora_outbound::{Client, InternalSigner};
use agora_redis::Redis;
use futures::{FutureExt as _, future::BoxFuture};

pub use config::Config;

use crate::{
    cache::{QUOTE_TTL, RedisGuestLimit, RedisQuotes},
    clients::catalog::CatalogClient,
    crypto::GuestTokens,
    postgres::PgCarts,
    service::CartService,
};

/// Migrations of the service's database, including the outbox and inbox tables.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Builds the ports and routers. Returns without waiting for the database, the brokers, Redis or other services.
pub fn start(process: Process) -> BoxFuture<'static, Started> {
    async move { Ok(build(settings(process.service(), Config::read)?, &process).await) }.boxed()
}

async fn build(config: Config, process: &Process) -> (Ports, Routers) {
    let db = agora_postgres::connect(&config.postgres, &MIGRATIONS, process).await;
    let signer = InternalSigner::new(config.internal_secret.clone(), "cart");
    let client = Client::new("catalog", &config.catalog_url, signer, process);
    let catalog = CatalogClient { client, epoch: config.epoch };
    let carts = PgCarts::new(db.clone(), process.ids(), config.epoch);
    let redis = Redis::connect(&config.tokens.redis, process);
    let cache = RedisQuotes { redis: redis.clone(), ttl: QUOTE_TTL };
    let guest_limit = RedisGuestLimit::new(redis.clone(), process);
    let tokens = Arc::new(GuestTokens::new(config.internal_secret.clone()));
    let service = CartService::new(Arc::new(carts), Arc::new(catalog), tokens, process.ids())
        .with_cache(Arc::new(cache))
        .with_guest_limit(Arc::new(guest_limit))
        .with_assets(config.assets);

    agora_outbox::relay(db.clone(), Producer::new(&config.kafka), process);
    agora_outbox::sweep(db.clone(), process);
    let reader = service.clone();
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelopes| {
        consumer::handle(reader.clone(), envelopes).boxed()
    });
    let (sweeping, shutdown) = (service.clone(), process.shutdown());
    process.supervise("checkouts-sweep", move || worker::run(sweeping.clone(), shutdown.clone()));
    let (reporting, shutdown) = (service.clone(), process.shutdown());
    process.supervise("changed-lines", move || worker::report(reporting.clone(), shutdown.clone()));

    let (erasing, shutdown) = (service.clone(), process.shutdown());
    process.supervise("erased-carts", move || worker::erase(erasing.clone(), shutdown.clone()));

    let verifier = config.tokens.verifier_with(redis, process);
    (config.ports, http::routers(service, verifier, config.internal_secret, process))
}
