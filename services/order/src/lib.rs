//! The order service: orders and the saga that reserves stock, takes payment, cancels and expires.
//!
//! This file is the composition root: the only one that depends on every module of the service.

pub mod cache;
pub mod clients;
pub mod config;
pub mod consumer;
pub mod domain;
pub mod http;
pub mod ports;
pub mod postgres;
pub mod service;
pub mod worker;

use std::sync::Arc;

use agora_chassis::{Process, Started, settings};
use agora_outbound::{Client, InternalSigner};
use agora_redis::Redis;
use agora_vocab::Flag;
use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::Notify;

pub use config::Config;

use crate::{
    cache::{CachedOrders, ORDER_TTL},
    clients::{
        cart::CartClient,
        catalog::CatalogClient,
        payment::{CALL_LIMITS, PaymentClient},
        user::UserClient,
    },
    domain::UnpaidLimits,
    postgres::{PgHistories, PgOrders, PgPrices, PgReports},
    service::{OrderService, PROVISIONAL_AFTER, PriceService, ReportService, Services, VerifyService},
};

/// Database migrations, those of outbox and inbox included.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Starts the service. Returns without waiting for PostgreSQL, Kafka, Redis or other services.
pub fn start(process: Process) -> BoxFuture<'static, Started> {
    async move { build(settings(process.service(), Config::read)?, &process).await }.boxed()
}

/// The verification of the orders of a database, for a command.
pub fn verification(db: agora_postgres::Db) -> VerifyService {
    VerifyService { histories: Arc::new(PgHistories { db }) }
}

async fn build(config: Config, process: &Process) -> Started {
    let db = agora_postgres::connect(&config.postgres, &MIGRATIONS, process).await;
    let signer = InternalSigner::new(config.internal_secret.clone(), "order");
    let client = |callee, url: &str| Client::new(callee, url, signer.clone(), process);
    let payment = Client::with_limits("payment", &config.payment_url, signer.clone(), process, CALL_LIMITS);
    let store = PgOrders {
        db: db.clone(),
        ids: process.ids(),
        epoch: config.epoch,
        payment_window: config.payment_window,
        limits: UnpaidLimits { orders: config.unpaid_orders_max, units: config.unpaid_units_max },
        answer: http::answer,
    };
    let redis = Redis::connect(&config.tokens.redis, process);
    let service = OrderService {
        store: Arc::new(CachedOrders { store: Arc::new(store), redis: redis.clone(), ttl: ORDER_TTL }),
        services: Services {
            carts: Arc::new(CartClient(client("cart", &config.cart_url))),
            catalog: Arc::new(CatalogClient(client("catalog", &config.catalog_url))),
            payments: Arc::new(PaymentClient(payment)),
            epoch: config.epoch,
        },
        addresses: Arc::new(UserClient(client("user", &config.user_url))),
        prices: PriceService { store: Arc::new(PgPrices { db: db.clone() }), known: Arc::default() },
        takes_orders: process.flag(Flag::TakeOrders),
        ids: process.ids(),
        work: Arc::new(Notify::new()),
        unfinished: Arc::default(),
        answer: http::answer,
        provisional_after: PROVISIONAL_AFTER,
    };

    let reports = ReportService { reports: Arc::new(PgReports { db: db.clone() }) };

    agora_outbox::relay(db.clone(), agora_kafka::Producer::new(&config.kafka), process);
    agora_outbox::sweep(db.clone(), process);
    let consuming = (service.clone(), reports.clone());
    agora_outbox::consume(db, &config.kafka, consumer::CONSUMER, consumer::TOPICS, process, move |envelopes| {
        let (service, reports) = consuming.clone();
        consumer::handle(service, reports, envelopes).boxed()
    });
    let (working, shutdown) = (service.clone(), process.shutdown());
    process.supervise("saga-worker", move || worker::run(working.clone(), shutdown.clone()));

    let (reporting, shutdown) = (reports.clone(), process.shutdown());
    process.supervise("report-worker", move || worker::refresh_reports(reporting.clone(), shutdown.clone()));

    let verifier = config.tokens.verifier_with(redis, process);
    Ok((config.ports, http::routers(&service, reports, verifier, config.internal_secret, process)))
}
