//! Commands of the order service, and races of one payment.

use agora_payment::{
    Simulator,
    domain::{ChargeOutcome, Initiator, ProviderDetails, Status},
    ports::{Attempts as _, Charges as _, NewCharge, PaymentReads as _, Payments as _},
};
use agora_vocab::{Ids as _, PaymentId};
use futures::future::join_all;
use serde_json::json;

use crate::fixture::{DUE, Shop, eur, first_charge};

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
    assert_eq!((shop.charge_count().await, shop.number("select count(*) from ledger_journal").await), (1, 2));
    shop.assert_ledger_matches_payments().await;
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
async fn twenty_concurrent_commands_to_pay_charge_once_and_write_one_row_each() {
    let shop = Shop::open().await;
    let new = shop.new_payment(Initiator::Order);
    let answers = join_all((0..20).map(|_| shop.command("/internal/v1/pay", Shop::pay_command(&new)))).await;
    for answer in answers {
        let status = answer.expect(200).body["status"].clone();
        assert!(status == "pending" || status == "captured", "{status}");
    }
    let rows = "select (select count(*) from payment) * 1000 + (select count(*) from ledger_journal) * 100 \
        + (select count(*) from outbox) * 10 + (select count(*) from pending_order_callback) \
        + (select count(*) from payment_log)";
    assert_eq!((shop.charge_count().await, shop.number(rows).await), (1, 1110));
    assert_eq!(shop.store.find(new.id).await.unwrap().unwrap().status, Status::Captured);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn of_concurrent_outcomes_of_one_attempt_one_is_stored() {
    let shop = Shop::open().await;
    let new = shop.new_payment(Initiator::Order);
    shop.store.create_for_order(&new).await.unwrap();
    let payment = shop.store.find(new.id).await.unwrap().unwrap();
    let captured = || ChargeOutcome::Captured(ProviderDetails::default(), eur(DUE));
    let stored = join_all((0..10).map(|_| shop.store.apply_outcome(payment.clone(), captured()))).await;
    let results: Vec<_> = stored.into_iter().map(|stored| stored.unwrap().result).collect();
    assert!(results.iter().all(|result| result.is_some() && *result == results[0]), "{results:?}");
    assert_eq!(shop.number("select count(*) from ledger_journal").await, 1);
    assert_eq!(shop.number("select count(*) from outbox").await, 1);
}

#[tokio::test]
async fn a_late_outcome_of_an_earlier_attempt_changes_nothing() {
    let shop = Shop::open().await;
    let new = shop.new_payment(Initiator::Order);
    shop.store.create_for_order(&new).await.unwrap();
    let first = shop.store.find(new.id).await.unwrap().unwrap();
    shop.store.apply_outcome(first.clone(), ChargeOutcome::not_charged()).await.unwrap();
    shop.store.reopen(new.id, new.token.as_ref()).await.unwrap();
    let second = shop.store.prepare_charge(new.id, Some(eur(DUE))).await.unwrap();
    let after =
        shop.store.apply_outcome(first, ChargeOutcome::Captured(ProviderDetails::default(), eur(DUE))).await.unwrap();
    assert_eq!((after.status, after.open_attempt().map(|attempt| attempt.n)), (Status::Pending, Some(2)));
    assert_eq!(shop.number("select count(*) from ledger_journal").await, 0);
    let captured =
        shop.store.apply_outcome(second, ChargeOutcome::Captured(ProviderDetails::default(), eur(DUE))).await.unwrap();
    assert_eq!((captured.status, captured.seq), (Status::Captured, 2));
}

#[tokio::test]
async fn a_payment_is_either_voided_or_attempted() {
    let shop = Shop::open().await;
    for _ in 0..30 {
        let new = shop.new_payment(Initiator::Order);
        let (voided, created) = tokio::join!(shop.store.void(&new), shop.store.create_for_order(&new));
        let (voided, stored) = (voided.unwrap(), shop.store.find(new.id).await.unwrap().unwrap());
        assert_eq!(voided.status == Status::Voided, stored.status == Status::Voided);
        assert_eq!(stored.status == Status::Voided, created.is_err(), "{created:?}");
        assert_eq!(stored.open_attempt().is_some(), created.is_ok());
    }
}

#[tokio::test]
async fn a_concurrent_charge_and_query_of_one_key_have_one_outcome() {
    let shop = Shop::open().await;
    let provider = Simulator::new(shop.db.clone());
    for n in 0..20 {
        let key = format!("key-{n}");
        let charge = NewCharge { key: key.clone(), ..first_charge(&shop.new_payment(Initiator::Order)) };
        let (charged, queried) = tokio::join!(provider.charge(&charge), provider.find_charge(&key));
        assert_eq!(charged.unwrap(), queried.unwrap());
    }
    assert_eq!(shop.number("select count(*) from simulator.operation").await, 20);
}
