//! A payment service on a real PostgreSQL, with the simulated provider and an in-memory order service.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Process, WatchedFile, WatchedSecret};
use agora_payment::{
    EnvelopeCipher, MIGRATIONS, PgPayments, Simulator,
    domain::{CaptureMethod, Initiator, Method},
    ports::{Challenges, NewCharge, NewPayment, Provider, TokenCipher, Webhooks},
    service::PaymentService,
};
use agora_postgres::Db;
use agora_testkit::{SequentialIds, TestApp, TestKeys};
use agora_vocab::{Currency, Epoch, Ids as _, Money, OrderId, PaymentId, Role, Secret, UserId};
use agora_web::{PortSettings, TokenVerifier};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::in_memory_orders::InMemoryOrders;

pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub const DUE: i64 = 1000;
/// 32 bytes in Base64.
pub const ENCRYPTION_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// No test waits for it: the simulated provider reports a lost response at once. Long enough for a busy machine.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Shop {
    pub app: TestApp,
    pub internal: TestApp,
    pub service: PaymentService,
    pub store: PgPayments,
    pub orders: InMemoryOrders,
    pub db: Db,
    pub keys: TestKeys,
    pub ids: SequentialIds,
    pub user: UserId,
    _process: Process,
}

/// The adapters of a payment provider.
pub struct Adapters {
    pub provider: Arc<dyn Provider>,
    pub webhooks: Option<Arc<dyn Webhooks>>,
    pub challenges: Option<Arc<dyn Challenges>>,
    /// Deadline of one call to the provider.
    pub timeout: Duration,
}

impl Shop {
    /// A shop with the simulated provider.
    pub async fn open() -> Self {
        Self::with(|db| {
            let simulator = Arc::new(Simulator::new(db.clone()));
            let challenges: Option<Arc<dyn Challenges>> = Some(simulator.clone());
            Adapters { provider: simulator, webhooks: None, challenges, timeout: PROVIDER_TIMEOUT }
        })
        .await
    }

