//! What time itself asks: payments and refunds that their driver left, results that an order was not told.

use agora_chassis::chain;
use agora_vocab::PaymentId;

use super::{Error, Pay};
use crate::{
    domain::{Attempt, Payment},
    ports::{Driven, Notice, RefundOutcome},
};

/// Most rows of a kind that one round takes.
const ROUND_ROWS_MAX: u16 = 32;

impl Pay {
    /// One round of the worker: payments and refunds that nobody drives, results that an order must still be told.
    /// How much it found.
    pub async fn round(&self) -> Result<usize, Error> {
        let payments = self.payments.lease_payments(ROUND_ROWS_MAX).await?;
        for &id in &payments {
            match self.resume(id).await {
                Ok(_) | Err(Error::Order(..)) => {}
                Err(error) => tracing::warn!(payment.id = %id, error = %chain(&error), "a payment waits"),
            }
        }
        let refunds = self.payments.lease_refunds(ROUND_ROWS_MAX).await?;
        for attempt in &refunds {
            if let Err(error) = self.resolve_refund(attempt).await {
                tracing::warn!(payment.id = %attempt.payment, error = %chain(&error), "a refund waits");
            }
        }
        let notices = self.payments.lease_notices(ROUND_ROWS_MAX).await?;
        for notice in &notices {
            if let Err(error) = self.tell_again(notice).await {
                tracing::warn!(payment.id = %notice.payment, error = %chain(&error), "an order is not told yet");
            }
        }
        Ok(payments.len() + refunds.len() + notices.len())
    }

    async fn resume(&self, id: PaymentId) -> Result<Payment, Error> {
        self.drive(Driven { payment: self.find(id).await?, new: false }).await
    }

    async fn tell_again(&self, notice: &Notice) -> Result<(), Error> {
        self.deliver(notice).await?;
        Ok(self.payments.told(notice.result).await?)
    }

    async fn resolve_refund(&self, attempt: &Attempt) -> Result<(), Error> {
        let key = attempt.provider_key(self.epoch);
        if let Ok(outcome) = self.in_time(self.provider()?.refunded(&key)).await {
            let failed = outcome == RefundOutcome::Failed;
            self.payments.conclude_refund(attempt, outcome).await?;
            if failed {
                tracing::warn!(payment.id = %attempt.payment, "a refund was never made; whoever asked for it asks again");
            }
        }
        Ok(())
    }
}
