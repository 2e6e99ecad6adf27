//! HTTP tests of every route and every rejection, with in-memory fakes of all ports.

use crate::shop::{Shop, id, in_memory, items, two};
use std::sync::Arc;

use agora_order::{
    domain::{PaymentOutcome, Product},
    fakes::{Failpoint, InMemoryCatalog},
    ports::{CallFailed, Catalog, NewHold, OrderReads as _, Reserving},
};
use agora_vocab::{AddressId, CommandId, OrderId, PaymentId, ProductId, Quantity, UserId};
use async_trait::async_trait;
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

fn payment(n: u128) -> PaymentId {
    PaymentId::new(Uuid::from_u128(n))
}

fn address() -> Value {
    json!({ "street": "Unter den Linden 1", "city": "Berlin", "postalCode": "10117", "country": "de" })
}

/// Status, code and fields of a rejection.
async fn refused(shop: &Shop, body: Value) -> (u16, String, Vec<String>) {
    let answer = shop.order(&Uuid::from_u128(rand(&body)).to_string(), body).await;
    let fields = answer.body["details"].as_array().cloned().unwrap_or_default();
    let fields = fields.iter().map(|detail| detail["field"].as_str().unwrap().to_owned()).collect();
    (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned(), fields)
}

/// A number derived from the body, for a unique key.
fn rand(body: &Value) -> u128 {
    body.to_string().bytes().fold(7, |sum: u128, byte| sum.wrapping_mul(31).wrapping_add(u128::from(byte)))
}

#[tokio::test]
async fn an_order_from_a_list_holds_its_stock_and_is_pending() {
    let (shop, orders, _) = in_memory();
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let body = json!({ "items": [{ "productId": lamp, "quantity": 2 }], "shippingAddress": address() });

    let answer = shop.order("k", body).await.expect(201);

    let order = &answer.body;
    assert_eq!(answer.header("location"), format!("/api/v1/orders/{}", id(order)));
    assert_eq!((&order["status"], &order["paymentStatus"]), (&json!("pending"), &json!("unpaid")));
    assert_eq!(order["number"], "A-1000001");
    assert_eq!(order["total"], json!({ "amount": 3998, "currency": "EUR" }));
    assert_eq!(order["items"][0]["name"], "Lamp 1");
    assert_eq!(order["items"][0]["category"], "Lighting");
    assert_eq!(order["shippingAddress"]["country"], "DE");
    assert_eq!(shop.fakes.catalog.available(lamp), 8);
    assert_eq!(orders.events(id(order)), [(1, "order.created".to_owned()), (2, "order.placed".to_owned())]);
}

#[tokio::test]
async fn an_order_of_the_cart_empties_it() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(1999, 10);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let order = shop.order("k", json!({})).await.expect(201).body;
    assert_eq!(order["items"].as_array().unwrap().len(), 1);
    assert_eq!(shop.fakes.carts.lines(shop.ada), 0);
    let again = shop.order("k2", json!({})).await.expect(422);
    assert_eq!(again.body["code"], "EMPTY_CART");
}

#[tokio::test]
async fn begin_payment_and_its_result_make_the_order_paid() {
    let (shop, orders, _) = in_memory();
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let order = shop.pending("k", lamp, 2).await;

    let due = shop.begin(order, 1).await.expect(200).body;
    assert_eq!(due, json!({ "amount": { "amount": 3998, "currency": "EUR" } }));
    assert_eq!(shop.status(order).await, two("pending", "processing"));
    let state = shop.result(order, 1, (2, "captured")).await.expect(200).body;

    assert_eq!(state, json!({ "status": "paid", "paymentStatus": "paid" }));
    assert_eq!(shop.fakes.catalog.hold(order, 1), Some("committed"));
    assert_eq!(orders.events(order).last().unwrap(), &(3, "order.paid".to_owned()));
    let again = shop.result(order, 1, (2, "captured")).await.expect(200).body;
    assert_eq!(again, state, "a retry returns the same response");
    assert_eq!(orders.events(order).len(), 3);
}

