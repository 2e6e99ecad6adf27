//! The public API: payments of shoppers, lists and input.

use agora_vocab::{Ids as _, OrderId, Role, UserId};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{DUE, Shop, body};

#[tokio::test]
async fn pa1_a_payment_is_captured_once_posted_to_the_ledger_and_reported_to_the_order() {
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
    assert_eq!(
        shop.number("select count(*) from payment where sealed_token is not null").await,
        0,
        "the token is deleted"
    );
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn pa10_a_hundred_concurrent_requests_with_one_key_charge_once() {
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
        assert_eq!(shop.number("select max(attempt)::bigint from payment").await, n);
    }
    assert_eq!((shop.number("select count(*) from payment").await, shop.charge_count().await), (1, 0));
    let logged = "select count(*) from payment_log where log_message like '%failed (provider_error); reopened%'";
    assert_eq!(shop.number(logged).await, 2, "the log keeps the outcome that the next attempt replaces");
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
async fn invalid_input_is_rejected_by_field_and_nothing_is_stored() {
    let shop = Shop::open().await;
    let order = shop.order();
    let cases: [(Value, u16, &str); 8] = [
        (json!({ "orderId": order, "method": "cash" }), 422, "method"),
        (json!({ "orderId": order, "method": "card", "token": "" }), 422, "token"),
        (json!({ "orderId": order, "method": "card", "token": "4242 4242 4242 4242" }), 422, "token"),
        (json!({ "orderId": order, "method": "card", "token": "tok_4242424242424242" }), 422, "token"),
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
async fn pa2_payments_of_other_users_return_404_and_refunds_require_an_admin() {
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
async fn an_admin_lists_all_payments_and_the_payments_of_an_order() {
    let shop = Shop::open().await;
    let order = shop.order();
    let (first, second) = (shop.captured(order).await, shop.captured(shop.order()).await);
    let ids = async |path: &str, token: &str| -> Vec<String> {
        let list = shop.app.get(path).with(token).await.expect(200);
        list.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("/api/v1/payments", &shop.admin()).await, [second.to_string(), first.to_string()]);
    let of_order = format!("/api/v1/payments?orderId={order}");
    let stranger = shop.keys.token(UserId::new(Uuid::from_u128(99)), &[Role::Customer]);
    assert_eq!(ids(&of_order, &shop.admin()).await, [first.to_string()]);
    assert_eq!(ids(&of_order, &shop.token()).await, [first.to_string()]);
    assert!(ids(&of_order, &stranger).await.is_empty());
}

#[tokio::test]
async fn de17_the_router_serves_every_operation_of_the_document() {
    Shop::open().await.app.assert_serves_its_document().await;
}
