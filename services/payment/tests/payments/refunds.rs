//! Refunds by admins and by the order.

use agora_chassis::telemetry::{metrics_handle, series_value};
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{DUE, Shop};

#[tokio::test]
async fn pa3_concurrent_refunds_never_exceed_the_captured_amount() {
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
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_refund_by_order_id_is_reported_to_the_order() {
    let shop = Shop::open().await;
    let order = shop.order();
    shop.captured(order).await;
    let refund = shop.refund("r", json!({ "orderId": order })).await.expect(201);
    assert_eq!((&refund.body["status"], &refund.body["amount"]["amount"]), (&json!("succeeded"), &json!(DUE)));
    assert!(shop.orders.results().iter().any(|callback| callback.order == order && callback.status == "refunded"));
    assert_eq!(shop.number("select count(*) from pending_order_callback").await, 0);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn the_order_receives_its_refund_as_the_response_and_not_as_a_callback() {
    let shop = Shop::open().await;
    let order = shop.order();
    let id = shop.captured(order).await;
    let refund = shop.command("/internal/v1/refund", json!({ "paymentId": id, "orderId": order })).await.expect(200);
    assert_eq!(refund.body["status"], "refunded");
    assert_eq!(shop.number("select count(*) from pending_order_callback").await, 0);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_part_refunded_for_the_order_twenty_times_at_once_goes_back_once() {
    let shop = Shop::open().await;
    let order = shop.order();
    let id = shop.captured(order).await;
    let part = |refund: u128, amount: i64| {
        let body = json!({
            "paymentId": id, "orderId": order, "refundId": Uuid::from_u128(refund),
            "amount": { "amount": amount, "currency": "EUR" },
        });
        shop.command("/internal/v1/refund-part", body)
    };
    let answers = join_all((0..20).map(|_| part(1, 300))).await;
    for answer in answers {
        let status = answer.expect(200).body["status"].clone();
        assert!(status == "succeeded" || status == "pending", "{status}");
    }
    assert_eq!(part(1, 300).await.expect(200).body["status"], "succeeded");
    assert_eq!(shop.number("select refunded_minor from payment").await, 300);
    assert_eq!(part(2, 5_000_000).await.expect(200).body["status"], "succeeded", "what is left");
    assert_eq!(shop.number("select captured_minor - refunded_minor from payment").await, 0);
    assert_eq!(part(3, 1).await.expect(200).body["status"], "nothing_left");
    assert_eq!(shop.number("select count(*) from refund_attempt").await, 2);
    let other = json!({
        "paymentId": id, "orderId": shop.order(), "refundId": Uuid::from_u128(4), "amount": { "amount": 1, "currency": "EUR" },
    });
    shop.command("/internal/v1/refund-part", other).await.expect(409);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn de10_captured_and_refunded_money_is_counted_in_minor_units() {
    metrics_handle();
    let posted = |kind: &str| {
        let series = format!("payment_posted_minor_units_total{{kind=\"{kind}\",currency=\"EUR\"}}");
        series_value(&series).unwrap_or_default()
    };
    let before = (posted("capture"), posted("refund"));
    let shop = Shop::open().await;
    let id = shop.captured(shop.order()).await;
    let amount = json!({ "amount": 300, "currency": "EUR" });
    shop.refund("r", json!({ "paymentId": id, "amount": amount })).await.expect(201);
    // Other tests of this process move money too.
    let due = u32::try_from(DUE).unwrap();
    assert!(posted("capture") >= before.0 + f64::from(due), "{before:?}");
    assert!(posted("refund") >= before.1 + 300.0, "{before:?}");
}