#[tokio::test]
async fn begin_payment_rejects_other_users_amounts_payments_and_statuses() {
    let (shop, _, clock) = in_memory();
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let order = shop.pending("k", lamp, 1).await;
    let path = format!("/internal/v1/orders/{order}/begin-payment");
    let begin = |user: UserId, amount: Value| {
        let mut body = json!({ "paymentId": Uuid::from_u128(1), "userId": user });
        body["amount"] = amount;
        shop.command(&path, body)
    };
    let eur = |amount: i64| json!({ "amount": amount, "currency": "EUR" });

    begin(UserId::new(Uuid::from_u128(9)), eur(1999)).await.expect(404);
    assert_eq!(begin(shop.ada, eur(1998)).await.expect(422).body["code"], "AMOUNT_MISMATCH");
    begin(shop.ada, eur(1999)).await.expect(200);
    begin(shop.ada, eur(1999)).await.expect(200);
    let other = shop.begin(order, 2).await.expect(409);
    assert_eq!((&other.body["code"], other.header("retry-after")), (&json!("PAYMENT_IN_PROGRESS"), "1"));
    shop.result(order, 1, (3, "failed")).await.expect(200);
    assert_eq!(shop.status(order).await, two("pending", "failed"));
    clock.advance(Duration::seconds(900));
    assert_eq!(shop.begin(order, 2).await.expect(409).body["code"], "INVALID_TRANSITION");
    let unknown = OrderId::new(Uuid::from_u128(5));
    shop.begin(unknown, 1).await.expect(404);
    shop.result(unknown, 1, (3, "captured")).await.expect(404);
    shop.result(order, 1, (4, "pending")).await.expect(422);
}

#[tokio::test]
async fn internal_routes_require_a_token_of_the_payment_service() {
    let (shop, ..) = in_memory();
    let order = shop.pending("k", shop.fakes.catalog.offer(1999, 1), 1).await;
    let path = format!("/internal/v1/orders/{order}/begin-payment");
    let body = json!({ "paymentId": Uuid::from_u128(1), "userId": shop.ada });
    shop.command(&path, body.clone()).internal("forged").await.expect(401);
    shop.app().post(&path, body).with(&shop.admin()).await.expect(404);
}

#[tokio::test]
async fn an_order_paid_at_once_is_paid_declined_or_still_pending() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let with = |token: &str| {
        let mut body = items(lamp, 1);
        body["payment"] = json!({ "method": "card", "token": token });
        body
    };

    let paid = shop.order("ok", with("tok_ok")).await.expect(201).body;
    assert_eq!((&paid["status"], &paid["paymentStatus"]), (&json!("paid"), &json!("paid")));

    let declined = shop.order("no", with("tok_declined")).await.expect(402);
    let order: OrderId = declined.body["orderId"].as_str().unwrap().parse().unwrap();
    assert_eq!(shop.status(order).await, two("pending", "failed"));
    let again = shop.order("no", with("tok_declined")).await.expect(402);
    assert_eq!(again.body["orderId"], declined.body["orderId"]);

    let slow = shop.order("slow", with("tok_slow")).await.expect(201).body;
    assert_eq!((&slow["status"], &slow["paymentStatus"]), (&json!("pending"), &json!("processing")));
    shop.order("slow", with("tok_slow")).await.expect(409);

    let failed = shop.order("error", with("tok_error")).await.expect(201).body;
    assert_eq!((&failed["status"], &failed["paymentStatus"]), (&json!("pending"), &json!("failed")));
}

#[tokio::test]
async fn a_slow_payment_is_polled_and_a_retry_returns_the_result() {
    let (shop, _, clock) = in_memory();
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let mut body = items(lamp, 1);
    body["payment"] = json!({ "method": "card", "token": "tok_slow" });
    let order = shop.order("k", body.clone()).await.expect(201).body;
    let own: PaymentId = order["paymentId"].as_str().unwrap().parse().unwrap();

    shop.fakes.payments.resolve(id(&order), own, PaymentOutcome::Captured);
    clock.advance(Duration::seconds(11));
    shop.settle().await;

    assert_eq!(shop.status(id(&order)).await, two("paid", "paid"));
    let reply = shop.order("k", body).await.expect(201).body;
    assert_eq!((reply["id"].clone(), &reply["status"]), (order["id"].clone(), &json!("paid")));
    assert_eq!(shop.fakes.payments.captures(id(&order)), 1);
}

