//! A provider that answers after the time limit: it works on a call whose caller has given up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agora_payment::{
    domain::{ChargeOutcome, Initiator, MoneyMovement, ProviderDetails, Status},
    ports::{Charges, NewCharge, PaymentReads as _, Provider, ProviderError, ProviderRefunds, RefundOutcome, Reports},
    service::PaymentService,
};
use agora_vocab::Money;
use async_trait::async_trait;
use serde_json::json;
use time::OffsetDateTime;

use crate::fixture::{Shop, body};

/// The provider answers late on purpose, so that every first call exceeds it.
const PROVIDER_TIMEOUT: Duration = Duration::from_millis(20);

/// Accepts a call at once and executes it when [`SlowProvider::work`] is called. Each key is executed once.
#[derive(Clone, Debug, Default)]
struct SlowProvider(Arc<Mutex<Operations>>);

#[derive(Debug, Default)]
struct Operations {
    accepted: BTreeSet<String>,
    executed: BTreeMap<String, u32>,
}

impl SlowProvider {
    fn work(&self) {
        let mut operations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in std::mem::take(&mut operations.accepted) {
            operations.executed.entry(key).or_insert(1);
        }
    }

    /// The keys of charges and refunds that were made.
    fn executed(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).executed.keys().cloned().collect()
    }

    async fn execute(&self, key: &str) {
        {
            let mut operations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if operations.executed.contains_key(key) {
                return;
            }
            operations.accepted.insert(key.to_owned());
        }
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl Charges for SlowProvider {
    fn default_token(&self) -> Option<&'static str> {
        None
    }

    async fn charge(&self, charge: &NewCharge) -> Result<ChargeOutcome, ProviderError> {
        self.execute(&charge.key).await;
        let details = ProviderDetails { reference: Some(charge.key.clone()), ..ProviderDetails::default() };
        Ok(ChargeOutcome::Captured(details, charge.amount))
    }

    /// Knows nothing of a call that it still works on.
    async fn find_charge(&self, _: &str) -> Result<ChargeOutcome, ProviderError> {
        Ok(ChargeOutcome::not_charged())
    }

    async fn refresh(&self, _: &str) -> Result<ChargeOutcome, ProviderError> {
        Err(ProviderError::Timeout)
    }

    async fn capture(&self, _: &str, _: &str, _: Money) -> Result<ChargeOutcome, ProviderError> {
        Err(ProviderError::Timeout)
    }

    async fn void(&self, _: &str, _: &str) -> Result<ChargeOutcome, ProviderError> {
        Err(ProviderError::Timeout)
    }
}

#[async_trait]
impl ProviderRefunds for SlowProvider {
    async fn refund(&self, key: &str, _: &str, _: Money) -> Result<RefundOutcome, ProviderError> {
        self.execute(key).await;
        Ok(RefundOutcome::Succeeded(key.to_owned()))
    }

    async fn find_refund(&self, _: &str, _: &str) -> Result<Option<RefundOutcome>, ProviderError> {
        Ok(None)
    }
}

#[async_trait]
impl Reports for SlowProvider {
    async fn report(&self, _: OffsetDateTime, _: OffsetDateTime) -> Result<Vec<MoneyMovement>, ProviderError> {
        Ok(Vec::new())
    }
}

/// The service of a shop with a slow provider.
fn service(shop: &Shop, provider: &SlowProvider) -> PaymentService {
    let (provider, provider_timeout) = (Some(Arc::new(provider.clone()) as Arc<dyn Provider>), PROVIDER_TIMEOUT);
    PaymentService { provider, provider_timeout, ..shop.service.clone() }
}

#[tokio::test]
async fn a_slow_charge_is_not_taken_for_none() {
    let shop = Shop::open().await;
    let provider = SlowProvider::default();
    let service = service(&shop, &provider);
    let new = shop.new_payment(Initiator::Order);
    assert_eq!(service.pay_for_order(&new).await.unwrap().status, Status::Pending);
    // The worker asks while the provider is still working, and after it has charged.
    for expected in [Status::Pending, Status::Captured] {
        shop.expire_leases().await;
        service.recover_once().await.unwrap();
        assert_eq!(shop.store.find(new.id).await.unwrap().unwrap().status, expected);
        provider.work();
    }
    assert_eq!(provider.executed(), [format!("0:{}:capture:1", new.id)]);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_slow_charge_is_not_voided() {
    let shop = Shop::open().await;
    let provider = SlowProvider::default();
    let service = service(&shop, &provider);
    let new = shop.new_payment(Initiator::Order);
    service.pay_for_order(&new).await.unwrap();
    assert_eq!(service.void(&new).await.unwrap().status, Status::Pending);
    provider.work();
    assert_eq!(service.void(&new).await.unwrap().status, Status::Captured);
    assert_eq!(provider.executed().len(), 1);
}

#[tokio::test]
async fn a_slow_refund_is_not_made_again() {
    let shop = Shop::open().await;
    let id = shop.captured(shop.order()).await;
    let provider = SlowProvider::default();
    let service = service(&shop, &provider);
    assert_eq!(service.refund_remaining(id).await.unwrap().status, Status::Captured);
    for expected in [Status::Captured, Status::Refunded] {
        shop.expire_leases().await;
        service.recover_once().await.unwrap();
        assert_eq!(shop.store.find(id).await.unwrap().unwrap().status, expected);
        provider.work();
    }
    assert_eq!(provider.executed(), [format!("0:{id}:refund:1")]);
    shop.assert_ledger_matches_payments().await;
}

#[tokio::test]
async fn a_failed_payment_keeps_no_token_and_the_same_key_tries_again() {
    let shop = Shop::open().await;
    let order = shop.order();
    shop.post("k", body(order, "tok_error")).await.expect(503);
    assert_eq!(shop.number("select count(*) from payment where status = 'failed' and sealed_token is null").await, 1);
    shop.post("k", body(order, "tok_error")).await.expect(503);
    assert_eq!(shop.number("select max(attempt)::bigint from payment").await, 2);
    assert_eq!(shop.number("select count(*) from payment where sealed_token is not null").await, 0);
}

#[tokio::test]
async fn a_refund_by_order_takes_a_payment_that_is_not_refunded_yet() {
    let shop = Shop::open().await;
    let order = shop.order();
    let first = shop.captured(order).await;
    // As earlier releases stored it, which allowed two captured payments of one order.
    shop.run("update payment set duplicate = true").await.unwrap();
    let second = shop.post("second", body(order, "tok_ok")).await.expect(201).body["id"].clone();
    shop.refund("newest", json!({ "paymentId": second })).await.expect(201);
    let refund = shop.refund("by-order", json!({ "orderId": order })).await.expect(201);
    assert_eq!(refund.body["paymentId"], json!(first));
    shop.refund("nothing-left", json!({ "orderId": order })).await.expect(422);
}
