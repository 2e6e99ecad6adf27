//! Authorise, capture and void as separate steps, and the log of a payment.

use agora_payment::{
    domain::{Initiator, Status},
    ports::PaymentReads as _,
};
use futures::future::join_all;
use serde_json::json;

use crate::fixture::{DUE, Shop, body, eur};

#[tokio::test]
async fn pa1_a_manual_payment_is_authorised_and_captured_in_part_and_the_order_learns_of_the_capture_only() {
    let shop = Shop::open().await;
    let order = shop.order();
    let id = shop.authorised(order).await;
    let held = shop.read(id).await;
    assert_eq!((&held["authorised"]["amount"], &held["captured"]["amount"]), (&json!(DUE), &json!(0)));
    assert_eq!((shop.charge_count().await, shop.orders.results().len()), (0, 0));
    assert_eq!(shop.number("select count(*) from ledger_journal").await, 0, "an authorisation moves no money");
    let more = shop.operate(id, "capture", json!({ "amount": eur(DUE + 1) })).await.expect(422);
    assert_eq!(more.body["code"], "CAPTURE_EXCEEDS_AUTHORISED");
    shop.operate(id, "capture", json!({ "amount": eur(0) })).await.expect(422);
    let captured = shop.operate(id, "capture", json!({ "amount": eur(600) })).await.expect(200).body;
    assert_eq!((&captured["status"], &captured["captured"]["amount"]), (&json!("captured"), &json!(600)));
    let results = shop.orders.results();
    assert!(matches!(&results[..], [result] if result.status == "captured" && result.order == order), "{results:?}");
    shop.assert_ledger_matches_payments().await;
    // What was not captured cannot be refunded.
    shop.refund("all", json!({ "paymentId": id, "amount": eur(601) })).await.expect(422);
    let refund = shop.refund("rest", json!({ "paymentId": id })).await.expect(201);
    assert_eq!(refund.body["amount"]["amount"], 600);
    assert_eq!(shop.read(id).await["status"], "refunded");
    shop.assert_ledger_matches_payments().await;
    let events =
        "select count(*) from outbox where kind in ('payment.authorised', 'payment.captured', 'payment.refunded')";
    assert_eq!(shop.number(events).await, 3);
}

