//! Erased users: what their orders show afterwards and keep, orders that are under way, and late or repeated events.

use std::time::Duration;

use agora_chassis::Process;
use agora_events::{
    Envelope,
    user::{Account, Erasure, Preferences, UserEvent},
};
use agora_redis::{Config, Redis};
use agora_vocab::{OrderId, ProductId};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::{
    event_consumer::envelope,
    shop::{Shop, id, items},
};

const LATEST: &str = "/api/v1/admin/reports/latest-orders";
const STARTED_MAX: Duration = Duration::from_secs(30);
/// What identifies Ada in her events, orders and returns.
const PERSONAL: [&str; 4] = ["ada@example.org", "ada lovelace", "ockham lane", "too bright"];

impl Shop {
    fn account(&self, seq: i64) -> Envelope {
        let (email, name) = ("ada@example.org".to_owned(), Some("Ada Lovelace".to_owned()));
        let preferences = Preferences::default();
        let account = Account { user_id: self.ada, email, name, preferences, blocked: false };
        let event = if seq == 1 { UserEvent::Registered(account) } else { UserEvent::Updated(account) };
        Envelope { seq, ..envelope(seq.unsigned_abs(), &event) }
    }

    fn erased(&self, seq: i64) -> Envelope {
        Envelope { seq, ..envelope(seq.unsigned_abs(), &UserEvent::Erased(Erasure { user_id: self.ada })) }
    }

    async fn as_admin(&self, path: &str) -> Value {
        self.app().get(path).with(&self.admin()).await.expect(200).body
    }

    async fn order_as_admin(&self, order: OrderId) -> Value {
        self.as_admin(&format!("/api/v1/orders/{order}")).await
    }

    async fn invoice_as_admin(&self, order: OrderId) -> String {
        let path = format!("/api/v1/orders/{order}/invoice");
        let page = self.app().get(&path).with(&self.admin()).await.expect(200);
        String::from_utf8(page.bytes).unwrap()
    }

    /// The user of the latest order in the report.
    async fn reported_user(&self) -> Value {
        self.as_admin(LATEST).await["items"][0]["user"].clone()
    }

    /// A paid order of Ada's that goes to her address.
    async fn paid_to_ada(&self, key: &str, product: ProductId) -> OrderId {
        let mut body = items(product, 2);
        body["payment"] = json!({ "method": "card", "token": "tok_ok" });
        id(&self.order(key, addressed(body)).await.expect(201).body)
    }

    async fn deliver_all(&self, order: OrderId, key: &str, product: ProductId) {
        let shipped = self.ship(order, key, &[(product, 2)]).await.expect(201).body;
        self.mark_delivered(order, &shipped["shipments"][0]).await.expect(200);
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut *self.store.db.acquire().await.unwrap()).await.unwrap();
    }

    /// The next look of the worker, without its pause.
    async fn next_look(&self) -> usize {
        self.execute("update customer set erase_at = now() where erase_at is not null").await;
        self.service.erase_ended_orders().await.unwrap()
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut *self.store.db.acquire().await.unwrap()).await.unwrap()
    }

    /// All rows of all tables as text, in lower case.
    async fn dump(&self) -> String {
        let tables = "select format('%I.%I', table_schema, table_name) from information_schema.tables
            where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')";
        let mut connection = self.store.db.acquire().await.unwrap();
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *connection).await.unwrap();
        let mut dump = String::new();
        for table in tables {
            let rows = AssertSqlSafe(format!("select t::text from {table} as t"));
            let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(&mut *connection).await.unwrap();
            dump.extend(rows.into_iter().map(|row| format!("{table}: {}\n", row.to_lowercase())));
        }
        dump
    }
}

fn addressed(mut body: Value) -> Value {
    body["shippingAddress"] = json!({
        "recipient": "Ada Lovelace", "street": "Ockham Lane 1", "postalCode": "10115", "city": "Berlin", "country": "DE"
    });
    body
}

/// The order without what may be erased.
fn accounts(mut order: Value) -> Value {
    order.as_object_mut().unwrap().remove("shippingAddress");
    for returned in order["returns"].as_array_mut().into_iter().flatten() {
        returned.as_object_mut().unwrap().remove("reason");
    }
    order
}

