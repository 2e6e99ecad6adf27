//! Use cases of the worker: continue due sagas, cancel expired idempotency leases without an order, and erase the personal
//! fields of ended orders.

use std::time::Duration;

use agora_chassis::trace::{self, Parent};
use agora_vocab::OrderId;
use futures::{StreamExt as _, stream};

use super::{Error, OrderService};
use crate::ports::SagaSnapshot;

/// Sagas leased per batch, and how many of them run concurrently.
const SAGAS_MAX: u32 = 32;
const SAGAS_AT_ONCE: usize = 8;
/// Expired idempotency leases handled per batch.
const LEASES_MAX: u32 = 50;
/// Orders of an erased user that one transaction changes.
const ERASED_ORDERS_MAX: u16 = 200;
/// Time between two looks for orders of an erased user that have ended: how long their personal fields outlive them, at
/// most.
const ERASURE_PAUSE: Duration = Duration::from_mins(10);

impl OrderService {
    /// Runs due sagas; returns how many.
    pub async fn continue_sagas(&self) -> Result<usize, Error> {
        let runner = self.runner_id();
        let due = self.store.lease_due(runner, SAGAS_MAX).await?;
        let count = due.len();
        let run_one = |snapshot: SagaSnapshot| async move {
            let (order, saga) = (snapshot.state.order.id, self.saga_runner());
            let span = tracing::info_span!("saga", order_id = %order);
            match trace::follow(Parent::default(), span, saga.run(snapshot, runner)).await {
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%order, error = ?error, "running a saga failed; it is retried when its lease expires");
                }
            }
        };
        stream::iter(due).for_each_concurrent(SAGAS_AT_ONCE, run_one).await;
        Ok(count)
    }

    /// Cancels idempotency leases that are older than a minute and have no order, with their checkouts. One that cannot be
    /// cancelled, for example because the cart service is unavailable, is found again by the next call.
    /// Returns how many leases were handled.
    pub async fn cancel_expired_leases(&self) -> Result<usize, Error> {
        let mut handled = 0;
        for id in self.store.expired_idempotency_leases(LEASES_MAX).await? {
            match self.cancel_expired_lease(id).await {
                Ok(()) => handled += 1,
                Err(error) => {
                    tracing::warn!(order = %id, error = ?error, "an expired idempotency lease could not be cancelled; it is retried");
                }
            }
        }
        Ok(handled)
    }

    /// If the order exists, its saga stores the response.
    async fn cancel_expired_lease(&self, id: OrderId) -> Result<(), Error> {
        if self.store.load(id).await?.is_none() {
            self.undo_claim(id, true).await?;
        }
        Ok(())
    }

    /// Removes shipping address and reasons of returns from the ended orders of erased users who are due; idempotent.
    /// Orders that are under way keep them until they end, because they are still to be delivered. Returns of how many
    /// orders.
    pub async fn erase_ended_orders(&self) -> Result<usize, Error> {
        let mut erased = 0;
        while let Some(orders) = self.store.erase_ended_orders(ERASED_ORDERS_MAX, ERASURE_PAUSE).await? {
            erased += orders.len();
        }
        Ok(erased)
    }

    /// Number of sagas whose step has failed for [`crate::domain::STUCK_AFTER`].
    pub async fn stuck(&self) -> Result<u64, Error> {
        Ok(self.store.stuck().await?)
    }
}