#[tokio::test]
async fn concurrent_captures_and_voids_of_one_authorisation_have_one_outcome() {
    let shop = Shop::open().await;
    let id = shop.authorised(shop.order()).await;
    let operations: Vec<_> = (0..12)
        .map(|n| match n % 3 {
            0 => ("void", json!({})),
            1 => ("capture", json!({ "amount": eur(300) })),
            _ => ("capture", json!({})),
        })
        .collect();
    let answers = join_all(operations.into_iter().map(|(verb, body)| shop.operate(id, verb, body))).await;
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409)), "{answers:?}");
    let ended =
        shop.number("select count(*) from payment where status in ('captured', 'voided') and not attempt_open").await;
    assert_eq!(ended, 1);
    assert_eq!(shop.number("select count(*) from outbox where kind <> 'payment.authorised'").await, 1);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_repeated_capture_or_void_changes_nothing_and_a_customer_may_do_neither() {
    let shop = Shop::open().await;
    let (first, second) = (shop.authorised(shop.order()).await, shop.authorised(shop.order()).await);
    for path in ["capture", "void"] {
        let path = format!("/api/v1/payments/{first}/{path}");
        shop.app.post(&path, json!({})).with(&shop.token()).await.expect(403);
    }
    for _ in 0..2 {
        shop.operate(first, "capture", json!({ "amount": eur(DUE) })).await.expect(200);
        let voided = shop.operate(second, "void", json!({})).await.expect(200);
        assert_eq!((&voided.body["status"], &voided.body["authorised"]["amount"]), (&json!("voided"), &json!(0)));
    }
    assert_eq!(shop.operate(first, "void", json!({})).await.expect(409).body["code"], "INVALID_TRANSITION");
    assert_eq!(shop.operate(second, "capture", json!({})).await.expect(409).body["code"], "INVALID_TRANSITION");
    shop.operate(first, "capture", json!({ "amount": eur(1) })).await.expect(409);
    assert_eq!(shop.number("select count(*) from ledger_journal").await, 1);
    assert_eq!(shop.orders.results().len(), 2);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn an_authorisation_is_released_when_its_order_is_cancelled_or_when_it_is_not_captured_in_time() {
    let shop = Shop::open().await;
    let (cancelled, forgotten, kept) =
        (shop.authorised(shop.order()).await, shop.authorised(shop.order()).await, shop.authorised(shop.order()).await);
    shop.service.order_cancelled(cancelled).await.unwrap();
    assert_eq!(shop.read(cancelled).await["status"], "voided");
    let mut connection = shop.db.acquire().await.unwrap();
    let age =
        "update payment set deadline = now() - interval '1 s', leased_until = now() - interval '1 s' where id = $1";
    sqlx::query(age).bind(forgotten.uuid()).execute(&mut *connection).await.unwrap();
    drop(connection);
    shop.service.recover_once().await.unwrap();
    assert_eq!(
        (&shop.read(forgotten).await["status"], &shop.read(kept).await["status"]),
        (&json!("voided"), &json!("authorised"))
    );
    assert_eq!(shop.number("select count(*) from simulator.operation where outcome = 'voided'").await, 2);
    shop.run("update pending_order_callback set due_at = now() - interval '1 s'").await.unwrap();
    shop.service.recover_once().await.unwrap();
    assert!(shop.orders.results().iter().any(|result| result.payment == forgotten && result.status == "voided"));
}

#[tokio::test]
async fn a_capture_whose_process_stopped_is_continued_with_the_same_key() {
    use agora_payment::{domain::AttemptKind, ports::Attempts as _};

    let shop = Shop::open().await;
    let id = shop.authorised(shop.order()).await;
    shop.store.prepare_operation(id, AttemptKind::Capture, Some(eur(400))).await.unwrap();
    let busy = shop.operate(id, "capture", json!({})).await.expect(409);
    assert_eq!((&busy.body["code"], busy.header("retry-after")), (&json!("REQUEST_IN_PROGRESS"), "1"));
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    let after = shop.read(id).await;
    assert_eq!((&after["status"], &after["captured"]["amount"]), (&json!("captured"), &json!(400)));
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn an_authorised_payment_is_pending_for_the_order_which_may_void_it() {
    let shop = Shop::open().await;
    let order = shop.order();
    let id = shop.authorised(order).await;
    let reference = json!({ "paymentId": id, "orderId": order, "userId": shop.user, "total": eur(DUE) });
    let settled = shop.command("/internal/v1/settle", reference.clone()).await.expect(200);
    assert_eq!((&settled.body["status"], &settled.body["resultId"]), (&json!("pending"), &json!(null)));
    assert_eq!(shop.command("/internal/v1/void", reference).await.expect(200).body["status"], "voided");
}

#[tokio::test]
async fn an_order_has_at_most_one_payment_that_holds_money() {
    let shop = Shop::open().await;
    let order = shop.order();
    let first = shop.captured(order).await;
    let second = shop.post("second", body(order, "tok_ok")).await.expect(409);
    assert_eq!((&second.body["code"], second.header("retry-after")), (&json!("PAYMENT_IN_PROGRESS"), "1"));
    assert_eq!(
        (shop.charge_count().await, shop.number("select count(*) from payment where status = 'failed'").await),
        (1, 1)
    );
    let mut own = shop.new_payment(Initiator::Order);
    own.order = order;
    assert!(shop.service.pay_for_order(&own).await.is_err());
    shop.refund("r", json!({ "paymentId": first })).await.expect(201);
    shop.post("third", body(order, "tok_ok")).await.expect(201);
    assert_eq!(shop.charge_count().await, 2);
}

#[tokio::test]
async fn of_twenty_concurrent_payments_of_one_order_one_charges() {
    let shop = Shop::open().await;
    let order = shop.order();
    let keys: Vec<String> = (0..20).map(|n| format!("key-{n}")).collect();
    let answers = join_all(keys.iter().map(|key| shop.post(key, body(order, "tok_ok")))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)));
    assert_eq!(shop.charge_count().await, 1);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn pa4_an_admin_reads_what_happened_to_a_payment() {
    let shop = Shop::open().await;
    let order = shop.order();
    shop.post("k", body(order, "tok_error")).await.expect(503);
    let id = shop.post("k", body(order, "tok_error")).await.expect(503);
    assert!(id.body["code"] == "PROVIDER_FAILED");
    let failed = shop.app.get(&format!("/api/v1/payments?orderId={order}")).with(&shop.token()).await.expect(200);
    let failed = failed.body["items"][0]["id"].as_str().unwrap().to_owned();
    let paid = shop.captured(shop.order()).await;
    shop.refund("r", json!({ "paymentId": paid, "amount": eur(300) })).await.expect(201);
    let log = async |id: &str| {
        let path = format!("/api/v1/payments/{id}/log");
        shop.app.get(&path).with(&shop.token()).await.expect(403);
        shop.app.get(&path).with(&shop.admin()).await.expect(200).body["items"].as_array().unwrap().clone()
    };
    let kinds = |log: &[serde_json::Value]| -> Vec<String> {
        log.iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
    };
    let entries = log(&failed).await;
    assert_eq!(kinds(&entries), ["created", "note", "failed"]);
    assert!(entries[1]["message"].as_str().unwrap().contains("charge attempt 1 failed (provider_error)"));
    assert_eq!(entries[2]["message"], "provider_error: the provider failed");
    let entries = log(&paid.to_string()).await;
    assert_eq!(kinds(&entries), ["created", "captured", "refund_requested", "refund_succeeded"]);
    assert_eq!((&entries[1]["amount"], &entries[3]["amount"]), (&json!(eur(DUE)), &json!(eur(300))));
    assert!(entries[3]["referenceId"].as_str().unwrap().starts_with("sim_"));
    let unknown = "00000000-0000-7000-8000-0000000000ff";
    shop.app.get(&format!("/api/v1/payments/{unknown}/log")).with(&shop.admin()).await.expect(404);
}

#[tokio::test]
async fn pa5_the_providers_answer_is_part_of_the_payment() {
    let shop = Shop::open().await;
    let paid = shop.post("a", body(shop.order(), "tok_ok")).await.expect(201).body;
    assert!(paid["referenceId"].as_str().unwrap().starts_with("sim_"));
    assert_eq!(paid["authorizationCode"].as_str().unwrap().len(), 6);
    assert_eq!((&paid["responseCode"], &paid["responseMessage"]), (&json!("approved"), &json!("approved")));
    let order = shop.order();
    shop.post("b", body(order, "tok_insufficient_funds")).await.expect(402);
    let list = shop.app.get(&format!("/api/v1/payments?orderId={order}")).with(&shop.token()).await.expect(200).body;
    let declined = &list["items"][0];
    assert_eq!((&declined["status"], &declined["responseCode"]), (&json!("declined"), &json!("insufficient_funds")));
}

#[tokio::test]
async fn pa8_a_method_that_is_not_known_is_refused_and_the_known_ones_are_named() {
    let shop = Shop::open().await;
    let cash = shop.post("k", json!({ "orderId": shop.order(), "method": "cash" })).await.expect(422);
    assert_eq!(cash.body["details"], json!([{ "field": "method", "message": "must be card" }]));
    let wrong = json!({ "orderId": shop.order(), "method": "card", "captureMethod": "later" });
    assert_eq!(shop.post("k", wrong).await.expect(422).body["details"][0]["field"], "captureMethod");
    assert_eq!(shop.post("k", body(shop.order(), "tok_ok")).await.expect(201).body["method"], "card");
}

#[tokio::test]
async fn pa9_the_capture_of_an_authorised_payment_is_delivered_to_an_order_that_was_away() {
    let shop = Shop::open().await;
    let id = shop.authorised(shop.order()).await;
    shop.orders.set_unavailable(true);
    shop.operate(id, "capture", json!({})).await.expect(200);
    assert_eq!(shop.number("select count(*) from pending_order_callback").await, 1);
    shop.orders.set_unavailable(false);
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    assert!(matches!(&shop.orders.results()[..], [result] if result.payment == id && result.status == "captured"));
    assert_eq!(shop.store.find(id).await.unwrap().unwrap().status, Status::Captured);
}
