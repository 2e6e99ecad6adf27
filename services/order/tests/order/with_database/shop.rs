//! Test client: the order service over HTTP with in-memory other services.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Process, Routers, WatchedFile, WatchedSecret};
use agora_events::Envelope;
use agora_order::{
    cache::CachedOrders,
    consumer,
    domain::{Order, rebuild},
    http,
    ports::{Catalog, Listing, OrderReads as _, OrderStore},
    postgres::{PgPrices, PgReports},
    service::{OrderService, PROVISIONAL_AFTER, PriceService, ReportService, Services},
};
use agora_outbox::Failure;
use agora_postgres::Db;
use agora_redis::Redis;
use agora_testkit::{Request, TestApp, TestKeys, internal_token};
use agora_vocab::{CommandId, Epoch, Flag, OrderId, PageSize, PaymentId, ProductId, Role, UserId};
use agora_web::TokenVerifier;
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{crashing_store::CrashingStore, store::TestStore};
use crate::fakes::{Failpoint, FakeServices};

const SECRET: &str = "an internal secret of sufficient length";
/// Bits of an id that [`Shop::number`] replaces.
const NUMBER_BITS: u128 = 0xFFFF_FFFF;
/// Rounds of the worker until it has nothing to do, at most.
const ROUNDS_MAX: usize = 100;

/// One process of the order service.
pub struct Shop {
    pub service: OrderService,
    pub reports: ReportService,
    pub fakes: FakeServices,
    pub store: TestStore,
    public: TestApp,
    internal: TestApp,
    keys: Arc<TestKeys>,
    pub ada: UserId,
}

impl Shop {
    /// A shop with a database of its own.
    pub async fn open() -> Self {
        Self::on(TestStore::new().await)
    }

    /// A shop with a user, other services and payment ids of its own, on a database that it shares.
    pub fn on(store: TestStore) -> Self {
        let ada = UserId::new(Process::for_test("order").ids().next());
        let fakes = FakeServices::new();
        let service = service(store.orders.clone(), &store.db, &fakes);
        Self::with(service, fakes, store, (Arc::new(TestKeys::new()), ada))
    }

    /// Another process, which crashes at `failpoint`: a call to the store or to another service.
    pub fn crashing(&self, failpoint: &Failpoint) -> Self {
        let store = CrashingStore::new(self.store.orders.clone(), failpoint.clone());
        self.again(service(Arc::new(store), &self.store.db, &self.fakes.called_until(failpoint)))
    }

    /// Another process, which reaches no other service from `failpoint` on.
    pub fn cut_off(&self, failpoint: &Failpoint) -> Self {
        self.again(service(self.store.orders.clone(), &self.store.db, &self.fakes.called_until(failpoint)))
    }

    /// Another process, which calls another catalog and gives provisional responses after `provisional_after`.
    pub fn with_catalog(&self, catalog: Arc<dyn Catalog>, provisional_after: Duration) -> Self {
        let services = Services { catalog, ..self.service.services.clone() };
        self.again(OrderService { services, provisional_after, ..self.service.clone() })
    }

    /// Another process, whose orders are read through this Redis for an hour.
    pub fn with_cache(&self, redis: Redis) -> Self {
        let store = CachedOrders { store: self.store.orders.clone(), redis, ttl: Duration::from_hours(1) };
        self.again(service(Arc::new(store), &self.store.db, &self.fakes))
    }

    /// Another process with this flag file.
    pub fn with_flags(&self, text: &str) -> Self {
        let process = Process::for_test("order");
        process.set_flags(text).unwrap();
        self.again(OrderService { takes_orders: process.flag(Flag::TakeOrders), ..self.service.clone() })
    }

    /// Another process for the same Ada and the same other services.
    fn again(&self, service: OrderService) -> Self {
        Self::with(service, self.fakes.clone(), self.store.clone(), (self.keys.clone(), self.ada))
    }

    fn with(
        service: OrderService,
        fakes: FakeServices,
        store: TestStore,
        (keys, ada): (Arc<TestKeys>, UserId),
    ) -> Self {
        let reports = ReportService { reports: Arc::new(PgReports { db: store.db.clone() }) };
        let routers = routers((&service, reports.clone()), &keys, &Process::for_test("order"));
        let (public, internal) = (TestApp::of("order", routers.public), TestApp::of("order", routers.internal));
        Self { service, reports, fakes, store, public, internal, keys, ada }
    }

    /// An id that no other shop has.
    pub fn number(&self, n: u32) -> Uuid {
        Uuid::from_u128((self.ada.uuid().as_u128() & !NUMBER_BITS) | u128::from(n))
    }

    pub fn payment(&self, n: u32) -> PaymentId {
        PaymentId::new(self.number(n))
    }

    pub fn token(&self, user: UserId) -> String {
        self.keys.token(user, &[Role::Customer])
    }

    pub fn admin(&self) -> String {
        self.keys.token(UserId::new(Uuid::from_u128(0xad)), &[Role::Customer, Role::Admin])
    }

    pub fn app(&self) -> &TestApp {
        &self.public
    }

    /// `POST /orders` of Ada's.
    pub fn order(&self, key: &str, body: Value) -> Request {
        self.public.post("/api/v1/orders", body).with(&self.token(self.ada)).key(key)
    }

