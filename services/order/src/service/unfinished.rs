//! Requests that ended without an order and whose cart could not be given back, because another service was unreachable.
//!
//! Kept in memory so that the process that knows of them retries within a second. If it ends before, the worker of any
//! process handles their idempotency leases after a minute.

use std::sync::{Mutex, MutexGuard, PoisonError};

use agora_vocab::OrderId;

use super::OrderService;

/// Requests kept at most; others are left to the worker.
const UNFINISHED_MAX: usize = 10_000;

/// A request whose checkout and idempotency lease have to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnfinishedUndo {
    /// The order that the request did not create.
    pub order: OrderId,
    /// Whether its lines come from a cart.
    pub from_cart: bool,
}

/// Requests to retry, the oldest first.
#[derive(Debug, Default)]
pub struct UnfinishedUndos(Mutex<Vec<UnfinishedUndo>>);

impl UnfinishedUndos {
    pub(super) fn push(&self, undo: UnfinishedUndo) {
        let mut undos = self.lock();
        if undos.len() < UNFINISHED_MAX {
            undos.push(undo);
        }
    }

    fn take(&self) -> Vec<UnfinishedUndo> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<UnfinishedUndo>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OrderService {
    /// Retries to cancel checkouts and idempotency leases of requests without an order. Returns how many are left.
    pub async fn retry_unfinished(&self) -> usize {
        let mut left = 0;
        for undo in self.unfinished.take() {
            if let Err(error) = self.undo_claim(undo.order, undo.from_cart).await {
                tracing::debug!(order = %undo.order, error = ?error, "a checkout cannot be cancelled yet");
                self.unfinished.push(undo);
                left += 1;
            }
        }
        left
    }
}
