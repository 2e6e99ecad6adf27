//! Recovery: continues payments and refunds with an expired lease and delivers pending order callbacks.
//!
//! Depends on `ports` and `domain`, not on HTTP or SQL.

use agora_chassis::chain;
use agora_vocab::PaymentId;

use super::{Error, PaymentService};
use crate::{
    domain::{AttemptState, Payment, RefundAttempt},
    ports::PendingOrderCallback,
};

/// Maximum number of rows of each kind that one call leases.
const BATCH_ROWS_MAX: u16 = 32;

impl PaymentService {
    /// Leases and processes one batch of payments, refunds, order callbacks and messages of the provider. Returns the number of rows leased. A
    /// row that fails is retried after its lease expires. A kind whose rows cannot be leased does not hold up the others;
    /// its error is returned after they were processed.
    pub async fn recover_once(&self) -> Result<usize, Error> {
        let (payments, refunds) = (self.recover_payments().await, self.recover_refunds().await);
        let (callbacks, events) = (self.recover_callbacks().await, self.process_events().await);
        Ok(payments? + refunds? + callbacks? + events?)
    }

    async fn recover_payments(&self) -> Result<usize, Error> {
        let payments = self.store.lease_payments(BATCH_ROWS_MAX).await?;
        for &id in &payments {
            match self.resume(id).await {
                Ok(_) | Err(Error::OrderRejected(..)) => {}
                Err(error) => {
                    tracing::warn!(payment.id = %id, error = %chain(&error), "Payment not completed: the worker retries");
                }
            }
        }
        Ok(payments.len())
    }

    async fn recover_refunds(&self) -> Result<usize, Error> {
        let refunds = self.store.lease_refunds(BATCH_ROWS_MAX).await?;
        for attempt in &refunds {
            if let Err(error) = self.resolve_refund(attempt).await {
                let error = chain(&error);
                tracing::warn!(payment.id = %attempt.payment, %error, "Refund not completed: the worker retries");
            }
        }
        Ok(refunds.len())
    }

    async fn recover_callbacks(&self) -> Result<usize, Error> {
        let callbacks = self.store.lease_callbacks(BATCH_ROWS_MAX).await?;
        for callback in &callbacks {
            if let Err(error) = self.redeliver(callback).await {
                tracing::warn!(
                    payment.id = %callback.payment,
                    error = %chain(&error),
                    "Payment result not delivered to the order: the worker retries"
                );
            }
        }
        Ok(callbacks.len())
    }

    /// Seals tokens under the current key that are sealed under another one. Returns how many.
    pub async fn rewrap_tokens(&self) -> Result<usize, Error> {
        let prefix = self.cipher.current_prefix().map_err(Error::Cipher)?;
        let mut rewrapped = 0;
        for stored in self.store.tokens_without(&prefix, BATCH_ROWS_MAX).await? {
            match self.cipher.rewrap(stored.order, &stored.token) {
                Ok(Some(token)) => {
                    self.store.replace_token(&stored, &token).await?;
                    rewrapped += 1;
                }
                Ok(None) => {}
                Err(error) => tracing::error!(
                    payment.id = %stored.payment,
                    error = %chain(&error),
                    "Token not sealed under the current key: restore ENCRYPTION_KEY_PREVIOUS"
                ),
            }
        }
        Ok(rewrapped)
    }

    async fn resume(&self, id: PaymentId) -> Result<Payment, Error> {
        self.advance(self.find(id).await?).await
    }

    async fn redeliver(&self, callback: &PendingOrderCallback) -> Result<(), Error> {
        self.deliver(callback).await?;
        Ok(self.store.complete_callback(callback.result).await?)
    }

    /// Sends an open refund again with the same key, which gives the outcome of the first call.
    async fn resolve_refund(&self, attempt: &RefundAttempt) -> Result<(), Error> {
        self.execute_refund(attempt, true).await?;
        let failed = self.store.find_refund(attempt.id).await?.is_some_and(|now| now.state == AttemptState::Failed);
        if failed {
            tracing::warn!(
                payment.id = %attempt.payment,
                "Refund not executed by the provider: the client or the order must retry"
            );
        }
        Ok(())
    }
}
