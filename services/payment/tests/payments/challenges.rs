//! Payments that wait for their payer.

use agora_vocab::{Ids as _, PaymentId, UserId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{DUE, Shop, body};

/// A payment that waits for its payer, and the path of its challenge.
async fn waiting(shop: &Shop, key: &str) -> (PaymentId, String) {
    let answer = shop.post(key, body(shop.order(), "tok_action_required")).await.expect(201).body;
    assert_eq!((&answer["status"], &answer["nextAction"]["type"]), (&json!("action_required"), &json!("redirect")));
    let url = answer["nextAction"]["url"].as_str().unwrap().to_owned();
    (answer["id"].as_str().unwrap().parse().unwrap(), url)
}

async fn confirm(shop: &Shop, id: PaymentId) -> Value {
    shop.app.post(&format!("/api/v1/payments/{id}/confirm"), json!({})).with(&shop.token()).await.expect(200).body
}

#[tokio::test]
async fn pa1_a_payment_that_needs_an_action_is_captured_once_its_payer_confirmed_it() {
    let shop = Shop::open().await;
    let (id, challenge) = waiting(&shop, "k").await;
    assert_eq!(confirm(&shop, id).await["status"], "action_required", "nothing happens before the payer has acted");
    assert_eq!(
        (shop.charge_count().await, shop.number("select count(*) from payment where sealed_token is not null").await),
        (0, 0)
    );
    let stranger = shop.keys.token(UserId::new(Uuid::from_u128(99)), &[agora_vocab::Role::Customer]);
    shop.app.post(&format!("/api/v1/payments/{id}/confirm"), json!({})).with(&stranger).await.expect(404);
    shop.app.post(&challenge, json!({ "approve": true })).with(&stranger).await.expect(404);
    shop.app.post(&challenge, json!({ "approve": true })).with(&shop.token()).await.expect(204);
    shop.app.post(&challenge, json!({ "approve": false })).with(&shop.token()).await.expect(404);
    for _ in 0..2 {
        let paid = confirm(&shop, id).await;
        assert_eq!((&paid["status"], &paid["nextAction"]), (&json!("captured"), &json!(null)));
        assert_eq!(paid["captured"]["amount"], DUE);
    }
    assert!(matches!(&shop.orders.results()[..], [result] if result.status == "captured"));
    assert_eq!(shop.charge_count().await, 1);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_payer_that_the_bank_does_not_recognise_is_declined() {
    let shop = Shop::open().await;
    let (id, challenge) = waiting(&shop, "k").await;
    shop.app.post(&challenge, json!({ "approve": false })).with(&shop.token()).await.expect(204);
    let declined = confirm(&shop, id).await;
    assert_eq!((&declined["status"], &declined["responseCode"]), (&json!("declined"), &json!("authentication_failed")));
    assert!(matches!(&shop.orders.results()[..], [result] if result.status == "declined"));
    assert_eq!(shop.charge_count().await, 0);
}

#[tokio::test]
async fn a_payer_who_does_not_act_in_time_fails_and_the_same_key_tries_again() {
    let shop = Shop::open().await;
    let (id, challenge) = waiting(&shop, "k").await;
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    assert_eq!(shop.read(id).await["status"], "action_required", "the payer has some minutes");
    shop.run("update payment set deadline = now() - interval '1 s'").await.unwrap();
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    let failed = shop.read(id).await;
    assert_eq!((&failed["status"], &failed["responseCode"]), (&json!("failed"), &json!("action_timeout")));
    shop.app.post(&challenge, json!({ "approve": true })).with(&shop.token()).await.expect(404);
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    assert!(matches!(&shop.orders.results()[..], [result] if result.status == "failed"));
    let order: String = shop.read(id).await["orderId"].as_str().unwrap().to_owned();
    let again = body(order.parse().unwrap(), "tok_action_required");
    let again = shop.post("k", again).await.expect(201).body;
    assert_eq!((&again["status"], &again["id"]), (&json!("action_required"), &json!(id)));
    assert_ne!(again["nextAction"]["url"].as_str().unwrap(), challenge, "the next attempt has a challenge of its own");
    assert_eq!(shop.charge_count().await, 0);
}

#[tokio::test]
async fn a_payer_who_acted_at_the_last_moment_keeps_the_outcome() {
    let shop = Shop::open().await;
    let (id, challenge) = waiting(&shop, "k").await;
    shop.app.post(&challenge, json!({ "approve": true })).with(&shop.token()).await.expect(204);
    shop.run("update payment set deadline = now() - interval '1 s'").await.unwrap();
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    assert_eq!(shop.read(id).await["status"], "captured");
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn the_order_voids_a_payment_whose_payer_has_not_acted_and_it_is_never_charged() {
    let shop = Shop::open().await;
    let (order, id) = (shop.order(), PaymentId::new(shop.ids.next()));
    let total = json!({ "amount": DUE, "currency": "EUR" });
    let pay = json!({
        "paymentId": id, "orderId": order, "userId": shop.user, "total": total, "method": "card",
        "token": "tok_action_required"
    });
    assert_eq!(shop.command("/internal/v1/pay", pay).await.expect(200).body["status"], "pending");
    let challenge = shop.read(id).await["nextAction"]["url"].as_str().unwrap().to_owned();
    let reference = json!({ "paymentId": id, "orderId": order, "userId": shop.user, "total": total });
    assert_eq!(shop.command("/internal/v1/void", reference).await.expect(200).body["status"], "voided");
    shop.app.post(&challenge, json!({ "approve": true })).with(&shop.token()).await.expect(404);
    assert_eq!(shop.charge_count().await, 0);
}

#[tokio::test]
async fn a_payment_that_needs_an_action_can_be_authorised_only() {
    let shop = Shop::open().await;
    let held = json!({
        "orderId": shop.order(), "method": "card", "token": "tok_action_required", "captureMethod": "manual"
    });
    let answer = shop.post("k", held).await.expect(201).body;
    let (id, challenge) =
        (answer["id"].as_str().unwrap().parse().unwrap(), answer["nextAction"]["url"].as_str().unwrap());
    shop.app.post(challenge, json!({ "approve": true })).with(&shop.token()).await.expect(204);
    assert_eq!(confirm(&shop, id).await["status"], "authorised");
    assert_eq!(shop.operate(id, "capture", json!({})).await.expect(200).body["status"], "captured");
    shop.assert_ledger_matches_payments().await;
}
