//! The ledger compared with the provider's report.

use std::time::Duration;

use agora_payment::{domain::Category, service::ReconciliationSchedule};
use serde_json::json;

use crate::fixture::{Shop, eur};

/// Every call compares everything.
const NOW: ReconciliationSchedule = ReconciliationSchedule { every: Duration::ZERO, age: Duration::ZERO };

async fn found(shop: &Shop) -> Vec<(Category, &'static str)> {
    shop.run("update reconciliation_run set compared_until = now() - interval '1 hour'").await.unwrap();
    assert!(shop.service.reconcile(NOW).await.unwrap());
    let found = shop.service.differences().await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|found| (found.category, found.kind.as_str())).collect();
    found.sort_unstable_by_key(|(category, kind)| (category.as_str(), *kind));
    found
}

#[tokio::test]
async fn captures_and_refunds_that_both_sides_record_match() {
    let shop = Shop::open().await;
    let id = shop.captured(shop.order()).await;
    shop.refund("r", json!({ "paymentId": id, "amount": eur(300) })).await.expect(201);
    let held = shop.authorised(shop.order()).await;
    shop.operate(held, "capture", json!({ "amount": eur(600) })).await.expect(200);
    shop.authorised(shop.order()).await;
    assert_eq!(found(&shop).await, []);
}

#[tokio::test]
async fn each_kind_of_difference_is_found_stored_and_gone_when_it_is_mended() {
    let shop = Shop::open().await;
    for _ in 0..3 {
        let id = shop.captured(shop.order()).await;
        shop.refund(&id.to_string(), json!({ "paymentId": id, "amount": eur(300) })).await.expect(201);
    }
    for change in [
        // The provider does not know the first charge, and states another amount for the second.
        "update simulator.operation set created_at = created_at - interval '30 days' \
            where reference = (select reference_id from payment order by id limit 1)",
        "update simulator.operation set captured_minor = 999 \
            where reference = (select reference_id from payment order by id limit 1 offset 1)",
        // The ledger does not know a refund of the third.
        "update refund_attempt set reference_id = null \
            where payment_id = (select id from payment order by id limit 1 offset 2)",
    ] {
        assert_eq!(shop.run(change).await.unwrap(), 1, "{change}");
    }
    let expected =
        [(Category::AmountDiffers, "capture"), (Category::MissingHere, "refund"), (Category::MissingThere, "capture")];
    assert_eq!(found(&shop).await, expected);
    let list = shop.app.get("/api/v1/payments/reconciliation").with(&shop.admin()).await.expect(200).body;
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    let other = list["items"].as_array().unwrap().iter().find(|item| item["category"] == "amount_differs").unwrap();
    assert_eq!((&other["here"], &other["there"]), (&json!(eur(1000)), &json!(eur(999))));
    shop.app.get("/api/v1/payments/reconciliation").with(&shop.token()).await.expect(403);
    shop.run("update simulator.operation set captured_minor = amount_minor, created_at = now() where kind = 'charge'")
        .await
        .unwrap();
    assert_eq!(found(&shop).await, [(Category::MissingHere, "refund")]);
    assert_eq!(shop.number("select count(*) from reconciliation_difference").await, 1);
}

#[tokio::test]
async fn of_two_processes_one_compares_and_only_what_is_older_than_15_minutes() {
    let shop = Shop::open().await;
    shop.captured(shop.order()).await;
    shop.run("update simulator.operation set captured_minor = 1").await.unwrap();
    shop.run("update reconciliation_run set compared_until = now() - interval '7 hours'").await.unwrap();
    let schedule = ReconciliationSchedule::SHOP;
    let (first, second) = tokio::join!(shop.service.reconcile(schedule), shop.service.reconcile(schedule));
    assert_eq!(usize::from(first.unwrap()) + usize::from(second.unwrap()), 1);
    assert_eq!(shop.service.differences().await.unwrap(), []);
    // Sixty slices of five minutes a run: the second one catches up.
    let behind = "select extract(epoch from now() - compared_until)::bigint / 60 from reconciliation_run";
    assert_eq!(shop.number(behind).await, 120);
    shop.run("update reconciliation_run set begun_at = '-infinity'").await.unwrap();
    shop.service.reconcile(schedule).await.unwrap();
    assert_eq!(shop.number(behind).await, 15);
}