#[tokio::test]
async fn every_invalid_field_of_a_new_order_is_reported() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let one = json!([{ "productId": lamp, "quantity": 1 }]);
    let cases = [
        (json!({ "items": [] }), "items"),
        (json!({ "items": [{ "productId": lamp, "quantity": 0 }] }), "items[0].quantity"),
        (json!({ "items": [{ "productId": lamp, "quantity": -5 }] }), "items[0].quantity"),
        (json!({ "items": [{ "productId": lamp, "quantity": 1.5 }] }), "items[0].quantity"),
        (json!({ "items": [{ "productId": lamp, "quantity": 10_000 }] }), "items[0].quantity"),
        (json!({ "items": [{ "productId": "7", "quantity": 1 }] }), "items[0].productId"),
        (json!({ "items": [{ "productId": lamp, "quantity": 1, "price": 1 }] }), "items[0].price"),
        (json!({ "items": one, "total": 1 }), "total"),
        (json!({ "items": one, "userId": shop.ada }), "userId"),
        (
            json!({ "items": one, "shippingAddress": { "street": "", "city": "B", "country": "DE" } }),
            "shippingAddress.street",
        ),
        (json!({ "items": one, "shippingAddress": address(), "addressId": Uuid::nil() }), "addressId"),
        (json!({ "items": one, "addressId": Uuid::nil() }), "addressId"),
        (json!({ "items": one, "payment": { "method": "cash", "token": "t" } }), "payment.method"),
        (json!({ "items": one, "payment": { "method": "card", "token": "" } }), "payment.token"),
        (json!({ "items": one, "payment": { "method": "card", "token": "4242424242424242" } }), "payment.token"),
    ];
    for (body, field) in cases {
        let (status, _, fields) = refused(&shop, body.clone()).await;
        assert_eq!((status, fields), (422, vec![field.to_owned()]), "{body}");
    }
    assert_eq!(shop.fakes.catalog.available(lamp), 10, "nothing half done");
}

#[tokio::test]
async fn malformed_unkeyed_and_unauthenticated_requests_return_their_codes() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let token = shop.token(shop.ada);
    let post = || shop.app().post("/api/v1/orders", items(lamp, 1));
    post().key("k").await.expect(401);
    assert_eq!(post().with(&token).await.expect(400).body["code"], "IDEMPOTENCY_KEY_REQUIRED");
    post().with(&token).key(&"k".repeat(256)).await.expect(400);
    post().with(&token).key("k").raw("{").await.expect(400);
    post().with(&token).key("k").header("content-type", "text/plain").await.expect(415);
    post().with(&token).key("k").raw(" ".repeat(2 << 20)).await.expect(413);
    shop.get("/api/v1/orders/7").await.expect(400);
    shop.get("/api/v1/orders?limit=0").await.expect(422);
    shop.get("/api/v1/orders?limit=101").await.expect(422);
    shop.get("/api/v1/orders?limit=ten").await.expect(400);
    shop.get("/api/v1/orders?cursor=%25").await.expect(400);
    shop.get("/api/v1/orders?colour=red").await.expect(400);
    shop.app().put("/api/v1/orders", json!({})).with(&token).await.expect(405);
}

#[tokio::test]
async fn an_unknown_product_is_rejected_without_side_effects() {
    let (shop, orders, _) = in_memory();
    let unknown = ProductId::new(Uuid::from_u128(3));
    shop.fakes.carts.add(shop.ada, unknown, Quantity::ONE);
    let refused = shop.order("k", json!({})).await.expect(422);
    assert_eq!((&refused.body["code"], &refused.body["productIds"]), (&json!("UNKNOWN_PRODUCT"), &json!([unknown])));
    assert_eq!(shop.fakes.carts.lines(shop.ada), 1, "the cart has its lines back");
    assert!(orders.ids().is_empty());
    shop.fakes.catalog.offer(100, 1);
    shop.order("k", items(shop.fakes.catalog.offer(100, 1), 1)).await.expect(201);
}

#[tokio::test]
async fn a_shortage_rejects_the_order_reports_the_available_units_and_cancels_the_checkout() {
    let (shop, orders, _) = in_memory();
    let lamp = shop.fakes.catalog.offer(1999, 3);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::parse(5).unwrap());

    let refused = shop.order("k", json!({})).await.expect(409);

    let body = &refused.body;
    assert_eq!(body["code"], "INSUFFICIENT_QUANTITY");
    assert_eq!((&body["productId"], &body["requested"], &body["available"]), (&json!(lamp), &json!(5), &json!(3)));
    assert_eq!(shop.fakes.carts.lines(shop.ada), 1);
    let rejected = orders.ids()[0];
    assert_eq!(shop.status(rejected).await, two("rejected", "unpaid"));
    assert_eq!(orders.events(rejected)[1].1, "order.rejected");
    assert_eq!(shop.order("k", json!({})).await.expect(409).body, *body, "a final refusal is repeated");
    shop.order("k2", json!({})).await.expect(409);
}

