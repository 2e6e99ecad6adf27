//! Tokens of cards: encrypted in the database, sealed again when the key rotates, erased with the result.

use std::sync::Arc;

use agora_chassis::WatchedSecret;
use agora_payment::{
    EnvelopeCipher, Simulator,
    domain::Initiator,
    ports::{Charges as _, PaymentReads as _, Payments as _, TokenCipher as _},
    service::PaymentService,
};

use crate::fixture::{ENCRYPTION_KEY, Shop, body, cipher, first_charge};

/// Another 32 bytes in Base64.
const NEXT_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// The service after a rotation to `NEXT_KEY`, with the key before it or without.
fn rotated(shop: &Shop, previous: Option<&str>) -> PaymentService {
    let cipher = EnvelopeCipher::new(WatchedSecret::fixed(NEXT_KEY), previous.map(WatchedSecret::fixed));
    PaymentService { cipher: Arc::new(cipher), ..shop.service.clone() }
}

#[tokio::test]
async fn pa6_a_token_is_stored_encrypted_and_erased_with_the_result() {
    let shop = Shop::open().await;
    shop.post("k", body(shop.order(), "tok_lost_answer")).await.expect(201);
    let stored = "select count(*) from payment where sealed_token is not null and status = 'pending' \
        and position('tok_lost_answer'::bytea in sealed_token) = 0 and length(sealed_token) > 100";
    assert_eq!(shop.number(stored).await, 1);
    let clear = "select count(*) from payment p where p::text like '%tok_lost%'";
    assert_eq!(shop.number(clear).await, 0, "no column contains the token");
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    assert_eq!(shop.number("select count(*) from payment where status = 'captured' and sealed_token is null").await, 1);
    assert_eq!(shop.charge_count().await, 1);
    for statement in [
        "select count(*) from outbox where data::text like '%tok_%'",
        "select count(*) from idempotency where answer::text like '%tok_%'",
    ] {
        assert_eq!(shop.number(statement).await, 0, "{statement}");
    }
}

#[tokio::test]
async fn pa7_the_worker_seals_tokens_again_when_the_key_rotates_and_the_old_key_is_then_not_needed() {
    let shop = Shop::open().await;
    let (first, second) = (shop.new_payment(Initiator::Order), shop.new_payment(Initiator::Order));
    for new in [&first, &second] {
        shop.store.create_for_order(new).await.unwrap();
    }
    let during = rotated(&shop, Some(ENCRYPTION_KEY));
    assert_eq!(during.rewrap_tokens().await.unwrap(), 2);
    assert_eq!(during.rewrap_tokens().await.unwrap(), 0, "nothing is left to do");
    for new in [&first, &second] {
        let sealed = shop.store.find(new.id).await.unwrap().unwrap().token.unwrap();
        assert!(cipher().open(new.order, &sealed).is_err(), "the old key does not open it");
    }
    shop.expire_leases().await;
    rotated(&shop, None).recover_once().await.unwrap();
    assert_eq!(shop.charge_count().await, 2);
}

#[tokio::test]
async fn pa7_a_payment_goes_on_while_the_key_rotates() {
    let shop = Shop::open().await;
    let new = shop.new_payment(Initiator::Order);
    shop.store.create_for_order(&new).await.unwrap();
    shop.expire_leases().await;
    rotated(&shop, Some(ENCRYPTION_KEY)).recover_once().await.unwrap();
    assert_eq!(shop.read(new.id).await["status"], "captured");
}

#[tokio::test]
async fn a_token_whose_key_is_lost_charges_nothing_and_its_payment_fails_in_the_end() {
    let shop = Shop::open().await;
    let new = shop.new_payment(Initiator::Order);
    shop.store.create_for_order(&new).await.unwrap();
    let lost = rotated(&shop, None);
    assert_eq!(lost.rewrap_tokens().await.unwrap(), 0);
    shop.expire_leases().await;
    lost.recover_once().await.unwrap();
    assert_eq!(shop.read(new.id).await["status"], "pending", "the key may be on its way to this process");
    shop.run("update payment set updated_at = now() - interval '11 minutes'").await.unwrap();
    shop.expire_leases().await;
    lost.recover_once().await.unwrap();
    assert_eq!((shop.read(new.id).await["status"].clone(), shop.charge_count().await), ("failed".into(), 0));
}

#[tokio::test]
async fn an_attempt_older_than_the_providers_memory_is_asked_for_and_not_sent_again() {
    let shop = Shop::open().await;
    let (made, lost) = (shop.new_payment(Initiator::Order), shop.new_payment(Initiator::Order));
    for new in [&made, &lost] {
        shop.store.create_for_order(new).await.unwrap();
    }
    Simulator::new(shop.db.clone()).charge(&first_charge(&made)).await.unwrap();
    shop.run("update payment set updated_at = now() - interval '1 day'").await.unwrap();
    shop.expire_leases().await;
    shop.service.recover_once().await.unwrap();
    let status = async |id| shop.read(id).await["status"].as_str().unwrap().to_owned();
    assert_eq!((status(made.id).await.as_str(), status(lost.id).await.as_str()), ("captured", "failed"));
    assert_eq!(shop.charge_count().await, 1);
}
