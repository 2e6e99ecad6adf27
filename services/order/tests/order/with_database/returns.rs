//! Tests of returns: which units can be sent back, the refund and the stock that follow, concurrent requests and crashes.

use agora_testkit::{Request, TestResponse};
use agora_vocab::{OrderId, PaymentId, ProductId, UserId};
use futures::future::join_all;
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use super::shop::Shop;
use crate::fakes::Failpoint;

/// Calls of the worker's process that a crash can precede or follow while it finishes a return, and some more.
const PASSES_MAX: i64 = 24;

impl Shop {
    /// A completed order of Ada's.
    pub async fn delivered(&self, key: &str, lines: &[(ProductId, u32)]) -> OrderId {
        let order = self.paid(key, lines).await;
        let shipped = self.ship(order, key, lines).await.expect(201).body;
        self.mark_delivered(order, &shipped["shipments"][0]).await.expect(200);
        order
    }

    pub fn send_back(&self, order: OrderId, key: &str, lines: &[(ProductId, u32)]) -> Request {
        let lines = lines.iter().map(|(product, units)| json!({ "productId": product, "quantity": units }));
        let body = json!({ "items": lines.collect::<Vec<_>>(), "reason": "It is too bright" });
        self.app().post(&format!("/api/v1/orders/{order}/returns"), body).with(&self.token(self.ada)).key(key)
    }

    /// What an admin does with the return at an index.
    pub async fn handle(&self, order: OrderId, index: usize, verb: &str) -> TestResponse {
        let id = self.read(order).await["returns"][index]["id"].as_str().unwrap().to_owned();
        let (verb, body) = match verb {
            "resell" => ("receive", json!({ "resellable": true })),
            "scrap" => ("receive", json!({ "resellable": false })),
            verb => (verb, Value::Null),
        };
        self.app().post(&format!("/api/v1/orders/{order}/returns/{id}/{verb}"), body).with(&self.admin()).await
    }

    pub async fn payment_of(&self, order: OrderId) -> PaymentId {
        self.read(order).await["paymentId"].as_str().unwrap().parse().unwrap()
    }
}