#[tokio::test]
async fn a_reused_key_returns_the_same_response_and_rejects_another_body() {
    let (shop, orders, _) = in_memory();
    let lamp = shop.fakes.catalog.offer(1999, 10);
    let first = shop.order("k", items(lamp, 1)).await.expect(201);
    let second = shop.order("k", items(lamp, 1)).await.expect(201);
    assert_eq!((first.body, first.headers["location"].clone()), (second.body, second.headers["location"].clone()));
    assert_eq!(shop.order("k", items(lamp, 2)).await.expect(422).body["code"], "IDEMPOTENCY_KEY_REUSED");
    let eve = UserId::new(Uuid::from_u128(66));
    shop.order("k", items(lamp, 1)).with(&shop.token(eve)).await.expect(201);
    assert_eq!(orders.ids().len(), 2, "a key means something for its user alone");
}

#[tokio::test]
async fn an_entry_of_the_address_book_is_copied() {
    let (shop, ..) = in_memory();
    let (lamp, entry) = (shop.fakes.catalog.offer(1999, 10), AddressId::new(Uuid::from_u128(4)));
    let home: agora_api::user::PostalAddress = serde_json::from_value(address()).unwrap();
    shop.fakes.addresses.add(shop.ada, entry, home.into());
    let mut body = items(lamp, 1);
    body["addressId"] = json!(entry);
    let order = shop.order("k", body).await.expect(201).body;
    assert_eq!(order["shippingAddress"]["street"], "Unter den Linden 1");
}

#[tokio::test]
async fn orders_are_listed_newest_first_by_cursor_and_by_offset() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 100);
    let mut made = Vec::new();
    for n in 0..5 {
        made.insert(0, shop.pending(&format!("k{n}"), lamp, 1).await.to_string());
    }
    let ids = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = shop.get("/api/v1/orders?limit=2").await.expect(200).body;
    assert_eq!(ids(&first), made[..2]);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = shop.get(&format!("/api/v1/orders?limit=3&cursor={cursor}")).await.expect(200).body;
    assert_eq!(ids(&second), made[2..]);
    assert_eq!(second.get("nextCursor"), None);
    assert_eq!(ids(&shop.get("/api/v1/orders?offset=4").await.expect(200).body), made[4..]);
    let everything = shop.app().get("/api/v1/admin/orders").with(&shop.admin()).await.expect(200).body;
    assert_eq!(ids(&everything), made);
    let of_ada = format!("/api/v1/admin/orders?userId={}", shop.ada);
    assert_eq!(ids(&shop.app().get(&of_ada).with(&shop.admin()).await.expect(200).body), made);
    shop.get("/api/v1/admin/orders").await.expect(403);
}

#[tokio::test]
async fn another_users_order_is_not_found_on_every_route() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 100);
    let order = shop.pending("k", lamp, 1).await;
    let eve = shop.token(UserId::new(Uuid::from_u128(66)));
    let path = format!("/api/v1/orders/{order}");
    shop.app().get(&path).with(&eve).await.expect(404);
    shop.app().delete(&path).with(&eve).await.expect(404);
    shop.app().patch(&path, json!({ "status": "shipped" })).with(&eve).await.expect(403);
    let list = shop.app().get("/api/v1/orders").with(&eve).await.expect(200).body;
    assert_eq!(list["items"], json!([]));
    assert_eq!(shop.status(order).await, two("pending", "unpaid"));
    shop.app().get(&path).with(&shop.admin()).await.expect(200);
}

#[tokio::test]
async fn a_pending_order_is_cancelled_at_once_and_its_stock_freed() {
    let (shop, orders, _) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 2).await;
    let cancelled = shop.cancel(order).await.expect(200).body;
    assert_eq!(cancelled["status"], "cancelled");
    shop.settle().await;
    assert_eq!(shop.fakes.catalog.available(lamp), 5);
    assert_eq!(shop.cancel(order).await.expect(409).body["code"], "INVALID_TRANSITION");
    assert_eq!(orders.events(order).last().unwrap().1, "order.cancelled");
}

