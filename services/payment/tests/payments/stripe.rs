//! A provider with Stripe's interface that is slow, loses answers and repeats messages.

use std::{sync::Arc, time::Duration};

use agora_chassis::WatchedSecret;
use agora_payment::{
    Stripe, StripeSettings, StripeWebhooks,
    domain::{Category, Initiator},
    ports::{NewCharge, Payments as _},
    service::{PaymentService, ReconciliationSchedule},
};
use agora_testkit::{FixedClock, STRIPE_API_KEY, STRIPE_WEBHOOK_SECRET, StripeFault, StripeServer, TestResponse, sign};
use agora_vocab::{OrderId, PaymentId, Secret};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::fixture::{Adapters, DUE, Shop, body, eur, first_charge};

/// The time of the shop's clock, in seconds since 1970.
const NOW: i64 = 1_800_000_000;
/// Longer than any answer on loopback; tests of a slow provider use a shorter one.
const PATIENT: Duration = Duration::from_secs(30);
/// A slow provider answers after this time on purpose.
const IMPATIENT: Duration = Duration::from_millis(50);
/// Bound of a wait for what must happen at once.
const SOON: Duration = Duration::from_mins(1);

async fn shop_with(timeout: Duration, api_key: &str) -> (Shop, StripeServer) {
    let server = StripeServer::start().await;
    let api_key = WatchedSecret::fixed(api_key);
    let settings = StripeSettings { base_url: server.url(), api_key, return_url: Some("https://shop.example/".into()) };
    let provider = Arc::new(Stripe::new(settings).unwrap());
    let clock = FixedClock::at(OffsetDateTime::from_unix_timestamp(NOW).unwrap());
    let webhooks = StripeWebhooks::new(WatchedSecret::fixed(STRIPE_WEBHOOK_SECRET), Arc::new(clock));
    let shop =
        Shop::with(|_| Adapters { provider, webhooks: Some(Arc::new(webhooks)), challenges: None, timeout }).await;
    (shop, server)
}

async fn shop() -> (Shop, StripeServer) {
    shop_with(PATIENT, STRIPE_API_KEY).await
}

async fn pay(shop: &Shop, order: OrderId, token: &str) -> TestResponse {
    shop.post(&order.to_string(), body(order, token)).await
}

fn id_of(answer: &TestResponse) -> PaymentId {
    answer.body["id"].as_str().unwrap().parse().unwrap()
}

async fn work(shop: &Shop) {
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
}

async fn notify(shop: &Shop, (signature, body): &(String, String)) -> TestResponse {
    let request = shop.app.post("/api/v1/payments/webhooks/stripe", Value::Null).raw(body.clone());
    request.header("stripe-signature", signature).await
}

/// The keys of the requests that created a payment intent.
fn charge_keys(server: &StripeServer) -> Vec<String> {
    server.requests().into_iter().filter(|(path, _)| path == "/v1/payment_intents").map(|(_, key)| key).collect()
}

