//! In-memory payment service.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use agora_order::{
    domain::{Method, PaymentOutcome, Token},
    ports::{CallFailed, Payable, Payments, Report},
};
use agora_vocab::{CommandId, Money, OrderId, PaymentId, ReturnId};
use async_trait::async_trait;
use uuid::Uuid;

use super::{Failpoint, lock};

/// In-memory payment service: `tok_declined` is declined, `tok_error` fails, `tok_slow` stays pending, others are captured.
#[derive(Clone, Debug)]
pub struct InMemoryPayments {
    /// Failpoint of the calling process.
    failpoint: Failpoint,
    inner: Arc<Mutex<BTreeMap<PaymentId, PaymentRecord>>>,
    /// Refunds of parts.
    parts: Arc<Mutex<BTreeMap<(PaymentId, ReturnId), Money>>>,
}

#[derive(Clone, Copy, Debug)]
struct PaymentRecord {
    order: OrderId,
    outcome: Option<PaymentOutcome>,
    captures: u32,
    result: CommandId,
}

impl InMemoryPayments {
    pub fn new() -> Self {
        Self { failpoint: Failpoint::never(), inner: Arc::default(), parts: Arc::default() }
    }

    /// The same service, called by a process that crashes at `failpoint`.
    pub fn called_until(&self, failpoint: &Failpoint) -> Self {
        Self { failpoint: failpoint.clone(), ..self.clone() }
    }

    /// Sets the outcome of a payment, creating it if it does not exist; returns the result id.
    pub fn resolve(&self, order: OrderId, payment: PaymentId, outcome: PaymentOutcome) -> CommandId {
        let mut inner = lock(&self.inner);
        let record = inner.entry(payment).or_insert(PaymentRecord::new(order, payment));
        record.end(outcome);
        record.result
    }

    /// Outcome of a payment; `None` if it is unknown or pending.
    pub fn outcome(&self, payment: PaymentId) -> Option<PaymentOutcome> {
        lock(&self.inner).get(&payment).and_then(|record| record.outcome)
    }

    /// Number of captures for an order, refunded ones included.
    pub fn captures(&self, order: OrderId) -> u32 {
        lock(&self.inner).values().filter(|record| record.order == order).map(|record| record.captures).sum()
    }

    /// Amounts of the refunds of parts of a payment.
    pub fn parts(&self, payment: PaymentId) -> Vec<i64> {
        let parts = lock(&self.parts);
        parts.iter().filter(|((of, _), _)| *of == payment).map(|(_, amount)| amount.amount).collect()
    }

    fn report(&self, payment: &Payable, act: impl FnOnce(&mut PaymentRecord)) -> Result<Report, CallFailed> {
        self.failpoint.pass()?;
        let report = {
            let mut inner = lock(&self.inner);
            let record = inner.entry(payment.payment).or_insert(PaymentRecord::new(payment.order, payment.payment));
            act(record);
            Report { outcome: record.outcome, result: record.outcome.map(|_| record.result) }
        };
        self.failpoint.pass()?;
        Ok(report)
    }
}

impl PaymentRecord {
    fn new(order: OrderId, payment: PaymentId) -> Self {
        let result = CommandId::new(Uuid::from_u128(payment.uuid().as_u128()));
        Self { order, outcome: None, captures: 0, result }
    }

    fn end(&mut self, outcome: PaymentOutcome) {
        self.captures += u32::from(outcome == PaymentOutcome::Captured);
        self.outcome = Some(outcome);
        self.result = CommandId::new(Uuid::from_u128(self.result.uuid().as_u128().wrapping_add(1 << 100)));
    }
}

#[async_trait]
impl Payments for InMemoryPayments {
    async fn pay(&self, _: CommandId, payment: &Payable, (_, token): (Method, &Token)) -> Result<Report, CallFailed> {
        let outcome = match token.expose() {
            "tok_declined" => Some(PaymentOutcome::Declined),
            "tok_error" => Some(PaymentOutcome::Failed),
            "tok_slow" => None,
            _ => Some(PaymentOutcome::Captured),
        };
        self.report(payment, |record| {
            if let (None, Some(outcome)) = (record.outcome, outcome) {
                record.end(outcome);
            }
        })
    }

    async fn settle(&self, _: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        let known = lock(&self.inner).contains_key(&payment.payment);
        self.report(payment, |record| {
            if !known {
                record.end(PaymentOutcome::Voided);
            }
        })
    }

    async fn void(&self, _: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        self.report(payment, |record| {
            if record.outcome.is_none() {
                record.end(PaymentOutcome::Voided);
            }
        })
    }

    async fn refund_part(
        &self,
        _: CommandId,
        payment: &Payable,
        (id, amount): (ReturnId, Money),
    ) -> Result<bool, CallFailed> {
        self.failpoint.pass()?;
        lock(&self.parts).entry((payment.payment, id)).or_insert(amount);
        self.failpoint.pass()?;
        Ok(true)
    }

    async fn refund(&self, _: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        self.report(payment, |record| {
            if matches!(record.outcome, Some(PaymentOutcome::Captured | PaymentOutcome::PartiallyRefunded)) {
                record.end(PaymentOutcome::Refunded);
            }
        })
    }
}