#[tokio::test]
async fn returned_units_are_refunded_at_their_price_and_go_into_stock_if_they_are_sold_again() {
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(1999, 50), shop.fakes.catalog.offer(300, 50));
    let order = shop.delivered("k", &[(lamp, 3), (chair, 2)]).await;
    let requested = shop.send_back(order, "r", &[(chair, 1), (lamp, 2)]).await.expect(201).body;
    let returned = &requested["returns"][0];
    assert_eq!((&returned["status"], &returned["reason"]), (&json!("requested"), &json!("It is too bright")));
    assert_eq!(returned["amount"], json!({ "amount": 2 * 1999 + 300, "currency": "EUR" }));
    assert_eq!(returned["items"][0], json!({ "productId": lamp, "variant": "", "quantity": 2 }));
    assert_eq!(shop.handle(order, 0, "accept").await.expect(200).body["returns"][0]["status"], "accepted");
    shop.settle().await;
    let payment = shop.payment_of(order).await;
    assert_eq!((shop.fakes.payments.parts(payment), shop.fakes.catalog.available(lamp)), (vec![], 47));

    let received = shop.handle(order, 0, "resell").await.expect(200).body;
    assert_eq!(
        (&received["returns"][0]["status"], &received["returns"][0]["resellable"]),
        (&json!("received"), &json!(true))
    );
    shop.settle().await;
    assert_eq!(shop.fakes.payments.parts(payment), [2 * 1999 + 300]);
    assert_eq!((shop.fakes.catalog.available(lamp), shop.fakes.catalog.available(chair)), (49, 49));
    let read = shop.read(order).await;
    assert_eq!((&read["returns"][0]["status"], &read["status"]), (&json!("refunded"), &json!("completed")));

    shop.send_back(order, "s", &[(lamp, 1)]).await.expect(201);
    shop.handle(order, 1, "accept").await.expect(200);
    shop.handle(order, 1, "scrap").await.expect(200);
    shop.settle().await;
    assert_eq!(shop.handle(order, 1, "resell").await.expect(409).body["returnStatus"], "refunded");
    assert_eq!(shop.handle(order, 1, "scrap").await.expect(200).body["returns"][1]["status"], "refunded");
    shop.settle().await;
    let mut parts = shop.fakes.payments.parts(payment);
    parts.sort_unstable();
    assert_eq!(
        (parts, shop.fakes.catalog.available(lamp)),
        (vec![1999, 2 * 1999 + 300], 49),
        "a broken lamp is not sold"
    );
    let kinds = shop.kinds(order).await;
    let of_returns: Vec<_> = kinds.iter().filter(|kind| kind.starts_with("return.")).map(String::as_str).collect();
    let life = ["return.requested", "return.accepted", "return.received", "return.refunded"];
    assert_eq!(of_returns, [life, life].concat());
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn only_delivered_units_are_returned_within_the_window_and_once() {
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(100, 50), shop.fakes.catalog.offer(300, 50));
    let order = shop.paid("k", &[(lamp, 3), (chair, 1)]).await;
    assert_eq!(shop.send_back(order, "a", &[(lamp, 1)]).await.expect(409).body["code"], "INVALID_TRANSITION");
    let shipped = shop.ship(order, "1", &[(lamp, 2)]).await.expect(201).body;
    let none = shop.send_back(order, "b", &[(lamp, 1)]).await.expect(409).body;
    assert_eq!((&none["code"], &none["returnable"]), (&json!("NOT_RETURNABLE"), &json!(0)), "{none}");
    shop.mark_delivered(order, &shipped["shipments"][0]).await.expect(200);
    shop.send_back(order, "c", &[(lamp, 3)]).await.expect(409);
    shop.send_back(order, "d", &[(lamp, 1), (chair, 1)]).await.expect(409);
    shop.send_back(order, "e", &[(lamp, 2)]).await.expect(201);
    shop.send_back(order, "f", &[(lamp, 1)]).await.expect(409);
    assert_eq!(shop.handle(order, 0, "reject").await.expect(200).body["returns"][0]["status"], "rejected");
    shop.send_back(order, "g", &[(lamp, 1)]).await.expect(201);
    shop.assert_orders_verify().await;
    let late = "update shipment set delivered_at = delivered_at - interval '31 days'";
    sqlx::query(late).execute(&mut *shop.store.db.acquire().await.unwrap()).await.unwrap();
    assert_eq!(shop.send_back(order, "h", &[(lamp, 1)]).await.expect(409).body["code"], "NOT_RETURNABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_never_return_more_units_than_were_delivered_and_refund_each_once() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    let order = shop.delivered("k", &[(lamp, 3)]).await;
    let requests = (0..30).map(|n| {
        let shop = &shop;
        async move { shop.send_back(order, &format!("r{n}"), &[(lamp, 1)]).await.status }
    });
    let made = join_all(requests).await.into_iter().filter(|status| *status == 201).count();
    assert_eq!(made, 3);
    for index in 0..3 {
        let accepted = join_all((0..5).map(|_| shop.handle(order, index, "accept"))).await;
        let received = join_all((0..5).map(|_| shop.handle(order, index, "resell"))).await;
        assert!(accepted.iter().chain(&received).all(|answer| answer.status == 200));
    }
    join_all((0..5).map(|_| shop.settle())).await;
    let payment = shop.payment_of(order).await;
    assert_eq!((shop.fakes.payments.parts(payment), shop.fakes.catalog.available(lamp)), (vec![100, 100, 100], 50));
    let units = "select count(*) from order_item_shipped where returned <= delivered and returned = 3";
    let mut connection = shop.store.db.acquire().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(units).fetch_one(&mut *connection).await.unwrap(), 1);
    let more = sqlx::query("update order_item_shipped set returned = 4").execute(&mut *connection).await.unwrap_err();
    assert_eq!(agora_postgres::constraint(&more), Some("order_item_returned_at_most_delivered"));
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn a_return_survives_a_crash_before_and_after_every_call() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 1000);
    for passes in 1..=PASSES_MAX {
        let key = passes.to_string();
        let order = shop.delivered(&key, &[(lamp, 1)]).await;
        shop.send_back(order, &format!("r{key}"), &[(lamp, 1)]).await.expect(201);
        shop.handle(order, 0, "accept").await.expect(200);
        shop.handle(order, 0, "resell").await.expect(200);
        let failpoint = Failpoint::after(passes);
        let crashing = shop.crashing(&failpoint);
        while crashing.service.continue_sagas().await.is_ok_and(|continued| continued > 0) {}
        shop.store.pass(Duration::seconds(16)).await;
        shop.settle().await;
        let payment = shop.payment_of(order).await;
        assert_eq!(shop.fakes.payments.parts(payment), [100], "after {passes} passes");
        assert_eq!(shop.fakes.catalog.available(lamp), 1000, "after {passes} passes");
        assert_eq!(shop.read(order).await["returns"][0]["status"], "refunded");
        assert!(passes < PASSES_MAX || !failpoint.crashed(), "{PASSES_MAX} passes are enough");
    }
}

#[tokio::test]
async fn returns_belong_to_the_owner_and_follow_their_states() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    let order = shop.delivered("k", &[(lamp, 2)]).await;
    let path = format!("/api/v1/orders/{order}/returns");
    let body = json!({ "items": [{ "productId": lamp, "quantity": 1 }], "reason": "x" });
    let eve = shop.token(UserId::new(Uuid::from_u128(66)));
    shop.app().post(&path, body.clone()).with(&eve).key("r").await.expect(404);
    shop.app().post(&path, body.clone()).with(&shop.token(shop.ada)).await.expect(400);
    let mut blank = body;
    blank["reason"] = json!("");
    let wrong = shop.app().post(&path, blank).with(&shop.token(shop.ada)).key("r").await.expect(422).body;
    assert_eq!(wrong["details"][0]["field"], "reason", "{wrong}");
    let first = shop.send_back(order, "r", &[(lamp, 1)]).await.expect(201).body;
    assert_eq!(shop.send_back(order, "r", &[(lamp, 1)]).await.expect(201).body, first);
    let accept = format!("{path}/{}/accept", first["returns"][0]["id"].as_str().unwrap());
    shop.app().post(&accept, Value::Null).with(&shop.token(shop.ada)).await.expect(403);
    shop.app()
        .post(&format!("{path}/{}/accept", Uuid::from_u128(404)), Value::Null)
        .with(&shop.admin())
        .await
        .expect(404);
    let refused = shop.handle(order, 0, "resell").await.expect(409).body;
    assert_eq!((&refused["code"], &refused["returnStatus"]), (&json!("INVALID_TRANSITION"), &json!("requested")));
    shop.handle(order, 0, "reject").await.expect(200);
    shop.handle(order, 0, "reject").await.expect(200);
    shop.handle(order, 0, "accept").await.expect(409);
    shop.settle().await;
    assert_eq!(shop.fakes.payments.parts(shop.payment_of(order).await), Vec::<i64>::new());
}