#[tokio::test]
async fn pa5_a_charge_is_made_and_the_payment_has_the_providers_answer() {
    let (shop, server) = shop().await;
    for token in ["pm_card_visa", "tok_visa"] {
        let paid = pay(&shop, shop.order(), token).await.expect(201).body;
        assert_eq!((&paid["status"], &paid["authorizationCode"]), (&json!("captured"), &json!("A1B2C3")));
        assert_eq!(
            (&paid["responseCode"], &paid["responseMessage"]),
            (&json!("approved_by_network"), &json!("Payment complete."))
        );
        let intent = server.intents().into_iter().find(|intent| intent["id"] == paid["referenceId"]).unwrap();
        assert_eq!((&intent["amount_received"], &intent["currency"]), (&json!(DUE), &json!("eur")));
        assert_eq!(intent["metadata"]["agora_payment"], paid["id"]);
    }
    let declined = pay(&shop, shop.order(), "pm_card_chargeDeclined").await.expect(402).body;
    assert_eq!(declined["declineCode"], "generic_decline");
    let failed = pay(&shop, shop.order(), "pm_unknown").await.expect(503).body;
    assert_eq!(failed["code"], "PROVIDER_FAILED");
    let without = shop.post("none", json!({ "orderId": shop.order(), "method": "card" })).await.expect(422).body;
    assert_eq!(without["details"][0]["field"], "token");
    shop.assert_ledger_matches_payments().await;
    assert_eq!(server.balance(), 2 * DUE);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_with_the_same_key_and_charged_once() {
    let (shop, server) = shop().await;
    server.fail(&[StripeFault::LoseAnswer]);
    let paid = pay(&shop, shop.order(), "pm_card_visa").await.expect(201);
    assert_eq!(paid.body["status"], "captured");
    let keys = charge_keys(&server);
    assert_eq!(keys, vec![format!("0:{}:capture:1", id_of(&paid)); 2]);
    server.fail(&[StripeFault::LoseAnswer]);
    let refund = shop.refund("r", json!({ "paymentId": id_of(&paid), "amount": eur(400) })).await.expect(201);
    assert_eq!(refund.body["status"], "succeeded");
    assert_eq!((server.intents().len(), server.balance()), (1, DUE - 400));
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_slow_provider_charges_once_although_the_call_was_given_up() {
    let (shop, server) = shop_with(IMPATIENT, STRIPE_API_KEY).await;
    server.fail(&[StripeFault::Slow]);
    let order = shop.order();
    let pending = pay(&shop, order, "pm_card_visa").await.expect(201);
    assert_eq!(pending.body["status"], "pending");
    work(&shop).await;
    assert_eq!(shop.read(id_of(&pending)).await["status"], "pending", "the key is in use");
    assert_eq!(server.balance(), 0);
    server.release();
    let give_up = Instant::now() + SOON;
    while server.balance() == 0 {
        assert!(Instant::now() < give_up, "the provider has not executed the charge");
        tokio::task::yield_now().await;
    }
    // Each try may exceed the short deadline again on a busy machine.
    while shop.read(id_of(&pending)).await["status"] == "pending" {
        assert!(Instant::now() < give_up, "the worker has not found the charge");
        work(&shop).await;
    }
    assert_eq!((server.intents().len(), server.balance()), (1, DUE));
    assert!(charge_keys(&server).iter().all(|key| *key == charge_keys(&server)[0]));
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_provider_that_fails_or_is_busy_decides_nothing_and_the_worker_charges_once() {
    let (shop, server) = shop().await;
    for status in [500, 503, 429] {
        server.fail(&[StripeFault::Status(status), StripeFault::Status(status)]);
        let pending = pay(&shop, shop.order(), "pm_card_visa").await.expect(201);
        assert_eq!(pending.body["status"], "pending", "{status}");
        work(&shop).await;
        assert_eq!(shop.read(id_of(&pending)).await["status"], "captured", "{status}");
    }
    assert_eq!((server.intents().len(), server.balance()), (3, 3 * DUE));
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_wrong_api_key_never_ends_a_payment() {
    let (shop, server) = shop_with(PATIENT, "sk_wrong").await;
    let pending = pay(&shop, shop.order(), "pm_card_visa").await.expect(201);
    work(&shop).await;
    assert_eq!(shop.read(id_of(&pending)).await["status"], "pending");
    assert!(server.intents().is_empty());
}

#[tokio::test]
async fn a_charge_whose_key_the_provider_has_forgotten_is_found_and_not_made_again() {
    let (shop, server) = shop().await;
    let new = shop.new_payment(Initiator::Order);
    shop.store.create_for_order(&new).await.unwrap();
    // The process stopped after the provider had executed the charge.
    let charge = NewCharge { token: Secret::new("pm_card_visa"), ..first_charge(&new) };
    shop.service.provider.as_ref().unwrap().charge(&charge).await.unwrap();
    shop.run("update payment set updated_at = now() - interval '1 day'").await.unwrap();
    server.forget_keys();
    let before = server.requests().len();
    work(&shop).await;
    assert_eq!(server.requests().len(), before, "nothing is sent again");
    assert_eq!(shop.read(new.id).await["status"], "captured");
    assert_eq!((server.intents().len(), server.balance()), (1, DUE));
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_payer_is_sent_to_the_bank_and_the_payment_goes_on_afterwards() {
    let (shop, server) = shop().await;
    for confirmed in [true, false] {
        let waiting = pay(&shop, shop.order(), "pm_card_authenticationRequired").await.expect(201);
        let reference = waiting.body["referenceId"].as_str().unwrap().to_owned();
        assert_eq!(waiting.body["status"], "action_required");
        assert_eq!(
            waiting.body["nextAction"],
            json!({ "type": "redirect", "url": format!("https://hooks.example/redirect/{reference}") })
        );
        server.act(&reference, confirmed);
        let path = format!("/api/v1/payments/{}/confirm", id_of(&waiting));
        let after = shop.app.post(&path, json!({})).with(&shop.token()).await.expect(200).body;
        let expected = if confirmed { "captured" } else { "declined" };
        assert_eq!((&after["status"], &after["nextAction"]), (&json!(expected), &json!(null)));
    }
    assert_eq!(server.balance(), DUE);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn an_authorisation_is_captured_in_part_or_voided_at_the_provider() {
    let (shop, server) = shop().await;
    let hold = async |key: &str| {
        let order = shop.order();
        let body = json!({ "orderId": order, "method": "card", "token": "pm_card_visa", "captureMethod": "manual" });
        id_of(&shop.post(key, body).await.expect(201))
    };
    let (captured, voided) = (hold("a").await, hold("b").await);
    assert_eq!(server.balance(), 0);
    server.fail(&[StripeFault::LoseAnswer]);
    let after = shop.operate(captured, "capture", json!({ "amount": eur(700) })).await.expect(200).body;
    assert_eq!((&after["status"], &after["captured"]["amount"]), (&json!("captured"), &json!(700)));
    assert_eq!(shop.operate(voided, "void", json!({})).await.expect(200).body["status"], "voided");
    assert_eq!(server.balance(), 700);
    let states: Vec<_> = server.intents().iter().map(|intent| intent["status"].clone()).collect();
    assert_eq!(states, [json!("succeeded"), json!("canceled")]);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_message_with_a_bad_signature_changes_nothing() {
    let (shop, server) = shop().await;
    let body_of =
        json!({ "orderId": shop.order(), "method": "card", "token": "pm_card_visa", "captureMethod": "manual" });
    let held = shop.post("k", body_of).await.expect(201);
    let reference = held.body["referenceId"].as_str().unwrap();
    server.capture(reference, DUE);
    let (good, body) = server.event("evt_1", "payment_intent.succeeded", reference, NOW);
    let cases = [
        (sign("whsec_other", NOW, &body), body.clone(), "INVALID_SIGNATURE"),
        (good.clone(), body.replace("succeeded", "succeeDed"), "INVALID_SIGNATURE"),
        (String::new(), body.clone(), "INVALID_SIGNATURE"),
        (sign(STRIPE_WEBHOOK_SECRET, NOW - 301, &body), body.clone(), "STALE_SIGNATURE"),
        (sign(STRIPE_WEBHOOK_SECRET, NOW, "{}"), "{}".to_owned(), "INVALID_EVENT"),
    ];
    for (signature, body, code) in cases {
        let refused = notify(&shop, &(signature, body)).await.expect(400);
        assert_eq!(refused.body["code"], code);
    }
    let large = "x".repeat(70_000);
    notify(&shop, &(sign(STRIPE_WEBHOOK_SECRET, NOW, &large), large)).await.expect(413);
    assert_eq!(shop.number("select count(*) from provider_event").await, 0);
    assert_eq!(shop.read(id_of(&held)).await["status"], "authorised");
    let other = shop.app.post("/api/v1/payments/webhooks/other", Value::Null).raw(body.clone());
    other.header("stripe-signature", &good).await.expect(404);
    notify(&shop, &(good, body)).await.expect(200);
    assert_eq!(shop.read(id_of(&held)).await["status"], "captured");
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn repeated_and_late_messages_are_harmless() {
    let (shop, server) = shop().await;
    let order = shop.order();
    let waiting = pay(&shop, order, "pm_card_authenticationRequired").await.expect(201);
    let (id, reference) = (id_of(&waiting), waiting.body["referenceId"].as_str().unwrap().to_owned());
    let early = server.event("evt_early", "payment_intent.requires_action", &reference, NOW);
    server.act(&reference, true);
    let confirmed = server.event("evt_confirmed", "payment_intent.processing", &reference, NOW);
    notify(&shop, &confirmed).await.expect(200);
    assert_eq!(shop.read(id).await["status"], "captured");
    let late = server.event("evt_late", "payment_intent.payment_failed", &reference, NOW);
    for message in [&early, &late, &confirmed, &early] {
        notify(&shop, message).await.expect(200);
        assert_eq!(shop.read(id).await["status"], "captured");
    }
    assert_eq!(shop.number("select count(*) from provider_event where processed_at is not null").await, 3);
    assert_eq!(shop.number("select count(*) from ledger_journal").await, 1);
    assert!(matches!(&shop.orders.results()[..], [result] if result.order == order && result.status == "captured"));
    let unknown = server.event("evt_unknown", "payment_intent.created", &reference, NOW);
    let unknown = unknown.1.replace(&reference, "pi_of_another_shop");
    notify(&shop, &(sign(STRIPE_WEBHOOK_SECRET, NOW, &unknown), unknown)).await.expect(200);
    let log = shop.app.get(&format!("/api/v1/payments/{id}/log")).with(&shop.admin()).await.expect(200).body;
    let kinds: Vec<_> = log["items"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "provider_event").count(), 3, "{kinds:?}");
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_processed_is_processed_by_the_worker() {
    let (shop, server) = shop().await;
    let order = shop.order();
    let body = json!({ "orderId": order, "method": "card", "token": "pm_card_visa", "captureMethod": "manual" });
    let held = shop.post("k", body).await.expect(201);
    let reference = shop.read(id_of(&held)).await["referenceId"].as_str().unwrap().to_owned();
    server.capture(&reference, 800);
    let event = server.event("evt_1", "payment_intent.succeeded", &reference, NOW);
    let away = PaymentService { provider: None, ..shop.service.clone() };
    away.receive_event("stripe", &event.0, event.1.as_bytes()).await.unwrap();
    assert_eq!(shop.number("select count(*) from provider_event where processed_at is null").await, 1);
    let give_up = Instant::now() + SOON;
    while shop.read(id_of(&held)).await["status"] != "captured" {
        assert!(Instant::now() < give_up, "the worker has not processed the message");
        shop.run("update provider_event set due_at = now() - interval '1 s' where processed_at is null").await.unwrap();
        shop.service.recover_once().await.unwrap();
    }
    assert_eq!(shop.read(id_of(&held)).await["captured"]["amount"], 800);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn the_providers_report_is_compared_page_by_page() {
    let (shop, server) = shop().await;
    for _ in 0..4 {
        let paid = pay(&shop, shop.order(), "pm_card_visa").await.expect(201);
        let id = id_of(&paid);
        shop.refund(&id.to_string(), json!({ "paymentId": id, "amount": eur(100) })).await.expect(201);
    }
    let compare = async || {
        shop.run("update reconciliation_run set compared_until = now() - interval '1 hour'").await.unwrap();
        let now = ReconciliationSchedule { every: Duration::ZERO, age: Duration::ZERO };
        assert!(shop.service.reconcile(now).await.unwrap());
        shop.service.differences().await.unwrap()
    };
    assert_eq!(compare().await, []);
    let body = json!({ "orderId": shop.order(), "method": "card", "token": "pm_card_visa", "captureMethod": "manual" });
    let held = shop.post("k", body).await.expect(201);
    server.capture(held.body["referenceId"].as_str().unwrap(), 250);
    let found = compare().await;
    assert!(
        matches!(&found[..], [one] if one.category == Category::MissingHere && one.there == Some(eur(250))),
        "{found:?}"
    );
}

#[tokio::test]
async fn processed_messages_are_deleted_after_90_days() {
    let (shop, _) = shop().await;
    let insert = "insert into provider_event (provider, event_id, kind, processed_at, due_at) \
        select 'stripe', 'evt_' || n, 'kind', case when n > 10 then now() - n * interval '1 day' end, now() \
        from generate_series(1, 1200) as n";
    shop.run(insert).await.unwrap();
    shop.service.delete_old_events().await.unwrap();
    assert_eq!(
        shop.number("select count(*) from provider_event").await,
        89,
        "ten that are not processed, and 11 to 89 days old"
    );
}