#[tokio::test]
async fn a_cancel_with_a_key_and_its_rejection_are_idempotent() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 2).await;
    let first = shop.cancel(order).key("c").await.expect(200).body;
    shop.settle().await;
    assert_eq!(shop.cancel(order).key("c").await.expect(200).body, first);
    shop.cancel(order).key("d").await.expect(409);
    shop.cancel(order).key("d").await.expect(409);
}

#[tokio::test]
async fn a_paid_order_is_cancelled_refunded_and_its_stock_comes_back() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 2).await;
    shop.begin(order, 1).await.expect(200);
    shop.cancel(order).await.expect(409);
    let result = shop.fakes.payments.resolve(order, payment(1), PaymentOutcome::Captured);
    shop.result(order, 1, (result.uuid().as_u128(), "captured")).await.expect(200);
    assert_eq!(shop.cancel(order).await.expect(200).body["paymentStatus"], "paid");
    shop.settle().await;
    assert_eq!(shop.status(order).await, two("cancelled", "refunded"));
    assert_eq!(shop.fakes.catalog.available(lamp), 5);
    assert_eq!(shop.fakes.payments.outcome(payment(1)), Some(PaymentOutcome::Refunded));
}

#[tokio::test]
async fn an_admin_can_only_request_allowed_transitions() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 1).await;
    shop.advance(order, "processing").await.expect(409);
    shop.advance(order, "paid").await.expect(409);
    shop.begin(order, 1).await.expect(200);
    shop.result(order, 1, (2, "captured")).await.expect(200);
    for status in ["shipped", "completed", "pending", "refunded", "banana", ""] {
        let refused = shop.advance(order, status).await.expect(409);
        assert_eq!(refused.body["code"], "INVALID_TRANSITION", "{status}");
    }
    for status in ["processing", "shipped", "completed"] {
        assert_eq!(shop.advance(order, status).await.expect(200).body["status"], status);
    }
    shop.cancel(order).await.expect(409);
    shop.advance(order, "cancelled").await.expect(409);
    let path = format!("/api/v1/orders/{order}");
    shop.app().patch(&path, json!({ "state": "x" })).with(&shop.admin()).await.expect(422);
}

#[tokio::test]
async fn a_full_refund_sets_refunded_and_releases_no_stock() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 2).await;
    shop.begin(order, 1).await.expect(200);
    shop.result(order, 1, (2, "captured")).await.expect(200);
    shop.result(order, 1, (3, "partially_refunded")).await.expect(200);
    assert_eq!(shop.status(order).await, two("paid", "partially_refunded"));
    let reply = shop.result(order, 1, (4, "refunded")).await.expect(200).body;
    assert_eq!(reply, json!({ "status": "refunded", "paymentStatus": "refunded" }));
    shop.settle().await;
    assert_eq!(shop.fakes.catalog.available(lamp), 3);
}

#[tokio::test]
async fn after_three_declines_the_order_is_cancelled() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 5);
    let order = shop.pending("k", lamp, 2).await;
    for n in 1..=3 {
        assert_eq!(shop.status(order).await.0, "pending");
        shop.begin(order, n).await.expect(200);
        shop.result(order, n, (100 + n, "declined")).await.expect(200);
    }
    assert_eq!(shop.status(order).await, two("cancelled", "failed"));
    assert_eq!(shop.fakes.catalog.available(lamp), 5);
}

#[tokio::test]
async fn an_unpaid_order_expires_but_not_during_a_payment() {
    let (shop, orders, clock) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 5);
    let (unpaid, paying) = (shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await);
    shop.begin(paying, 1).await.expect(200);
    shop.fakes.payments.resolve(paying, payment(1), PaymentOutcome::Captured);
    clock.advance(Duration::seconds(899));
    shop.settle().await;
    assert_eq!(shop.status(unpaid).await, two("pending", "unpaid"));
    assert_eq!(shop.status(paying).await, two("paid", "paid"), "the saga queried the payment");
    clock.advance(Duration::seconds(1));
    shop.settle().await;
    assert_eq!(shop.status(unpaid).await, two("expired", "unpaid"));
    assert_eq!(shop.fakes.catalog.available(lamp), 4);
    assert_eq!(orders.events(unpaid).last().unwrap().1, "order.expired");
}

