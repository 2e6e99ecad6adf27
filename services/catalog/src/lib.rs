//! The catalog service: products, their stock per warehouse, and the holds of orders on that stock.
//!
//! This file is the composition root and the only one that depends on every module of the service.

pub mod cache;
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
use agora_postgres::PoolPart;
use agora_redis::Redis;
use agora_vocab::Flag;
use futures::{FutureExt as _, future::BoxFuture};

pub use config::Config;

use crate::{
    cache::RedisCache,
    domain::{Campaign, Label, Language},
    postgres::PgCatalog,
    service::CatalogService,
};

/// The part of the pool for reads that anybody can request.
pub const ANONYMOUS_POOL: PoolPart =
    PoolPart { name: "catalog-reads", one_in: 4, statement_time_max: Duration::from_secs(1) };

/// Migrations of the service's database, including the outbox and inbox tables.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Builds the ports and routers. Returns without waiting for the database, the brokers, Redis or other services.
pub fn start(process: Process) -> BoxFuture<'static, Started> {
    async move { Ok(build(settings(process.service(), Config::read)?, &process).await) }.boxed()
}

async fn build(config: Config, process: &Process) -> (Ports, Routers) {
    let (orders, anonymous) = config.postgres.split(ANONYMOUS_POOL);
    let db = agora_postgres::connect(&orders, &MIGRATIONS, process).await;
    let reads = match anonymous {
        Some(anonymous) => agora_postgres::connect(&anonymous, &MIGRATIONS, process).await,
        None => db.clone(),
    };
    let redis = Redis::connect(&config.tokens.redis, process);
    let cache = Arc::new(RedisCache::new(redis.clone()));
    let store = PgCatalog::new(db.clone(), reads, process.ids(), config.epoch).with_cache(cache.clone());
    // The settings have checked the tag.
    let language = Language::parse(&config.default_language).unwrap_or_default();
    let service = CatalogService::new(Arc::new(store), process.ids())
        .with_cache(cache)
        .with_language(language)
        .with_assets(config.assets.clone());

    agora_outbox::relay(db.clone(), Producer::new(&config.kafka), process);
    agora_outbox::sweep(db.clone(), process);
    let reader = service.clone();
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelopes| {
        consumer::handle(reader.clone(), envelopes).boxed()
    });
    let Config { promotion_every, promotion_title, .. } = config;
    let campaign = promotion_every.map(|every| Campaign { every, title: Label::stored(promotion_title) });
    let (working, shutdown) = (service.clone(), process.shutdown());
    let promotions = (campaign, process.flag(Flag::StartPromotions));
    process.supervise("hold-expiry", move || worker::run(working.clone(), promotions.clone(), shutdown.clone()));

    let verifier = config.tokens.verifier_with(redis, process);
    (config.ports, http::routers(service, verifier, config.internal_secret, process))
}