    pub fn get(&self, path: &str) -> Request {
        self.public.get(path).with(&self.token(self.ada))
    }

    pub fn cancel(&self, order: OrderId) -> Request {
        self.public.delete(&format!("/api/v1/orders/{order}")).with(&self.token(self.ada))
    }

    pub fn advance(&self, order: OrderId, status: &str) -> Request {
        self.public.patch(&format!("/api/v1/orders/{order}"), json!({ "status": status })).with(&self.admin())
    }

    /// A command of payment's.
    pub fn command(&self, path: &str, body: Value) -> Request {
        let subject = serde_json::from_value(body["userId"].clone()).ok();
        let token = internal_token(SECRET, "payment", "order", subject);
        self.internal.post(path, body).internal(&token).header("x-command-id", &Uuid::from_u128(7).to_string())
    }

    pub fn begin(&self, order: OrderId, payment: u32) -> Request {
        let body = json!({ "paymentId": self.payment(payment), "userId": self.ada });
        self.command(&format!("/internal/v1/orders/{order}/begin-payment"), body)
    }

    /// Delivers a result of the shop's payment `payment`, under the shop's id `result`.
    pub fn result(&self, order: OrderId, payment: u32, (result, status): (u32, &str)) -> Request {
        self.deliver(order, payment, (CommandId::new(self.number(result)), status))
    }

    /// Delivers a result of the shop's payment `payment`, under the id that the payment service gave it.
    pub fn deliver(&self, order: OrderId, payment: u32, (result, status): (CommandId, &str)) -> Request {
        let body = json!({ "paymentId": self.payment(payment), "resultId": result, "status": status });
        self.command(&format!("/internal/v1/orders/{order}/payment-result"), body)
    }

    /// An order of Ada's that waits to be paid.
    pub async fn pending(&self, key: &str, product: ProductId, units: u32) -> OrderId {
        let answer = self.order(key, items(product, units)).await.expect(201);
        assert_eq!(answer.body["status"], "pending", "{}", answer.body);
        id(&answer.body)
    }

    pub async fn status(&self, order: OrderId) -> (String, String) {
        let body = self.get(&format!("/api/v1/orders/{order}")).await.expect(200).body;
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (text("status"), text("paymentStatus"))
    }

    /// Ada's orders, newest first.
    pub async fn orders(&self) -> Vec<Order> {
        let all = Listing { user: Some(self.ada), size: PageSize::MAX, before: None, offset: 0 };
        self.store.orders.page(&all).await.unwrap().items
    }

    /// Asserts that Ada's stored orders equal the orders rebuilt from their histories.
    pub async fn assert_histories_agree(&self) {
        for order in self.orders().await {
            let rebuilt = rebuild(self.store.history(order.id).await).unwrap();
            let agreed = (order.progress, order.version, order.event_seq);
            assert_eq!((rebuilt.progress, rebuilt.version, rebuilt.event_seq), agreed);
            let places: Vec<i64> = self.store.events(order.id).await.into_iter().map(|(seq, _)| seq).collect();
            assert_eq!(places, (1..=order.event_seq).collect::<Vec<_>>());
        }
    }

    /// Handles events as the consumer does.
    pub async fn consume(&self, envelopes: Vec<Envelope>) -> Result<(), Failure> {
        consumer::handle(self.service.clone(), self.reports.clone(), envelopes).await
    }

    /// Lets the worker work until it has nothing to do.
    ///
    /// # Panics
    /// If sagas are due after [`ROUNDS_MAX`] rounds.
    pub async fn settle(&self) {
        for _ in 0..ROUNDS_MAX {
            if self.service.continue_sagas().await.unwrap() == 0 {
                return;
            }
        }
        panic!("a saga is due again and again");
    }
}

fn service(store: Arc<dyn OrderStore>, db: &Db, fakes: &FakeServices) -> OrderService {
    OrderService {
        store,
        services: Services {
            carts: Arc::new(fakes.carts.clone()),
            catalog: Arc::new(fakes.catalog.clone()),
            payments: Arc::new(fakes.payments.clone()),
            epoch: Epoch::default(),
        },
        addresses: Arc::new(fakes.addresses.clone()),
        prices: PriceService { store: Arc::new(PgPrices { db: db.clone() }), known: Arc::default() },
        takes_orders: Process::for_test("order").flag(Flag::TakeOrders),
        ids: Process::for_test("order").ids(),
        work: Arc::new(Notify::new()),
        unfinished: Arc::default(),
        answer: http::answer,
        provisional_after: PROVISIONAL_AFTER,
    }
}

fn routers((service, reports): (&OrderService, ReportService), keys: &TestKeys, process: &Process) -> Routers {
    let keys = WatchedFile::fixed(keys.jwks());
    let verifier = TokenVerifier::watch(keys, TestKeys::ISSUER, TestKeys::AUDIENCE, process);
    http::routers(service, reports, verifier, WatchedSecret::fixed(SECRET), process)
}

pub fn items(product: ProductId, units: u32) -> Value {
    json!({ "items": [{ "productId": product, "quantity": units }] })
}

pub fn id(order: &Value) -> OrderId {
    order["id"].as_str().unwrap().parse().unwrap()
}

pub fn two(status: &str, payment_status: &str) -> (String, String) {
    (status.to_owned(), payment_status.to_owned())
}