#[tokio::test]
async fn an_ended_order_of_an_erased_user_shows_no_person_and_keeps_its_accounts() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1190, 50);
    shop.add_tax(json!({ "country": "DE", "basisPoints": 1900 })).await.expect(201);
    shop.consume(vec![shop.account(1)]).await.unwrap();
    let order = shop.paid_to_ada("k", lamp).await;
    shop.deliver_all(order, "s", lamp).await;
    shop.send_back(order, "r", &[(lamp, 1)]).await.expect(201);
    shop.handle(order, 0, "accept").await.expect(200);
    shop.handle(order, 0, "scrap").await.expect(200);
    shop.settle().await;
    let before = shop.order_as_admin(order).await;
    assert_eq!(before["returns"][0]["status"], "refunded");
    let stored = shop.dump().await;
    for personal in PERSONAL {
        assert!(stored.contains(personal), "{personal} is not stored: the test shows nothing");
    }
    assert!(shop.invoice_as_admin(order).await.contains("Ockham Lane 1"));

    for _ in 0..2 {
        shop.consume(vec![shop.erased(2)]).await.unwrap();
    }
    let after = shop.order_as_admin(order).await;
    assert_eq!((&after["shippingAddress"], &after["returns"][0]["reason"]), (&Value::Null, &json!("")));
    assert_eq!(accounts(after.clone()), accounts(before), "number, amounts, tax and status stay");
    assert_eq!(after["tax"]["country"], "DE");
    assert_eq!(shop.as_admin("/api/v1/admin/orders").await["items"][0], after);
    assert_eq!(shop.reported_user().await, Value::Null);
    let invoice = shop.invoice_as_admin(order).await;
    assert!(invoice.contains("23.80 EUR") && invoice.contains(after["number"].as_str().unwrap()), "{invoice}");
    let left = format!("{}{}", shop.dump().await, invoice.to_lowercase());
    for personal in PERSONAL {
        assert!(!left.contains(personal), "{personal} is left");
    }
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn an_order_keeps_its_address_until_it_ends_and_then_loses_it() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1190, 50);
    shop.consume(vec![shop.account(1)]).await.unwrap();
    let paid = shop.paid_to_ada("paid", lamp).await;
    let unpaid = id(&shop.order("unpaid", addressed(items(lamp, 1))).await.expect(201).body);
    let returned = shop.paid_to_ada("returned", lamp).await;
    shop.deliver_all(returned, "returned", lamp).await;
    shop.send_back(returned, "return", &[(lamp, 1)]).await.expect(201);
    shop.consume(vec![shop.erased(2)]).await.unwrap();
    assert_eq!(shop.next_look().await, 0);
    for order in [paid, unpaid, returned] {
        let shown = shop.order_as_admin(order).await;
        assert_eq!(shown["shippingAddress"]["street"], "Ockham Lane 1", "{shown}");
    }
    assert_eq!(shop.reported_user().await, Value::Null, "name and address of the account are gone at once");
    assert!(!shop.dump().await.contains("ada@example.org"));

    shop.deliver_all(paid, "s", lamp).await;
    assert_eq!(shop.next_look().await, 1);
    assert_eq!(shop.order_as_admin(paid).await["shippingAddress"], Value::Null);
    let cancel = json!({ "status": "cancelled" });
    shop.app().patch(&format!("/api/v1/orders/{unpaid}"), cancel).with(&shop.admin()).await.expect(200);
    shop.handle(returned, 0, "reject").await.expect(200);
    shop.settle().await;
    assert_eq!(shop.next_look().await, 2);
    for order in [unpaid, returned] {
        assert_eq!(shop.order_as_admin(order).await["shippingAddress"], Value::Null);
    }
    assert_eq!(
        shop.count("select count(*) from customer where erase_at is null").await,
        0,
        "a request may be under way"
    );
    shop.execute("update customer set erased_at = now() - interval '2 hours'").await;
    assert_eq!(shop.next_look().await, 0);
    assert_eq!(shop.count("select count(*) from customer where erase_at is null").await, 1, "nothing is left to erase");
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn late_and_repeated_events_do_not_bring_an_erased_user_back() {
    let shop = Shop::open().await;
    let events = [shop.account(1), shop.account(2), shop.erased(3)];
    let backwards: Vec<Envelope> = events.iter().rev().cloned().collect();
    let replayed: Vec<Envelope> = events.iter().chain(&events).cloned().collect();
    for (what, deliveries) in [("in order", events.to_vec()), ("backwards", backwards), ("replayed", replayed)] {
        for at_once in [true, false] {
            let shop = Shop::open().await;
            let lamp = shop.fakes.catalog.offer(1190, 50);
            let order = shop.paid_to_ada("k", lamp).await;
            shop.deliver_all(order, "s", lamp).await;
            // The events name the user of this shop.
            let own = |envelope: &Envelope| match envelope.kind.as_str() {
                "user.erased" => shop.erased(envelope.seq),
                _ => shop.account(envelope.seq),
            };
            let own: Vec<Envelope> = deliveries.iter().map(own).collect();
            if at_once {
                shop.consume(own).await.unwrap();
            } else {
                for event in own {
                    shop.consume(vec![event]).await.unwrap();
                }
            }
            assert_eq!(shop.reported_user().await, Value::Null, "{what}, at once: {at_once}");
            assert_eq!(shop.order_as_admin(order).await["shippingAddress"], Value::Null, "{what}");
            assert_eq!(
                shop.count("select count(*) from customer where num_nonnulls(email, name) > 0").await,
                0,
                "{what}"
            );
            let left = shop.dump().await;
            assert!(!left.contains("ada lovelace") && !left.contains("ockham lane"), "{what}");
        }
    }
}

