//! Tests of shipments: their units, the status of their order, and concurrent requests.

use agora_order::verification;
use agora_testkit::Request;
use agora_vocab::{OrderId, ProductId, SellerId};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use super::shop::{Shop, id};

impl Shop {
    /// A paid order of Ada's.
    pub async fn paid(&self, key: &str, lines: &[(ProductId, u32)]) -> OrderId {
        let lines = lines.iter().map(|(product, units)| json!({ "productId": product, "quantity": units }));
        let body = json!({
            "items": lines.collect::<Vec<_>>(), "payment": { "method": "card", "token": "tok_ok" }
        });
        id(&self.order(key, body).await.expect(201).body)
    }

    pub fn ship(&self, order: OrderId, key: &str, lines: &[(ProductId, u32)]) -> Request {
        let lines = lines.iter().map(|(product, units)| json!({ "productId": product, "quantity": units }));
        let body = json!({ "items": lines.collect::<Vec<_>>(), "carrier": "Parcel Post", "trackingNumber": "PP 12" });
        self.app().post(&format!("/api/v1/orders/{order}/shipments"), body).with(&self.admin()).key(key)
    }

    pub fn mark_delivered(&self, order: OrderId, shipment: &Value) -> Request {
        let path = format!("/api/v1/orders/{order}/shipments/{}/deliver", shipment["id"].as_str().unwrap());
        self.app().post(&path, Value::Null).with(&self.admin())
    }

    pub async fn read(&self, order: OrderId) -> Value {
        self.get(&format!("/api/v1/orders/{order}")).await.expect(200).body
    }

    pub async fn kinds(&self, order: OrderId) -> Vec<String> {
        self.store.events(order).await.into_iter().map(|(_, kind)| kind).collect()
    }

    pub async fn assert_orders_verify(&self) {
        self.assert_histories_agree().await;
        let found = verification(self.store.db.clone()).verify(|_| ()).await.unwrap();
        assert_eq!((found.differing, found.listed), (0, vec![]));
    }
}

#[tokio::test]
async fn a_shipment_of_all_units_ships_the_order_and_its_delivery_completes_it() {
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(100, 50), shop.fakes.catalog.offer(300, 50));
    let order = shop.paid("k", &[(lamp, 2), (chair, 1)]).await;
    let answer = shop.ship(order, "s", &[(chair, 1), (lamp, 2)]).await.expect(201);
    let shipped = &answer.body;
    assert_eq!(answer.header("location"), format!("/api/v1/orders/{order}"));
    assert_eq!(shipped["status"], "shipped", "{shipped}");
    let shipment = &shipped["shipments"][0];
    assert_eq!((&shipment["carrier"], &shipment["trackingNumber"]), (&json!("Parcel Post"), &json!("PP 12")));
    assert_eq!((&shipment["status"], &shipment["deliveredAt"]), (&json!("shipped"), &Value::Null));
    assert_eq!(shipment["sellerId"], json!(SellerId::HOUSE));
    let items = json!([
        { "productId": lamp, "variant": "", "quantity": 2 }, { "productId": chair, "variant": "", "quantity": 1 }
    ]);
    assert_eq!(shipment["items"], items);
    assert_eq!(&shop.read(order).await, shipped, "the owner sees it");
    assert_eq!(shop.get("/api/v1/orders").await.expect(200).body["items"][0], *shipped);

    let completed = shop.mark_delivered(order, shipment).await.expect(200).body;
    assert_eq!(
        (&completed["status"], &completed["shipments"][0]["status"]),
        (&json!("completed"), &json!("delivered"))
    );
    assert_eq!(completed["shipments"][0]["deliveredAt"], completed["updatedAt"]);
    assert_eq!(shop.read(order).await, completed);
    let events = [
        "order.created",
        "order.placed",
        "order.paid",
        "shipment.created",
        "order.processing",
        "order.shipped",
        "shipment.delivered",
        "order.completed",
    ];
    assert_eq!(shop.kinds(order).await, events);
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn an_order_is_processing_until_every_unit_is_shipped_and_shipped_until_all_are_delivered() {
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(100, 50), shop.fakes.catalog.offer(300, 50));
    let order = shop.paid("k", &[(lamp, 3), (chair, 1)]).await;
    let status = |answer: Value| answer["status"].as_str().unwrap().to_owned();
    let first = shop.ship(order, "1", &[(lamp, 2)]).await.expect(201).body;
    assert_eq!(status(shop.mark_delivered(order, &first["shipments"][0]).await.expect(200).body), "processing");
    assert_eq!(status(shop.ship(order, "2", &[(chair, 1)]).await.expect(201).body), "processing");
    let refused = shop.ship(order, "3", &[(lamp, 2)]).await.expect(409).body;
    assert_eq!((&refused["code"], &refused["remaining"]), (&json!("QUANTITY_EXCEEDED"), &json!(1)), "{refused}");
    assert_eq!((&refused["productId"], &refused["requested"]), (&json!(lamp), &json!(2)));
    let last = shop.ship(order, "3", &[(lamp, 1)]).await;
    assert_eq!(last.status, 201, "a rejected shipment leaves its key free: {}", last.body);
    assert_eq!(status(last.body.clone()), "shipped");
    assert_eq!(shop.ship(order, "4", &[(lamp, 1)]).await.expect(409).body["code"], "INVALID_TRANSITION");
    assert_eq!(status(shop.mark_delivered(order, &last.body["shipments"][1]).await.expect(200).body), "shipped");
    assert_eq!(status(shop.mark_delivered(order, &last.body["shipments"][2]).await.expect(200).body), "completed");
    shop.assert_orders_verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_parcels_at_once_never_contain_more_units_than_ordered() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    let order = shop.paid("k", &[(lamp, 3)]).await;
    let parcels = (0..50).map(|n| {
        let shop = &shop;
        async move { shop.ship(order, &format!("s{n}"), &[(lamp, 1)]).await }
    });
    let answers = join_all(parcels).await;
    let (added, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((added.len(), refused.len()), (3, 47));
    for answer in refused {
        let code = answer.body["code"].as_str().unwrap();
        assert!(answer.status == 409 && ["QUANTITY_EXCEEDED", "INVALID_TRANSITION"].contains(&code), "{}", answer.body);
    }
    let read = shop.read(order).await;
    assert_eq!((&read["status"], read["shipments"].as_array().unwrap().len()), (&json!("shipped"), 3));
    shop.assert_orders_verify().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_shipment_sent_fifty_times_at_once_is_one_and_is_delivered_once() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    let order = shop.paid("k", &[(lamp, 40)]).await;
    let answers = join_all((0..50).map(|_| async { shop.ship(order, "s", &[(lamp, 2)]).await })).await;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body));
    let other = shop.ship(order, "s", &[(lamp, 3)]).await.expect(422).body;
    assert_eq!(other["code"], "IDEMPOTENCY_KEY_REUSED");
    let shipment = answers[0].body["shipments"][0].clone();
    let delivered = join_all((0..50).map(|_| async { shop.mark_delivered(order, &shipment).await })).await;
    assert!(delivered.iter().all(|answer| answer.status == 200 && answer.body == delivered[0].body));
    let kinds = shop.kinds(order).await;
    assert_eq!(kinds[3..], ["shipment.created", "order.processing", "shipment.delivered"], "{kinds:?}");
    shop.assert_orders_verify().await;
}