    /// A shop with another provider.
    pub async fn with(adapters: impl FnOnce(&Db) -> Adapters) -> Self {
        let database = agora_testkit::migrated_postgres(&MIGRATIONS).await;
        let db = Db::for_test(&database.url(), &MIGRATIONS).await;
        let (process, keys, ids) = (Process::for_test("payment"), TestKeys::new(), SequentialIds::new());
        let store = PgPayments::new(db.clone(), Arc::new(ids.clone()), Epoch(0));
        let orders = InMemoryOrders::default();
        let Adapters { provider, webhooks, challenges, timeout } = adapters(&db);
        let service = PaymentService {
            store: Arc::new(store.clone()),
            provider: Some(provider),
            webhooks,
            challenges,
            cipher: Arc::new(cipher()),
            orders: Arc::new(orders.clone()),
            ids: Arc::new(ids.clone()),
            provider_timeout: timeout,
        };
        let verifier =
            TokenVerifier::watch(WatchedFile::fixed(keys.jwks()), TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let settings = PortSettings { verifier: Some(verifier), ..PortSettings::of(&process) };
        let internal = agora_web::internal(
            agora_payment::internal(service.clone()),
            WatchedSecret::fixed(SECRET),
            &agora_topology::PAYMENT,
            PortSettings::of(&process),
        );
        Self {
            app: TestApp::of("payment", agora_web::public_stack(agora_payment::public(service.clone()), settings)),
            internal: TestApp::of("payment", internal),
            user: UserId::new(ids.next()),
            service,
            store,
            orders,
            db,
            keys,
            ids,
            _process: process,
        }
    }

    pub fn order(&self) -> OrderId {
        let order = OrderId::new(self.ids.next());
        self.orders.set_due(order, eur(DUE));
        order
    }

    pub fn token(&self) -> String {
        self.keys.token(self.user, &[Role::Customer])
    }

    pub fn admin(&self) -> String {
        self.keys.token(UserId::new(Uuid::from_u128(7)), &[Role::Admin])
    }

    pub async fn post(&self, key: &str, body: Value) -> agora_testkit::TestResponse {
        self.app.post("/api/v1/payments", body).with(&self.token()).key(key).await
    }

    pub async fn captured(&self, order: OrderId) -> PaymentId {
        let paid = self.post(&order.to_string(), body(order, "tok_ok")).await.expect(201);
        paid.body["id"].as_str().unwrap().parse().unwrap()
    }

    pub async fn command(&self, path: &str, body: Value) -> agora_testkit::TestResponse {
        let subject = serde_json::from_value(body["userId"].clone()).ok();
        let token = agora_testkit::internal_token(SECRET, "order", "payment", subject);
        self.internal.post(path, body).internal(&token).header("x-command-id", &self.ids.next().to_string()).await
    }

    /// A payment that is authorised and not captured.
    pub async fn authorised(&self, order: OrderId) -> PaymentId {
        let held = json!({ "orderId": order, "method": "card", "token": "tok_ok", "captureMethod": "manual" });
        let answer = self.post(&order.to_string(), held).await.expect(201);
        assert_eq!(answer.body["status"], "authorised");
        answer.body["id"].as_str().unwrap().parse().unwrap()
    }

    /// An operation of an admin on a payment.
    pub async fn operate(&self, id: PaymentId, operation: &str, body: Value) -> agora_testkit::TestResponse {
        self.app.post(&format!("/api/v1/payments/{id}/{operation}"), body).with(&self.admin()).await
    }

    /// The payment as an admin reads it.
    pub async fn read(&self, id: PaymentId) -> Value {
        self.app.get(&format!("/api/v1/payments/{id}")).with(&self.admin()).await.expect(200).body
    }

    pub async fn refund(&self, key: &str, body: Value) -> agora_testkit::TestResponse {
        self.app.post("/api/v1/payments/refund", body).with(&self.admin()).key(key).await
    }

    pub async fn number(&self, statement: &'static str) -> i64 {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query_scalar(statement).fetch_one(&mut *connection).await.unwrap()
    }

    pub async fn run(&self, statement: &'static str) -> Result<u64, sqlx::Error> {
        let mut tx = self.db.begin().await.unwrap();
        let rows = sqlx::query(statement).execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        Ok(rows)
    }

    /// Expires every lease.
    pub async fn expire_leases(&self) {
        self.run("update payment set leased_until = now() - interval '1 s'").await.unwrap();
        self.run("update refund_attempt set leased_until = now() - interval '1 s'").await.unwrap();
        self.run("update pending_order_callback set due_at = now() - interval '1 s'").await.unwrap();
    }

    /// A payment that the order or a shopper starts.
    pub fn new_payment(&self, initiator: Initiator) -> NewPayment {
        let order = self.order();
        let token = Some(cipher().seal(order, &Secret::new("tok_ok")).unwrap());
        NewPayment {
            id: PaymentId::new(self.ids.next()),
            order,
            user: self.user,
            initiator,
            amount: (initiator == Initiator::Order).then(|| eur(DUE)),
            method: Method::Card,
            capture_method: CaptureMethod::Automatic,
            token,
        }
    }

    /// The body of the order's command to pay `new`.
    pub fn pay_command(new: &NewPayment) -> Value {
        json!({
            "paymentId": new.id, "orderId": new.order, "userId": new.user, "total": eur(DUE), "method": "card", "token": "tok_ok"
        })
    }

    pub async fn charge_count(&self) -> i64 {
        self.number("select count(*) from simulator.operation where kind = 'charge' and outcome = 'succeeded'").await
    }

    pub async fn assert_ledger_matches_payments(&self) {
        let owed = self
            .number("select coalesce(-sum(amount_minor), 0)::bigint from ledger_entry where account = 'seller'")
            .await;
        let kept = self.number("select coalesce(sum(captured_minor - refunded_minor), 0)::bigint from payment").await;
        assert_eq!(owed, kept, "the sellers' balance must equal captures less refunds");
        let sum = self.number("select coalesce(sum(amount_minor), 0)::bigint from ledger_entry").await;
        assert_eq!(sum, 0, "the ledger must balance");
    }
}

/// The cipher of every shop.
pub fn cipher() -> impl TokenCipher {
    EnvelopeCipher::new(WatchedSecret::fixed(ENCRYPTION_KEY), None)
}

/// The first charge of a payment, as the service sends it.
pub fn first_charge(new: &NewPayment) -> NewCharge {
    NewCharge {
        key: format!("0:{}:capture:1", new.id),
        amount: eur(DUE),
        token: Secret::new("tok_ok"),
        capture_method: CaptureMethod::Automatic,
        payment: new.id,
        order: new.order,
    }
}

pub fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

pub fn body(order: OrderId, token: &str) -> Value {
    json!({ "orderId": order, "method": "card", "token": token })
}
