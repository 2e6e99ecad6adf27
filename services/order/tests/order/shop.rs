//! Test client: the order service over HTTP with in-memory stores of the other services. Contains no assertions of its own.

use std::sync::Arc;

use agora_chassis::{Process, Routers, WatchedFile, WatchedSecret};
use agora_order::{
    fakes::{Failpoint, InMemoryAddresses, InMemoryCarts, InMemoryCatalog, InMemoryOrders, InMemoryPayments},
    http,
    ports::{Catalog, OrderStore},
    service::{OrderService, Services},
};
use agora_testkit::{FixedClock, Request, TestApp, TestKeys, internal_token};
use agora_vocab::{Epoch, OrderId, ProductId, Role, UserId};
use agora_web::TokenVerifier;
use serde_json::{Value, json};
use time::macros::datetime;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::fixture::WINDOW;

const SECRET: &str = "an internal secret of sufficient length";

/// The other services.
#[derive(Clone)]
pub struct FakeServices {
    pub catalog: InMemoryCatalog,
    pub carts: InMemoryCarts,
    pub payments: InMemoryPayments,
    pub addresses: InMemoryAddresses,
}

/// One process of the order service.
pub struct Shop {
    pub service: OrderService,
    pub fakes: FakeServices,
    public: TestApp,
    internal: TestApp,
    keys: Arc<TestKeys>,
    pub ada: UserId,
}

impl FakeServices {
    pub fn new() -> Self {
        Self {
            catalog: InMemoryCatalog::new(Failpoint::never()),
            carts: InMemoryCarts::new(Failpoint::never()),
            payments: InMemoryPayments::new(Failpoint::never()),
            addresses: InMemoryAddresses::default(),
        }
    }
}

/// A shop on fakes alone, its orders and its clock.
pub fn in_memory() -> (Shop, Arc<InMemoryOrders>, FixedClock) {
    let clock = FixedClock::at(datetime!(2026-01-02 03:04:05 UTC));
    let orders = Arc::new(InMemoryOrders::new(Arc::new(clock.clone()), WINDOW, http::answer));
    (Shop::new(orders.clone(), FakeServices::new(), &Failpoint::never()), orders, clock)
}

impl Shop {
    /// A process that lives as long as `failpoint`.
    pub fn new(orders: Arc<dyn OrderStore>, fakes: FakeServices, failpoint: &Failpoint) -> Self {
        let ada = UserId::new(Process::for_test("order").ids().next());
        Self::with(orders, fakes, failpoint, (Arc::new(TestKeys::new()), ada))
    }

    /// Another process on the same fakes, for the same Ada.
    pub fn again(&self, orders: Arc<dyn OrderStore>, failpoint: &Failpoint) -> Self {
        Self::with(orders, self.fakes.clone(), failpoint, (self.keys.clone(), self.ada))
    }

    /// Another process that sees another catalog.
    pub fn again_with(&self, orders: Arc<dyn OrderStore>, catalog: Arc<dyn Catalog>) -> Self {
        let mut shop = self.again(orders, &Failpoint::never());
        shop.service.services.catalog = catalog;
        let process = Process::for_test("order");
        shop.public = TestApp::new(routers(&shop.service, &self.keys, &process).public);
        shop
    }

    fn with(
        orders: Arc<dyn OrderStore>,
        fakes: FakeServices,
        failpoint: &Failpoint,
        (keys, ada): (Arc<TestKeys>, UserId),
    ) -> Self {
        let process = Process::for_test("order");
        let service = OrderService {
            store: orders,
            services: Services {
                carts: Arc::new(fakes.carts.seen_by(failpoint.clone())),
                catalog: Arc::new(fakes.catalog.seen_by(failpoint.clone())),
                payments: Arc::new(fakes.payments.seen_by(failpoint.clone())),
                epoch: Epoch::default(),
            },
            addresses: Arc::new(fakes.addresses.clone()),
            ids: process.ids(),
            work: Arc::new(Notify::new()),
            answer: http::answer,
        };
        let routers = routers(&service, &keys, &process);
        let (public, internal) = (TestApp::new(routers.public), TestApp::new(routers.internal));
        Self { service, fakes, public, internal, keys, ada }
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
        let token = internal_token(SECRET, "payment", "order", None);
        self.internal.post(path, body).internal(&token).header("x-command-id", &Uuid::from_u128(7).to_string())
    }

    pub fn begin(&self, order: OrderId, payment: u128) -> Request {
        let body = json!({ "paymentId": Uuid::from_u128(payment), "userId": self.ada });
        self.command(&format!("/internal/v1/orders/{order}/begin-payment"), body)
    }

    pub fn result(&self, order: OrderId, payment: u128, (result, status): (u128, &str)) -> Request {
        let (payment, result) = (Uuid::from_u128(payment), Uuid::from_u128(result));
        let body = json!({ "paymentId": payment, "resultId": result, "status": status });
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

    /// Lets the worker work until it has nothing to do.
    pub async fn settle(&self) {
        while self.service.continue_sagas().await.unwrap() > 0 {}
    }
}

fn routers(service: &OrderService, keys: &TestKeys, process: &Process) -> Routers {
    let keys = WatchedFile::fixed(keys.jwks());
    let verifier = TokenVerifier::watch(keys, TestKeys::ISSUER, TestKeys::AUDIENCE, process);
    http::routers(service, verifier, WatchedSecret::fixed(SECRET))
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