/// A restore of the user service's database brings the account back, under the next recovery epoch.
#[tokio::test]
async fn a_user_of_a_later_recovery_epoch_is_no_longer_erased() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1190, 50);
    shop.consume(vec![shop.account(1), shop.erased(2)]).await.unwrap();
    shop.consume(vec![Envelope { epoch: 1, ..shop.account(1) }, shop.erased(2)]).await.unwrap();
    let order = shop.paid_to_ada("k", lamp).await;
    shop.deliver_all(order, "s", lamp).await;
    assert_eq!(shop.next_look().await, 0);
    assert_eq!(shop.reported_user().await["email"], "ada@example.org");
    assert_eq!(shop.order_as_admin(order).await["shippingAddress"]["city"], "Berlin");
}

#[tokio::test]
async fn an_erased_user_orders_no_more_and_no_stored_answer_is_repeated_with_the_address() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1190, 50);
    let order = shop.paid_to_ada("k", lamp).await;
    let send = || shop.ship(order, "s", &[(lamp, 2)]);
    let shipped = send().await.expect(201).body;
    assert_eq!(send().await.expect(201).body, shipped, "a repetition shows the address, which is not stored with it");
    shop.mark_delivered(order, &shipped["shipments"][0]).await.expect(200);
    shop.consume(vec![shop.erased(1)]).await.unwrap();
    assert_eq!(send().await.expect(201).body["shippingAddress"], Value::Null);
    for key in ["k", "another"] {
        let refused = shop.order(key, addressed(items(lamp, 2))).await.expect(403).body;
        assert_eq!(refused["code"], "ACCOUNT_BLOCKED", "{refused}");
    }
    let ada = shop.ada.to_string();
    let stored: i64 = sqlx::query_scalar("select count(*) from idempotency where scope = $1")
        .bind(ada)
        .fetch_one(&mut *shop.store.db.acquire().await.unwrap())
        .await
        .unwrap();
    assert_eq!(stored, 0);
}

#[tokio::test]
async fn a_cached_order_is_shown_without_its_address_as_soon_as_it_is_erased() {
    let shop = Shop::open().await;
    let config = Config::fixed(&agora_testkit::redis().await, &shop.ada.to_string());
    let redis = Redis::connect(&config, &Process::for_test("order"));
    let answered = async {
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(STARTED_MAX, answered).await.unwrap();
    let cached = shop.with_cache(redis);
    let lamp = cached.fakes.catalog.offer(1190, 50);
    let order = cached.paid_to_ada("k", lamp).await;
    cached.deliver_all(order, "s", lamp).await;
    assert_eq!(cached.order_as_admin(order).await["shippingAddress"]["city"], "Berlin");
    cached.consume(vec![cached.erased(1)]).await.unwrap();
    assert_eq!(cached.order_as_admin(order).await["shippingAddress"], Value::Null);
}