#[tokio::test]
async fn a_capture_after_expiry_reserves_again_or_is_refunded() {
    let (shop, _, clock) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 2);
    let (first, second) = (shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await);
    for (order, n) in [(first, 1), (second, 2)] {
        shop.begin(order, n).await.expect(200);
        shop.result(order, n, (10 + n, "failed")).await.expect(200);
    }
    clock.advance(Duration::seconds(900));
    shop.settle().await;
    assert_eq!(shop.status(first).await, two("expired", "failed"));
    shop.pending("c", lamp, 1).await;

    let late = |order, n: u128| {
        let result = shop.fakes.payments.resolve(order, payment(n), PaymentOutcome::Captured);
        shop.result(order, n, (result.uuid().as_u128(), "captured"))
    };
    late(first, 1).await.expect(200);
    late(second, 2).await.expect(200);
    shop.settle().await;

    assert_eq!(shop.status(first).await, two("paid", "paid"));
    assert_eq!(shop.fakes.catalog.hold(first, 2), Some("committed"));
    assert_eq!(shop.status(second).await, two("expired", "refunded"));
    assert_eq!(shop.fakes.catalog.available(lamp), 0);
}

#[tokio::test]
async fn a_capture_with_an_expired_reservation_reserves_again_or_is_refunded() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 2);
    let (first, second) = (shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await);
    for (order, n) in [(first, 1_u128), (second, 2)] {
        shop.begin(order, n).await.expect(200);
        shop.fakes.catalog.expire(order, 1);
    }
    shop.pending("c", lamp, 1).await;
    for (order, n) in [(first, 1_u128), (second, 2)] {
        let result = shop.fakes.payments.resolve(order, payment(n), PaymentOutcome::Captured);
        shop.result(order, n, (result.uuid().as_u128(), "captured")).await.expect(200);
    }
    shop.settle().await;
    assert_eq!(shop.status(first).await, two("paid", "paid"));
    assert_eq!(shop.status(second).await, two("cancelled", "refunded"));
}

#[tokio::test]
async fn a_second_capture_for_a_paid_or_cancelled_order_is_refunded() {
    let (shop, ..) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 2);
    let (paid, cancelled) = (shop.pending("a", lamp, 1).await, shop.pending("b", lamp, 1).await);
    for (order, n) in [(paid, 1_u128), (cancelled, 2)] {
        shop.begin(order, n).await.expect(200);
        shop.result(order, n, (10 + n, "voided")).await.expect(200);
    }
    shop.begin(paid, 3).await.expect(200);
    shop.result(paid, 3, (13, "captured")).await.expect(200);
    shop.cancel(cancelled).await.expect(200);
    for (order, n) in [(paid, 1_u128), (cancelled, 2)] {
        let result = shop.fakes.payments.resolve(order, payment(n), PaymentOutcome::Captured);
        shop.result(order, n, (result.uuid().as_u128(), "captured")).await.expect(200);
    }
    shop.settle().await;
    assert_eq!(shop.fakes.payments.outcome(payment(1)), Some(PaymentOutcome::Refunded));
    assert_eq!(shop.fakes.payments.outcome(payment(2)), Some(PaymentOutcome::Refunded));
    assert_eq!(shop.status(paid).await, two("paid", "paid"));
    assert_eq!(shop.status(cancelled).await, two("cancelled", "refunded"));
}

#[tokio::test]
async fn an_order_with_its_own_payment_is_voided_before_it_expires() {
    let (shop, orders, clock) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 2);
    let mut body = items(lamp, 1);
    body["payment"] = json!({ "method": "card", "token": "tok_slow" });
    let order = id(&shop.order("k", body).await.expect(201).body);
    clock.advance(Duration::seconds(901));
    shop.settle().await;
    assert_eq!(shop.status(order).await, two("expired", "failed"));
    let state = orders.load(order).await.unwrap().unwrap().state;
    assert_eq!(state.saga.own.and_then(|own| own.token), None, "a token does not outlive its payment");
}

