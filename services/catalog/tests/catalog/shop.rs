//! The catalog service over HTTP and by events, on a database of its own.

use std::sync::Arc;

use agora_api::catalog as api;
use agora_catalog::{consumer::handle, http, ports::ProductCache, service::CatalogService};
use agora_chassis::{Process, SystemIds, WatchedFile, WatchedSecret};
use agora_events::{Envelope, order::OrderEvent};
use agora_testkit::{Request, TestApp, TestKeys, internal_token};
use agora_vocab::{OrderId, Role, UserId};
use agora_web::TokenVerifier;
use serde_json::{Value, json};

use crate::fixture::{Database, fresh};

pub const SECRET: &str = "only-for-tests";

/// The service under test.
pub struct Shop {
    pub public: TestApp,
    pub internal: TestApp,
    pub database: Database,
    pub service: CatalogService,
    pub admin: String,
    pub customer: String,
    pub order_token: String,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(None).await
    }

    /// Opens the shop with a cache of products, or without.
    pub async fn open_with(cache: Option<Arc<dyn ProductCache>>) -> Self {
        let database = Database::create().await;
        let mut store = database.store.clone();
        if let Some(cache) = cache.clone() {
            store = store.with_cache(cache);
        }
        let mut service = CatalogService::new(Arc::new(store), Arc::new(SystemIds));
        if let Some(cache) = cache {
            service = service.with_cache(cache);
        }
        let (keys, process) = (TestKeys::new(), Process::for_test("catalog"));
        let jwks = WatchedFile::fixed(keys.jwks());
        let verifier = TokenVerifier::watch(jwks, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let routers = http::routers(service.clone(), verifier, WatchedSecret::fixed(SECRET), &process);
        let token = |role| keys.token(UserId::new(fresh()), &[role]);
        Self {
            public: TestApp::of("catalog", routers.public),
            internal: TestApp::of("catalog", routers.internal),
            database,
            service,
            admin: token(Role::Admin),
            customer: token(Role::Customer),
            order_token: internal_token(SECRET, "order", "catalog", None),
        }
    }

    pub fn create(&self, body: Value) -> Request {
        self.public.post("/api/v1/products", body).with(&self.admin)
    }

    pub async fn product(&self, name: &str, stock: i64) -> api::Product {
        self.create(json!({"name": name, "price": eur(1999), "stock": stock})).await.expect(201).parse()
    }

    pub fn patch(&self, id: impl std::fmt::Display, body: Value) -> Request {
        self.public.patch(&format!("/api/v1/products/{id}"), body).with(&self.admin)
    }

    pub async fn stock(&self, id: impl std::fmt::Display) -> i64 {
        self.public.get(&format!("/api/v1/products/{id}")).await.expect(200).body["stock"].as_i64().unwrap()
    }

    /// An internal command with a new command id.
    pub fn command(&self, path: &str, body: Value) -> Request {
        self.internal.post(path, body).internal(&self.order_token).header("x-command-id", &fresh().to_string())
    }

    pub fn reserve(&self, order: OrderId, hold: i32, lines: Value) -> Request {
        let mut body = json!({"orderId": order, "hold": hold, "seconds": 900});
        body["lines"] = lines;
        self.command("/internal/v1/reserve", body)
    }

    /// Delivers a batch of events, twice.
    pub async fn deliver_all(&self, events: &[OrderEvent]) {
        let envelopes: Vec<Envelope> = events.iter().map(envelope).collect();
        handle(self.service.clone(), envelopes.clone()).await.unwrap();
        handle(self.service.clone(), envelopes).await.unwrap();
    }

    pub async fn deliver(&self, event: OrderEvent) {
        self.deliver_all(&[event]).await;
    }
}

pub fn envelope(event: &OrderEvent) -> Envelope {
    agora_testkit::envelope(fresh(), event.order().order_id.to_string(), event)
}

pub fn eur(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

pub fn order_id() -> OrderId {
    OrderId::new(fresh())
}
