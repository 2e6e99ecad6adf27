//! An order service in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agora_api::Problem;
use agora_payment::{
    domain::Payment,
    ports::{OrderError, Orders, PendingOrderCallback},
};
use agora_vocab::{CommandId, Money, OrderId};
use async_trait::async_trait;

/// An order service with configurable amounts due, rejections and outages. Records the reported results.
#[derive(Clone, Default)]
pub struct InMemoryOrders(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    due: BTreeMap<OrderId, Money>,
    rejection: Option<(u16, &'static str, Option<u32>)>,
    unavailable: bool,
    unavailable_for: Option<OrderId>,
    results: BTreeMap<CommandId, PendingOrderCallback>,
}

impl InMemoryOrders {
    /// Sets the amount due of an order; an order without one returns 404.
    pub fn set_due(&self, order: OrderId, amount: Money) {
        self.inner().due.insert(order, amount);
    }

    /// Rejects every payment with this status, code and retry delay in seconds; `None` accepts again.
    pub fn reject(&self, rejection: Option<(u16, &'static str, Option<u32>)>) {
        self.inner().rejection = rejection;
    }

    /// Makes every call fail as unavailable, or not.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.inner().unavailable = unavailable;
    }

    /// Makes the reports about one order fail as unavailable; `None`: about none.
    pub fn set_unavailable_for(&self, order: Option<OrderId>) {
        self.inner().unavailable_for = order;
    }

    /// The reported results, each once.
    pub fn results(&self) -> Vec<PendingOrderCallback> {
        self.inner().results.values().cloned().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Orders for InMemoryOrders {
    async fn begin_payment(&self, payment: &Payment) -> Result<Money, OrderError> {
        let inner = self.inner();
        if inner.unavailable {
            return Err(OrderError::Unavailable("unavailable".into()));
        }
        if let Some((status, code, retry_after_s)) = inner.rejection {
            return Err(OrderError::Rejected(Box::new(problem(status, code)), retry_after_s));
        }
        match inner.due.get(&payment.order) {
            None => Err(OrderError::Rejected(Box::new(problem(404, "NOT_FOUND")), None)),
            Some(due) if payment.expected.is_some_and(|expected| expected != *due) => {
                Err(OrderError::Rejected(Box::new(problem(422, "AMOUNT_MISMATCH")), None))
            }
            Some(due) => Ok(*due),
        }
    }

    async fn report_result(&self, callback: &PendingOrderCallback) -> Result<String, OrderError> {
        let mut inner = self.inner();
        if inner.unavailable || inner.unavailable_for == Some(callback.order) {
            return Err(OrderError::Unavailable("unavailable".into()));
        }
        inner.results.insert(callback.result, callback.clone());
        Ok(if callback.status == "captured" { "paid" } else { "pending" }.to_owned())
    }
}

fn problem(status: u16, code: &str) -> Problem {
    Problem {
        kind: "about:blank".to_owned(),
        title: code.to_owned(),
        status,
        detail: None,
        code: code.to_owned(),
        details: Vec::new(),
        request_id: None,
        error: code.to_owned(),
        extra: serde_json::Map::new(),
    }
}
