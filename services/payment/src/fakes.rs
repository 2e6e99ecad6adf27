//! An order service in memory, for tests of this crate: what is due, what it was told, and whether it can be reached.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agora_api::Problem;
use agora_vocab::{CommandId, Money, OrderId};
use async_trait::async_trait;

use crate::{
    domain::Payment,
    ports::{Notice, OrderError, Orders},
};

/// The order service.
#[derive(Clone, Default)]
pub struct InMemoryOrders(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    due: BTreeMap<OrderId, Money>,
    refusal: Option<(u16, &'static str, Option<u32>)>,
    away: bool,
    told: BTreeMap<CommandId, Notice>,
}

impl InMemoryOrders {
    /// An order that costs so much.
    pub fn owe(&self, order: OrderId, amount: Money) {
        self.inner().due.insert(order, amount);
    }

    /// Refuses every payment from now on, or (`None`) no longer.
    pub fn refuse(&self, refusal: Option<(u16, &'static str, Option<u32>)>) {
        self.inner().refusal = refusal;
    }

    /// Whether it cannot be reached.
    pub fn away(&self, away: bool) {
        self.inner().away = away;
    }

    /// What it was told, each result once.
    pub fn told(&self) -> Vec<Notice> {
        self.inner().told.values().cloned().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Orders for InMemoryOrders {
    async fn begin(&self, payment: &Payment) -> Result<Money, OrderError> {
        let inner = self.inner();
        if inner.away {
            return Err(OrderError::Unavailable("away".into()));
        }
        if let Some((status, code, retry_after_s)) = inner.refusal {
            return Err(OrderError::Refused(Box::new(problem(status, code)), retry_after_s));
        }
        match inner.due.get(&payment.order) {
            None => Err(OrderError::Refused(Box::new(problem(404, "NOT_FOUND")), None)),
            Some(due) if payment.claimed.is_some_and(|claimed| claimed != *due) => {
                Err(OrderError::Refused(Box::new(problem(422, "AMOUNT_MISMATCH")), None))
            }
            Some(due) => Ok(*due),
        }
    }

    async fn tell(&self, notice: &Notice) -> Result<String, OrderError> {
        let mut inner = self.inner();
        if inner.away {
            return Err(OrderError::Unavailable("away".into()));
        }
        inner.told.insert(notice.result, notice.clone());
        Ok(if notice.status == "captured" { "paid" } else { "pending" }.to_owned())
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
