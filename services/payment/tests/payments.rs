//! Integration tests of the HTTP API on a real PostgreSQL, with the simulated provider and an in-memory order service.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "an unexpected value must fail the test")]

use std::{sync::Arc, time::Duration};

use agora_chassis::{Process, WatchedFile, WatchedSecret};
use agora_outbox::DedupKey;
use agora_payment::{
    MIGRATIONS, PgPayments,
    domain::{Initiator, Method},
    fakes::InMemoryOrders,
    ports::{Acquired, NewPayment, Payments as _, Provider as _},
    simulator::Simulator,
    usecases::PaymentService,
};
use agora_postgres::Db;
use agora_testkit::{SequentialIds, TestApp, TestDatabase, TestKeys};
use agora_vocab::{Currency, Epoch, Ids as _, Money, OrderId, PaymentId, Role, Secret, UserId};
use agora_web::{HttpLimits, TokenVerifier};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const DUE: i64 = 1000;

struct Shop {
    app: TestApp,
    internal: TestApp,
    service: PaymentService,
    store: PgPayments,
    orders: InMemoryOrders,
    db: Db,
    keys: TestKeys,
    ids: SequentialIds,
    user: UserId,
    _database: TestDatabase,
    _process: Process,
}

impl Shop {
    async fn open() -> Self {
        let database = agora_testkit::postgres().await;
        let db = Db::for_test(&database.url(), &MIGRATIONS).await;
        let (process, keys, ids) = (Process::for_test("payment"), TestKeys::new(), SequentialIds::new());
        let store = PgPayments::new(db.clone(), Arc::new(ids.clone()), Epoch(0));
        let orders = InMemoryOrders::default();
        let service = PaymentService {
            payments: Arc::new(store.clone()),
            provider: Some(Arc::new(Simulator::new(db.clone()))),
            orders: Arc::new(orders.clone()),
            ids: Arc::new(ids.clone()),
            epoch: Epoch(0),
            provider_timeout: Duration::from_millis(500),
        };
        let verifier =
            TokenVerifier::watch(WatchedFile::fixed(keys.jwks()), TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let limits = HttpLimits { verifier: Some(verifier), ..HttpLimits::default() };
        let internal = agora_web::internal(
            agora_payment::internal(service.clone()),
            WatchedSecret::fixed(SECRET),
            &agora_topology::PAYMENT,
        );
        Self {
            app: TestApp::new(agora_web::public_stack(agora_payment::public(service.clone()), limits)),
            internal: TestApp::new(internal),
            user: UserId::new(ids.next()),
            service,
            store,
            orders,
            db,
            keys,
            ids,
            _database: database,
            _process: process,
        }
    }

    fn order(&self) -> OrderId {
        let order = OrderId::new(self.ids.next());
        self.orders.set_due(order, eur(DUE));
        order
    }

    fn token(&self) -> String {
        self.keys.token(self.user, &[Role::Customer])
    }

    fn admin(&self) -> String {
        self.keys.token(UserId::new(Uuid::from_u128(7)), &[Role::Admin])
    }

    async fn post(&self, key: &str, body: Value) -> agora_testkit::TestResponse {
        self.app.post("/api/v1/payments", body).with(&self.token()).key(key).await
    }

    async fn captured(&self, order: OrderId) -> PaymentId {
        let paid = self.post(&order.to_string(), body(order, "tok_ok")).await.expect(201);
        paid.body["id"].as_str().unwrap().parse().unwrap()
    }

    async fn command(&self, path: &str, body: Value) -> agora_testkit::TestResponse {
        let token = agora_testkit::internal_token(SECRET, "order", "payment", None);
        self.internal.post(path, body).internal(&token).header("x-command-id", &self.ids.next().to_string()).await
    }

    async fn refund(&self, key: &str, body: Value) -> agora_testkit::TestResponse {
        self.app.post("/api/v1/payments/refund", body).with(&self.admin()).key(key).await
    }

    async fn number(&self, statement: &'static str) -> i64 {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query_scalar(statement).fetch_one(&mut *connection).await.unwrap()
    }

    async fn run(&self, statement: &'static str) -> Result<u64, sqlx::Error> {
        let mut tx = self.db.begin().await.unwrap();
        let rows = sqlx::query(statement).execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        Ok(rows)
    }

    /// Expires every lease.
    async fn expire_leases(&self) {
        self.run("update payment set leased_until = now() - interval '1 s'").await.unwrap();
        self.run("update payment_attempt set leased_until = now() - interval '1 s'").await.unwrap();
        self.run("update order_notice set due_at = now() - interval '1 s'").await.unwrap();
    }

    async fn charge_count(&self) -> i64 {
        self.number("select count(*) from simulator.operation where kind = 'charge' and outcome = 'succeeded'").await
    }

    async fn assert_ledger_balanced(&self) {
        assert_eq!(self.number("select coalesce(sum(amount_minor), 0)::bigint from ledger_entry").await, 0);
        let owed = self
            .number("select coalesce(-sum(amount_minor), 0)::bigint from ledger_entry where account = 'seller'")
            .await;
        let kept = self.number("select coalesce(sum(captured_minor - refunded_minor), 0)::bigint from payment").await;
        assert_eq!(owed, kept, "the sellers' balance must equal captures less refunds");
    }
}

fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

fn body(order: OrderId, token: &str) -> Value {
    json!({ "orderId": order, "method": "card", "token": token })
}

#[tokio::test]
async fn a_payment_is_captured_once_posted_to_the_ledger_and_reported_to_the_order() {
    let shop = Shop::open().await;
    let order = shop.order();
    let first = shop.post("k", body(order, "tok_ok")).await.expect(201);
    assert_eq!(
        (&first.body["status"], &first.body["orderStatus"], &first.body["amount"]["amount"]),
        (&json!("captured"), &json!("paid"), &json!(DUE))
    );
    assert_eq!(first.header("location"), format!("/api/v1/payments/{}", first.body["id"].as_str().unwrap()));
    let again = shop.post("k", body(order, "tok_ok")).await.expect(201);
    assert_eq!(first.bytes, again.bytes, "the same key gets the same answer, byte for byte");
    shop.post("k", body(order, "tok_declined")).await.expect(422);
    assert_eq!((shop.charge_count().await, shop.orders.results().len()), (1, 1));
    assert_eq!(shop.number("select count(*) from payment where token is not null").await, 0, "the token is deleted");
    shop.assert_ledger_balanced().await;
}

#[tokio::test]
async fn a_hundred_concurrent_requests_with_one_key_charge_once() {
    let shop = Shop::open().await;
    let order = shop.order();
    let answers = join_all((0..100).map(|_| shop.post("k", body(order, "tok_ok")))).await;
    assert!(
        answers.iter().all(|answer| matches!(answer.status, 201 | 409)),
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    assert!(answers.iter().filter(|answer| answer.status == 409).all(|answer| answer.header("retry-after") == "1"));
    assert_eq!((shop.charge_count().await, shop.number("select count(*) from payment").await), (1, 1));
    shop.post("k", body(order, "tok_ok")).await.expect(201);
}

#[tokio::test]
async fn a_decline_contains_the_order_id_and_is_replayed() {
    let shop = Shop::open().await;
    let order = shop.order();
    for token in ["tok_declined", "tok_insufficient_funds", "tok_unknown"] {
        let first = shop.post(token, body(order, token)).await.expect(402);
        assert_eq!(first.body["orderId"], json!(order));
        assert_eq!(shop.post(token, body(order, token)).await.expect(402).bytes, first.bytes);
    }
    assert_eq!(shop.charge_count().await, 0);
    assert!(
        shop.orders.results().iter().all(|callback| callback.status == "declined") && shop.orders.results().len() == 3
    );
}

#[tokio::test]
async fn a_provider_failure_returns_503_and_the_same_key_starts_the_next_attempt() {
    let shop = Shop::open().await;
    let order = shop.order();
    for n in 1..=3 {
        let failed = shop.post("k", body(order, "tok_error")).await.expect(503);
        assert_eq!((failed.header("retry-after"), &failed.body["code"]), ("5", &json!("PROVIDER_FAILED")));
        assert_eq!(shop.number("select max(n)::bigint from payment_attempt").await, n);
    }
    assert_eq!((shop.number("select count(*) from payment").await, shop.charge_count().await), (1, 0));
}

#[tokio::test]
async fn a_lost_provider_response_is_queried_and_never_charged_again() {
    let shop = Shop::open().await;
    let order = shop.order();
    let pending = shop.post("k", body(order, "tok_lost_answer")).await.expect(201);
    assert_eq!(pending.body["status"], "pending");
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    let captured = shop.post("k", body(order, "tok_lost_answer")).await.expect(201);
    assert_eq!((&captured.body["status"], &captured.body["id"]), (&json!("captured"), &pending.body["id"]));
    assert_eq!(shop.charge_count().await, 1);
    shop.assert_ledger_balanced().await;
}

#[tokio::test]
async fn a_charge_that_did_not_reach_the_provider_fails_and_is_never_executed_later() {
    let shop = Shop::open().await;
    let order = shop.order();
    shop.post("k", body(order, "tok_timeout")).await.expect(201);
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    assert_eq!(shop.number("select count(*) from payment where status = 'failed'").await, 1);
    assert_eq!(shop.number("select count(*) from simulator.operation where outcome = 'never'").await, 1);
    assert_eq!(shop.charge_count().await, 0);
}

#[tokio::test]
async fn an_order_rejection_is_returned_to_the_client_and_nothing_is_charged() {
    let shop = Shop::open().await;
    let order = shop.order();
    shop.post("a", body(OrderId::new(shop.ids.next()), "tok_ok")).await.expect(404);
    let wrong = json!({ "orderId": order, "method": "card", "amount": { "amount": 1, "currency": "EUR" } });
    assert_eq!(shop.post("b", wrong).await.expect(422).body["code"], "AMOUNT_MISMATCH");
    shop.orders.reject(Some((409, "INVALID_TRANSITION", None)));
    shop.post("c", body(order, "tok_ok")).await.expect(409);
    shop.orders.reject(Some((409, "PAYMENT_IN_PROGRESS", Some(1))));
    assert_eq!(shop.post("d", body(order, "tok_ok")).await.expect(409).header("retry-after"), "1");
    shop.orders.reject(None);
    assert_eq!(
        shop.post("c", body(order, "tok_ok")).await.expect(409).body["code"],
        "INVALID_TRANSITION",
        "a final response is replayed"
    );
    shop.post("d", body(order, "tok_ok")).await.expect(201);
    assert_eq!(
        (shop.charge_count().await, shop.orders.results().len()),
        (1, 1),
        "only the last request reaches the provider"
    );
}

#[tokio::test]
async fn nothing_is_charged_while_the_order_service_is_unavailable() {
    let shop = Shop::open().await;
    let order = shop.order();
    shop.orders.set_unavailable(true);
    assert_eq!(shop.post("k", body(order, "tok_ok")).await.expect(503).header("retry-after"), "1");
    assert_eq!(shop.charge_count().await, 0);
    shop.orders.set_unavailable(false);
    shop.post("k", body(order, "tok_ok")).await.expect(201);
    assert_eq!((shop.charge_count().await, shop.number("select count(*) from payment").await), (1, 1));
}

#[tokio::test]
async fn the_worker_continues_a_payment_after_a_crash_at_any_step() {
    let shop = Shop::open().await;
    for steps in 0..3 {
        let order = shop.order();
        let id = PaymentId::new(shop.ids.next());
        let new = NewPayment {
            id,
            order,
            user: shop.user,
            initiator: Initiator::Shopper,
            amount: None,
            method: Method::Card,
            token: Some(Secret::new("tok_ok")),
        };
        let dedup_key =
            DedupKey::Request { scope: shop.user.to_string(), key: id.to_string(), route: "r".into(), hash: [0; 32] };
        assert!(matches!(shop.store.create(&new, &dedup_key).await.unwrap(), Acquired::Payment(_)));
        if steps > 0 {
            shop.store.prepare_capture(id, Some(eur(DUE))).await.unwrap();
        }
        if steps > 1 {
            let key = format!("0:{id}:capture:1");
            Simulator::new(shop.db.clone()).charge(&key, eur(DUE), &Secret::new("tok_ok")).await.unwrap();
        }
        shop.expire_leases().await;
        shop.service.recover_once().await.unwrap();
        shop.expire_leases().await;
        shop.service.recover_once().await.unwrap();
        let payment = shop.store.find(id).await.unwrap().unwrap();
        // After a crash between storing and sending the attempt, the provider does not know the key: the charge has
        // failed.
        assert_eq!(payment.status.as_str(), if steps == 1 { "failed" } else { "captured" }, "after {steps} steps");
        assert!(
            shop.orders.results().iter().any(|callback| callback.payment == id),
            "the result is reported after {steps} steps"
        );
    }
    assert_eq!((shop.charge_count().await, shop.number("select count(*) from order_notice").await), (2, 0));
    shop.assert_ledger_balanced().await;
}

#[tokio::test]
async fn concurrent_refunds_never_exceed_the_captured_amount() {
    let shop = Shop::open().await;
    let id = shop.captured(shop.order()).await;
    let amount = json!({ "amount": 300, "currency": "EUR" });
    let keys: Vec<String> = (0..10).map(|n| format!("refund-{n}")).collect();
    let answers = join_all(keys.iter().map(|key| shop.refund(key, json!({ "paymentId": id, "amount": amount })))).await;
    let succeeded = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(succeeded, 3, "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    assert!(
        answers
            .iter()
            .filter(|a| a.status != 201)
            .all(|a| a.status == 422 && a.body["code"] == "REFUND_EXCEEDS_CAPTURED")
    );
    let rest = shop.refund("rest", json!({ "paymentId": id })).await.expect(201);
    assert_eq!((&rest.body["amount"]["amount"], &rest.body["status"]), (&json!(100), &json!("succeeded")));
    assert_eq!(shop.refund("rest", json!({ "paymentId": id })).await.expect(201).bytes, rest.bytes);
    assert_eq!(shop.app.get(&format!("/api/v1/payments/{id}")).with(&shop.admin()).await.body["status"], "refunded");
    shop.refund("more", json!({ "paymentId": id })).await.expect(422);
    shop.assert_ledger_balanced().await;
}

#[tokio::test]
async fn commands_of_the_order_are_idempotent() {
    let shop = Shop::open().await;
    let (order, id) = (shop.order(), PaymentId::new(shop.ids.next()));
    let pay = json!({ "paymentId": id, "orderId": order, "userId": shop.user, "total": eur(DUE), "method": "card", "token": "tok_ok" });
    let reference = json!({ "paymentId": id, "orderId": order, "userId": shop.user, "total": eur(DUE) });
    let first = shop.command("/internal/v1/pay", pay.clone()).await.expect(200);
    assert_eq!(first.body["status"], "captured");
    assert_eq!(shop.command("/internal/v1/pay", pay).await.expect(200).bytes, first.bytes);
    assert_eq!(shop.command("/internal/v1/settle", reference.clone()).await.expect(200).bytes, first.bytes);
    assert_eq!(
        shop.command("/internal/v1/void", reference).await.expect(200).body["status"],
        "captured",
        "a captured payment cannot be voided"
    );
    for _ in 0..2 {
        let refunded =
            shop.command("/internal/v1/refund", json!({ "paymentId": id, "orderId": order })).await.expect(200);
        assert_eq!(refunded.body["status"], "refunded");
    }
    assert_eq!((shop.charge_count().await, shop.number("select count(*) from ledger_txn").await), (1, 2));
    shop.assert_ledger_balanced().await;
}

#[tokio::test]
async fn a_payment_voided_before_it_is_created_is_never_charged() {
    let shop = Shop::open().await;
    for undo in ["/internal/v1/settle", "/internal/v1/void"] {
        let (order, id) = (shop.order(), PaymentId::new(shop.ids.next()));
        let reference = json!({ "paymentId": id, "orderId": order, "userId": shop.user, "total": eur(DUE) });
        assert_eq!(shop.command(undo, reference).await.expect(200).body["status"], "voided", "{undo}");
        let pay = json!({ "paymentId": id, "orderId": order, "userId": shop.user, "total": eur(DUE), "method": "card", "token": "tok_ok" });
        assert_eq!(shop.command("/internal/v1/pay", pay).await.expect(409).body["code"], "CANCELLED", "{undo}");
    }
    assert_eq!(shop.charge_count().await, 0);
}

#[tokio::test]
async fn invalid_input_is_rejected_by_field_and_nothing_is_stored() {
    let shop = Shop::open().await;
    let order = shop.order();
    let cases: [(Value, u16, &str); 7] = [
        (json!({ "orderId": order, "method": "cash" }), 422, "method"),
        (json!({ "orderId": order, "method": "card", "token": "" }), 422, "token"),
        (json!({ "orderId": order, "method": "card", "token": "4242 4242 4242 4242" }), 422, "token"),
        (json!({ "orderId": order, "method": "card", "amount": { "amount": 0, "currency": "EUR" } }), 422, "amount"),
        (
            json!({ "orderId": order, "method": "card", "amount": { "amount": 1.5, "currency": "EUR" } }),
            422,
            "amount.amount",
        ),
        (json!({ "orderId": "x", "method": "card" }), 422, "orderId"),
        (json!({ "orderId": order, "method": "card", "status": "captured" }), 422, "status"),
    ];
    for (body, status, field) in cases {
        let answer = shop.post("k", body.clone()).await.expect(status);
        assert!(
            answer.body["details"].as_array().unwrap().iter().any(|detail| detail["field"] == field),
            "{body}: {}",
            answer.body
        );
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("4242"), "a response never contains a card number");
    }
    shop.app.post("/api/v1/payments", body(order, "tok_ok")).with(&shop.token()).await.expect(400);
    shop.app.post("/api/v1/payments", body(order, "tok_ok")).key("k").await.expect(401);
    assert_eq!(shop.number("select count(*) from payment").await, 0);
}

#[tokio::test]
async fn payments_of_other_users_return_404_and_refunds_require_an_admin() {
    let shop = Shop::open().await;
    let id = shop.captured(shop.order()).await;
    let (path, stranger) =
        (format!("/api/v1/payments/{id}"), shop.keys.token(UserId::new(Uuid::from_u128(99)), &[Role::Customer]));
    shop.app.get(&path).with(&stranger).await.expect(404);
    shop.app.get(&path).with(&shop.admin()).await.expect(200);
    assert_eq!(shop.app.get(&path).with(&shop.token()).await.expect(200).body["status"], "captured");
    assert_eq!(shop.app.get("/api/v1/payments").with(&stranger).await.expect(200).body["items"], json!([]));
    shop.app.post("/api/v1/payments/refund", json!({ "paymentId": id })).with(&shop.token()).key("r").await.expect(403);
    let unsigned = shop.internal.post("/internal/v1/refund", json!({ "paymentId": id, "orderId": id })).await;
    unsigned.expect(401);
}

#[tokio::test]
async fn a_list_is_paged_newest_first_without_gaps() {
    let shop = Shop::open().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(shop.captured(shop.order()).await.to_string());
    }
    made.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shop.app.get(&format!("/api/v1/payments?limit=2{cursor}")).with(&shop.token()).await.expect(200);
        seen.extend(page.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page.body["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made);
    shop.app.get("/api/v1/payments?limit=101").with(&shop.token()).await.expect(422);
}

#[tokio::test]
async fn the_ledger_balances_and_is_append_only_even_for_its_owner() {
    let shop = Shop::open().await;
    shop.captured(shop.order()).await;
    for statement in [
        "update ledger_entry set amount_minor = 1",
        "delete from ledger_entry",
        "truncate ledger_entry",
        "delete from ledger_txn",
        "update payment_log set log_message = ''",
        "insert into ledger_entry (txn_id, account, seller_id, currency, amount_minor)
             select id, 'provider', '00000000-0000-0000-0000-000000000001', 'EUR', 1 from ledger_txn",
    ] {
        assert!(shop.run(statement).await.is_err(), "{statement}");
    }
    shop.assert_ledger_balanced().await;
}

#[tokio::test]
async fn events_in_the_outbox_have_consecutive_sequence_numbers() {
    let shop = Shop::open().await;
    let order = shop.order();
    shop.post("k", body(order, "tok_error")).await.expect(503);
    shop.post("k", body(order, "tok_error")).await.expect(503);
    let mut connection = shop.db.acquire().await.unwrap();
    let rows: Vec<(i64, String)> =
        sqlx::query_as("select seq::bigint, kind from outbox order by id").fetch_all(&mut *connection).await.unwrap();
    assert_eq!(rows, [(1, "payment.failed".to_owned()), (2, "payment.failed".to_owned())]);
}
