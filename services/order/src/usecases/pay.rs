//! Payments begin here, and their results arrive here, by two doors: payment's command and the fact it publishes.

use std::time::Duration;

use agora_outbox::DedupKey;
use agora_vocab::{CommandId, Money, OrderId, PaymentId, UserId};

use super::{Error, Ordering};
use crate::{
    domain::{Command, Order, PaymentOutcome},
    ports::{Driver, Progress},
    saga::{Step, drive, next},
};

/// Payment waits so long for the order to become paid: less than one try of its call may take.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// How long to wait before looking again whether another driver is done.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

impl Ordering {
    /// A payment begins: from now on neither expiry nor cancel may interfere. Says what there is to pay.
    pub async fn begin_payment(
        &self,
        id: OrderId,
        payment: PaymentId,
        (user, amount): (UserId, Option<Money>),
        dedup_key: &DedupKey,
    ) -> Result<Money, Error> {
        let command = Command::BeginPayment { payment, user, amount };
        let done = self.orders.apply(id, &command, dedup_key, None).await?;
        Ok(done.into_inner().state.order.total)
    }

    /// A result arrives, once whichever way it comes, and what follows from it is done before the answer if that takes
    /// no longer than the caller waits.
    pub async fn payment_result(
        &self,
        id: OrderId,
        payment: PaymentId,
        (result, outcome): (CommandId, PaymentOutcome),
    ) -> Result<Order, Error> {
        let driver = self.driver();
        let progress = self.take_result(id, payment, (result, outcome), Some(driver)).await?;
        let order = progress.state.order.clone();
        if let Ok(rested) = tokio::time::timeout(ANSWER_WITHIN, self.until_rest(progress, driver)).await {
            return rested;
        }
        self.orders.yield_lease(id, driver).await?;
        self.work.notify_one();
        Ok(self.orders.load(id, None).await?.map_or(order, |progress| progress.state.order))
    }

    /// A result was published; what follows from it is left to the worker, since nobody waits.
    pub async fn payment_published(
        &self,
        id: OrderId,
        payment: PaymentId,
        result: (CommandId, PaymentOutcome),
    ) -> Result<(), Error> {
        let Progress { state, now, .. } = self.take_result(id, payment, result, None).await?;
        if !matches!(next(&state, now), Step::Rest { .. }) {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Catalogue's own expiry has freed a hold.
    pub async fn reservation_expired(&self, id: OrderId, hold: i32, dedup_key: &DedupKey) -> Result<(), Error> {
        self.orders.apply(id, &Command::HoldGone { hold }, dedup_key, None).await?;
        self.work.notify_one();
        Ok(())
    }

    async fn take_result(
        &self,
        id: OrderId,
        payment: PaymentId,
        (result, outcome): (CommandId, PaymentOutcome),
        driver: Option<Driver>,
    ) -> Result<Progress, Error> {
        let dedup_key = DedupKey::Command { id: result.uuid() };
        let command = Command::PaymentResult { payment, outcome };
        Ok(self.orders.apply(id, &command, &dedup_key, driver).await?.into_inner())
    }

    /// Drives, or waits for whoever drives already.
    async fn until_rest(&self, mut progress: Progress, driver: Driver) -> Result<Order, Error> {
        while !progress.leased && !matches!(next(&progress.state, progress.now), Step::Rest { .. }) {
            tokio::time::sleep(LOOK_AGAIN).await;
            let order = progress.state.order.id;
            progress = self.orders.load(order, Some(driver)).await?.ok_or(Error::NotFound)?;
        }
        Ok(drive(&self.drive(), progress, driver).await?.order)
    }
}
