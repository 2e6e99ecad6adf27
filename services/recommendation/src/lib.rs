//! The recommendation service: products that a user may want next, from what they and others bought.
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

use std::sync::Arc;

use agora_chassis::{Ports, Process, Routers, Started, settings};
use agora_kafka::Producer;
use agora_postgres::Db;
use agora_redis::Redis;
use futures::{FutureExt as _, future::BoxFuture};

pub use config::Config;

use crate::{
    cache::{RedisCache, RedisLimit},
    postgres::PgRecommendations,
    service::{RecommendationService, Rules},
};

/// Migrations of the service's database, including the outbox and inbox tables.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Builds the ports and routers. Returns without waiting for the database, the brokers or Redis.
pub fn start(process: Process) -> BoxFuture<'static, Started> {
    async move { Ok(build(settings(process.service(), Config::read)?, &process).await) }.boxed()
}

/// Connects the use cases with the database and Redis, without ports and without the service's own tasks.
pub async fn use_cases(config: &Config, process: &Process) -> (Db, Redis, RecommendationService) {
    let db = agora_postgres::connect(&config.postgres, &MIGRATIONS, process).await;
    let redis = Redis::connect(&config.tokens.redis, process);
    let store = PgRecommendations::new(db.clone(), process.ids(), config.epoch);
    let service = RecommendationService::new(
        Arc::new(store),
        Arc::new(RedisCache::new(redis.clone())),
        Arc::new(RedisLimit::new(redis.clone(), process)),
        Rules { default_category: config.default_category.clone(), recompute_every: config.recompute_every },
    );
    (db, redis, service)
}

/// Builds the service and starts its tasks in `process`.
pub async fn build(config: Config, process: &Process) -> (Ports, Routers) {
    let (db, redis, service) = use_cases(&config, process).await;
    agora_outbox::relay(db.clone(), Producer::new(&config.kafka), process);
    agora_outbox::sweep(db.clone(), process);
    let reader = service.clone();
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelopes| {
        consumer::handle(reader.clone(), envelopes).boxed()
    });
    let (working, instance, shutdown) = (service.clone(), process.ids().next(), process.shutdown());
    process.supervise("recompute", move || worker::run(working.clone(), instance, shutdown.clone()));

    let verifier = config.tokens.verifier_with(redis, process);
    (config.ports, http::routers(service, verifier, process))
}