#[tokio::test]
async fn a_shipment_that_does_not_fit_its_order_changes_nothing() {
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(100, 50), shop.fakes.catalog.offer(300, 50));
    shop.fakes.catalog.sell_by(chair, SellerId::new(Uuid::from_u128(2)));
    let unpaid = shop.pending("unpaid", lamp, 1).await;
    assert_eq!(shop.ship(unpaid, "s", &[(lamp, 1)]).await.expect(409).body["code"], "INVALID_TRANSITION");
    let order = shop.paid("k", &[(lamp, 2), (chair, 1)]).await;
    let field = |body: &Value| body["details"][0]["field"].as_str().unwrap().to_owned();
    let sellers = shop.ship(order, "a", &[(lamp, 1), (chair, 1)]).await.expect(422).body;
    assert_eq!(field(&sellers), "items", "{sellers}");
    let stranger = ProductId::new(Uuid::from_u128(404));
    let foreign = shop.ship(order, "b", &[(lamp, 1), (stranger, 1)]).await.expect(422).body;
    assert_eq!(field(&foreign), "items[1].productId", "{foreign}");
    assert_eq!(field(&shop.ship(order, "c", &[]).await.expect(422).body), "items");
    let path = format!("/api/v1/orders/{order}/shipments");
    let blank = json!({ "items": [{ "productId": lamp, "quantity": 1 }], "carrier": " " });
    let post = |body: Value| shop.app().post(&path, body).with(&shop.admin());
    assert_eq!(field(&post(blank.clone()).key("d").await.expect(422).body), "carrier");
    post(blank.clone()).await.expect(400);
    shop.app().post(&path, blank).with(&shop.token(shop.ada)).key("e").await.expect(403);
    shop.ship(OrderId::new(Uuid::from_u128(404)), "f", &[(lamp, 1)]).await.expect(404);
    shop.mark_delivered(order, &json!({ "id": Uuid::from_u128(404) })).await.expect(404);
    let read = shop.read(order).await;
    assert_eq!((&read["status"], &read["shipments"]), (&json!("paid"), &Value::Null));
    assert_eq!(shop.kinds(order).await.len(), 3);
}

#[tokio::test]
async fn a_partly_shipped_order_is_neither_cancelled_nor_given_a_status_by_hand() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    let order = shop.paid("k", &[(lamp, 2)]).await;
    shop.ship(order, "s", &[(lamp, 1)]).await.expect(201);
    for refused in [shop.cancel(order), shop.advance(order, "cancelled"), shop.advance(order, "shipped")] {
        assert_eq!(refused.await.expect(409).body["code"], "PARTLY_SHIPPED");
    }
    shop.settle().await;
    let paid = ("processing".to_owned(), "paid".to_owned());
    assert_eq!((shop.status(order).await, shop.fakes.catalog.available(lamp)), (paid, 48));
}

#[tokio::test]
async fn the_database_rejects_more_units_than_ordered_whatever_writes_them() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    let order = shop.paid("k", &[(lamp, 2)]).await;
    shop.ship(order, "s", &[(lamp, 1)]).await.expect(201);
    let mut connection = shop.store.db.acquire().await.unwrap();
    for (change, constraint) in [
        ("update order_item_shipped set shipped = 3", "order_item_shipped_at_most_ordered"),
        ("update order_item_shipped set delivered = 2", "order_item_delivered_at_most_shipped"),
    ] {
        let error = sqlx::query(change).execute(&mut *connection).await.unwrap_err();
        assert_eq!(agora_postgres::constraint(&error), Some(constraint));
    }
}
