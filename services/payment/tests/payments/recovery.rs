//! The worker: what it continues after a crash or a lost response.

use std::{sync::Arc, time::Duration};

use agora_outbox::DedupKey;
use agora_payment::{
    PgPayments, Simulator,
    domain::Initiator,
    ports::{Acquired, Attempts as _, Charges as _, PaymentReads as _, Payments as _},
    service::PaymentService,
};
use agora_vocab::Epoch;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fixture::{DUE, Shop, body, eur, first_charge};

/// The worker looks again after four seconds at most.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_charge_whose_response_was_lost_is_not_made_again() {
    let shop = Shop::open().await;
    let order = shop.order();
    let pending = shop.post("k", body(order, "tok_lost_answer")).await.expect(201);
    assert_eq!(pending.body["status"], "pending");
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    let captured = shop.post("k", body(order, "tok_lost_answer")).await.expect(201);
    assert_eq!((&captured.body["status"], &captured.body["id"]), (&json!("captured"), &pending.body["id"]));
    assert_eq!(shop.charge_count().await, 1);
    shop.assert_ledger_matches_payments().await;
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
async fn the_worker_continues_a_payment_after_a_crash_at_any_step() {
    let shop = Shop::open().await;
    for steps in 0..3 {
        let new = shop.new_payment(Initiator::Shopper);
        let id = new.id;
        let dedup_key =
            DedupKey::Request { scope: shop.user.to_string(), key: id.to_string(), route: "r".into(), hash: [0; 32] };
        assert!(matches!(shop.store.create(&new, &dedup_key).await.unwrap(), Acquired::Held(_)));
        if steps > 0 {
            shop.store.prepare_charge(id, Some(eur(DUE))).await.unwrap();
        }
        if steps > 1 {
            Simulator::new(shop.db.clone()).charge(&first_charge(&new)).await.unwrap();
        }
        shop.expire_leases().await;
        shop.service.recover_once().await.unwrap();
        shop.expire_leases().await;
        shop.service.recover_once().await.unwrap();
        let payment = shop.store.find(id).await.unwrap().unwrap();
        // Also after a crash between storing and sending the attempt: it is sent with the same key.
        assert_eq!(payment.status.as_str(), "captured", "after {steps} steps");
        assert!(
            shop.orders.results().iter().any(|callback| callback.payment == id),
            "the result is reported after {steps} steps"
        );
    }
    assert_eq!((shop.charge_count().await, shop.number("select count(*) from pending_order_callback").await), (3, 0));
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_result_is_kept_until_its_order_has_acknowledged_it() {
    let shop = Shop::open().await;
    let id = shop.authorised(shop.order()).await;
    shop.orders.set_unavailable(true);
    shop.operate(id, "capture", json!({})).await.expect(200);
    for (unavailable, kept) in [(true, 1), (true, 1), (false, 0)] {
        shop.orders.set_unavailable(unavailable);
        shop.expire_leases().await;
        shop.service.recover_once().await.unwrap();
        assert_eq!(shop.number("select count(*) from pending_order_callback").await, kept);
    }
}

#[tokio::test]
async fn what_cannot_be_continued_does_not_hold_up_the_others_or_end_the_worker() {
    const FIRST_IS_OLDEST: &str = "update pending_order_callback as c set due_at = due_at - interval '1 s' \
        where not exists (select from pending_order_callback as o where o.payment_id < c.payment_id)";
    let shop = Shop::open().await;
    let (stuck, other) = (shop.order(), shop.order());
    for order in [stuck, other] {
        let id = shop.authorised(order).await;
        shop.orders.set_unavailable(true);
        shop.operate(id, "capture", json!({})).await.expect(200);
        shop.orders.set_unavailable(false);
    }
    shop.expire_leases().await;
    shop.run(FIRST_IS_OLDEST).await.unwrap();
    shop.orders.set_unavailable_for(Some(stuck));
    // Looking for messages of the provider fails, too.
    shop.run("alter table provider_event rename to provider_event_gone").await.unwrap();
    shop.service.recover_once().await.unwrap_err();
    assert!(matches!(&shop.orders.results()[..], [result] if result.order == other));

    shop.expire_leases().await;
    let all_are_continued = async {
        while shop.number("select max(tries)::bigint from pending_order_callback").await < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The look that failed has ended by then.
        tokio::time::sleep(Duration::from_millis(200)).await;
        shop.orders.set_unavailable_for(None);
        shop.expire_leases().await;
        while shop.number("select count(*) from pending_order_callback").await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = agora_payment::worker::run(shop.service.clone(), CancellationToken::new()) => panic!("{ended:?}"),
        continued = tokio::time::timeout(PATIENCE, all_are_continued) => continued.unwrap(),
    }
}

#[tokio::test]
async fn an_order_payment_that_crashed_before_its_charge_is_charged_once() {
    let shop = Shop::open().await;
    let new = shop.new_payment(Initiator::Order);
    shop.store.create_for_order(&new).await.unwrap();
    let leased = shop.command("/internal/v1/pay", Shop::pay_command(&new)).await.expect(200);
    assert_eq!(leased.body["status"], "pending", "another process may be about to charge");
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    let captured = shop.command("/internal/v1/pay", Shop::pay_command(&new)).await.expect(200);
    assert_eq!(captured.body["status"], "captured");
    assert_eq!((shop.charge_count().await, shop.number("select count(*) from pending_order_callback").await), (1, 0));
}

#[tokio::test]
async fn an_order_payment_whose_response_was_lost_is_continued_by_the_next_command() {
    let shop = Shop::open().await;
    let new = shop.new_payment(Initiator::Order);
    shop.store.create_for_order(&new).await.unwrap();
    Simulator::new(shop.db.clone()).charge(&first_charge(&new)).await.unwrap();
    shop.expire_leases().await;
    let captured = shop.command("/internal/v1/pay", Shop::pay_command(&new)).await.expect(200);
    assert_eq!((&captured.body["status"], shop.charge_count().await), (&json!("captured"), 1));
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_charge_of_an_earlier_recovery_epoch_is_found_and_not_repeated() {
    let shop = Shop::open().await;
    let new = shop.new_payment(Initiator::Order);
    shop.store.create_for_order(&new).await.unwrap();
    Simulator::new(shop.db.clone()).charge(&first_charge(&new)).await.unwrap();
    shop.expire_leases().await;
    let restored = PgPayments::new(shop.db.clone(), Arc::new(shop.ids.clone()), Epoch(1));
    PaymentService { store: Arc::new(restored), ..shop.service.clone() }.recover_once().await.unwrap();
    let payment = shop.store.find(new.id).await.unwrap().unwrap();
    assert_eq!((payment.status.as_str(), shop.charge_count().await), ("captured", 1));
}