#[tokio::test]
async fn unavailable_services_return_503_and_a_retry_with_the_same_key_succeeds() {
    let (shop, orders, clock) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 2);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let away = shop.again(orders.clone(), &Failpoint::after(1));
    let refused = away.order("k", json!({})).await.expect(503);
    assert_eq!(refused.header("retry-after"), "1");
    shop.order("k", json!({})).await.expect(409);
    clock.advance(Duration::seconds(11));
    shop.order("k", json!({})).await.expect(201);
    assert_eq!((orders.ids().len(), shop.fakes.carts.lines(shop.ada)), (1, 0));
}

#[tokio::test]
async fn a_failing_reservation_gets_a_provisional_response_and_is_retried() {
    let (shop, orders, clock) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 2);
    // The quote is the first call; the reservation is the second.
    let away = shop.again(orders, &Failpoint::after(2));
    let made = away.order("k", items(lamp, 1)).await.expect(201).body;
    assert_eq!(made["status"], "created");
    let early = shop.order("k", items(lamp, 1)).await.expect(409);
    assert_eq!((&early.body["code"], early.header("retry-after")), (&json!("REQUEST_IN_PROGRESS"), "1"));
    clock.advance(Duration::seconds(11));
    shop.settle().await;
    let reply = shop.order("k", items(lamp, 1)).await.expect(201).body;
    assert_eq!((&reply["id"], &reply["status"]), (&made["id"], &json!("pending")));
}

#[tokio::test]
async fn an_order_still_created_when_its_window_ends_is_cancelled_with_its_checkout() {
    let (shop, orders, clock) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 2);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    // Checkout and quote pass; the reservation crashes.
    let away = shop.again(orders, &Failpoint::after(4));
    let made = away.order("k", json!({})).await.expect(201).body;
    assert_eq!(made["status"], "created");
    clock.advance(Duration::seconds(901));
    shop.settle().await;
    assert_eq!(shop.status(id(&made)).await, two("cancelled", "unpaid"));
    assert_eq!(shop.fakes.carts.lines(shop.ada), 1);
    assert_eq!(shop.fakes.catalog.hold(id(&made), 1), Some("tombstone"), "a late hold must not succeed");
}

#[tokio::test]
async fn an_expired_lease_without_an_order_is_cancelled_with_its_checkout() {
    let (shop, orders, clock) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 2);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    // The checkout began; then the process crashed.
    shop.again(orders.clone(), &Failpoint::after(3)).order("k", json!({})).await.expect(503);
    assert_eq!(shop.fakes.carts.lines(shop.ada), 0);
    clock.advance(Duration::seconds(59));
    assert_eq!(shop.service.cancel_expired_leases().await.unwrap(), 0);
    clock.advance(Duration::seconds(2));
    assert_eq!(shop.service.cancel_expired_leases().await.unwrap(), 1);
    assert_eq!(shop.fakes.carts.lines(shop.ada), 1);
    shop.order("k", json!({})).await.expect(201);
}

/// A catalog whose reservation takes longer than the response deadline.
struct Slow(InMemoryCatalog);

#[async_trait]
impl Catalog for Slow {
    async fn quote(&self, products: &[ProductId]) -> Result<Vec<Product>, CallFailed> {
        self.0.quote(products).await
    }

    async fn reserve(&self, _: CommandId, _: &NewHold) -> Result<Reserving, CallFailed> {
        std::future::pending().await
    }

    async fn commit(&self, command: CommandId, order: OrderId, hold: i32) -> Result<bool, CallFailed> {
        self.0.commit(command, order, hold).await
    }

    async fn release(&self, command: CommandId, order: OrderId, hold: i32) -> Result<(), CallFailed> {
        self.0.release(command, order, hold).await
    }
}

#[tokio::test]
async fn a_slow_reservation_gets_a_provisional_response_and_the_worker_continues() {
    let (shop, orders, _) = in_memory();
    let lamp = shop.fakes.catalog.offer(100, 2);
    let slow = shop.again_with(orders, Arc::new(Slow(shop.fakes.catalog.clone())));
    let started = std::time::Instant::now();
    let made = slow.order("k", items(lamp, 1)).await.expect(201).body;
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    assert_eq!(made["status"], "created");
    shop.settle().await;
    assert_eq!(shop.status(id(&made)).await, two("pending", "unpaid"), "the lease was given back");
    assert_eq!(shop.order("k", items(lamp, 1)).await.expect(201).body["status"], "pending");
}
