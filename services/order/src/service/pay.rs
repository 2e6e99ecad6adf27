//! Use cases for payments: start, and results that arrive by internal command and by event. No HTTP, no SQL.

use std::{collections::HashSet, time::Duration};

use agora_outbox::DedupKey;
use agora_vocab::{CommandId, Money, OrderId, PaymentId, UserId};
use tokio::time::Instant;

use super::{Error, OrderService};
use crate::{
    domain::{Order, PaymentOutcome, RunnerId, SagaEvent, Step, next},
    ports::SagaSnapshot,
};

/// Time until a payment result is answered, whether or not the order is paid by then. Shorter than a call of the payment
/// service.
pub const PAYMENT_RESULT_WITHIN: Duration = Duration::from_millis(1500);
/// Polling interval while another runner holds the lease.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

impl OrderService {
    /// Starts a payment, which blocks expiry and cancellation, and returns the amount due.
    pub async fn begin_payment(
        &self,
        id: OrderId,
        payment: PaymentId,
        (user, amount): (UserId, Option<Money>),
        dedup_key: &DedupKey,
    ) -> Result<Money, Error> {
        let event = SagaEvent::PaymentRequested { payment, user, amount };
        let done = self.store.apply(id, &[event], dedup_key, None).await?;
        Ok(done.into_inner().state.order.total)
    }

    /// Applies a payment result exactly once, by command or by event. Runs the saga before returning if that takes
    /// less than [`PAYMENT_RESULT_WITHIN`]; otherwise the worker continues.
    pub async fn payment_result(
        &self,
        id: OrderId,
        payment: PaymentId,
        (result, outcome): (CommandId, PaymentOutcome),
    ) -> Result<Order, Error> {
        let runner = self.runner_id();
        let event = SagaEvent::PaymentResult { payment, outcome };
        let known = self.store.load(id).await?.ok_or(Error::NotFound)?;
        let deadline = Instant::now() + PAYMENT_RESULT_WITHIN;
        let commit = self.services.with_commit(&known, event.clone());
        let events = tokio::time::timeout_at(deadline, commit).await.unwrap_or_else(|_| vec![event]);
        let dedup_key = DedupKey::Command { id: result.uuid() };
        let snapshot = self.store.advance(known, &events, &dedup_key, runner).await?.into_inner();
        let order = snapshot.state.order.clone();
        if let Ok(rested) = tokio::time::timeout_at(deadline, self.until_rest(snapshot, runner)).await {
            return rested;
        }
        self.store.release_lease(id, runner).await?;
        self.work.notify_one();
        Ok(self.store.load(id).await?.map_or(order, |snapshot| snapshot.state.order))
    }

    /// Applies a published payment result; the worker runs the saga, because no caller waits.
    pub async fn payment_published(
        &self,
        id: OrderId,
        payment: PaymentId,
        (result, outcome): (CommandId, PaymentOutcome),
    ) -> Result<(), Error> {
        let dedup_key = DedupKey::Command { id: result.uuid() };
        let event = SagaEvent::PaymentResult { payment, outcome };
        let done = self.store.apply(id, &[event], &dedup_key, None).await?;
        let SagaSnapshot { state, now, .. } = done.into_inner();
        if !matches!(next(&state, now), Step::Wait { .. }) {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Which of these results are applied already.
    pub async fn known_results(&self, results: &[CommandId]) -> Result<HashSet<CommandId>, Error> {
        if results.is_empty() {
            return Ok(HashSet::new());
        }
        Ok(self.store.applied_commands(results).await?)
    }

    /// Applies the expiry of a stock reservation.
    pub async fn reservation_expired(&self, id: OrderId, hold: i32, dedup_key: &DedupKey) -> Result<(), Error> {
        self.store.apply(id, &[SagaEvent::ReservationLost { hold }], dedup_key, None).await?;
        self.work.notify_one();
        Ok(())
    }

    async fn until_rest(&self, mut snapshot: SagaSnapshot, runner: RunnerId) -> Result<Order, Error> {
        while !snapshot.leased && !matches!(next(&snapshot.state, snapshot.now), Step::Wait { .. }) {
            tokio::time::sleep(LOOK_AGAIN).await;
            let order = snapshot.state.order.id;
            snapshot = self.store.acquire_lease(order, runner).await?.ok_or(Error::NotFound)?;
        }
        Ok(self.saga_runner().run(snapshot, runner).await?.order)
    }
}
