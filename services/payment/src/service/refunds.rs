//! Refunds by admins and by the order.
//!
//! Depends on `ports` and `domain`, not on HTTP or SQL.

use agora_chassis::chain;
use agora_outbox::DedupKey;
use agora_vocab::{Money, PaymentId, RefundId};

use super::{Error, KEY_LIFETIME_S, PaymentService, Refunded};
use crate::{
    domain::{AttemptState, Payment, RefundAttempt},
    ports::{Acquired, Provider, ProviderError, RefundOutcome},
};

impl PaymentService {
    /// Refunds an amount, or all that remains if `amount` is none, for an admin. Idempotent by key.
    pub async fn refund(&self, id: PaymentId, amount: Option<Money>, dedup_key: &DedupKey) -> Result<Refunded, Error> {
        self.provider()?;
        self.find(id).await?;
        let refund = RefundId::new(self.ids.next());
        match self.store.create_refund(refund, id, amount, dedup_key).await? {
            Acquired::Completed(response) => Ok(Refunded::Replayed(response)),
            Acquired::InProgress { retry_after_s } => Err(Error::InProgress { retry_after_s }),
            Acquired::Held(attempt) => {
                let payment = self.execute_refund(&attempt, true).await?;
                self.complete_callback(self.report_result(&payment).await.as_ref()).await?;
                let refund = self.store.find_refund(attempt.id).await?.ok_or(Error::NotFound)?;
                Ok(Refunded::Executed(Box::new(refund), Box::new(payment)))
            }
        }
    }

    /// Refunds the remaining amount on the order's command, which receives the result as its response. Has no effect if
    /// nothing remains.
    pub async fn refund_remaining(&self, id: PaymentId) -> Result<Payment, Error> {
        self.refund_rest(id, false).await
    }

    /// Refunds an amount on the order's command, or what remains if that is less; idempotent by refund. The result of the payment
    /// is reported to the order as that of an admin's refund is. `None`: nothing remains.
    pub async fn refund_part(
        &self,
        id: PaymentId,
        refund: RefundId,
        amount: Money,
    ) -> Result<Option<RefundAttempt>, Error> {
        let Some(attempt) = self.store.prepare_part(refund, id, amount).await? else { return Ok(None) };
        self.execute_refund(&attempt, true).await?;
        Ok(self.store.find_refund(refund).await?)
    }

    pub(super) async fn refund_rest(&self, id: PaymentId, call_back: bool) -> Result<Payment, Error> {
        let refund = RefundId::new(self.ids.next());
        match self.store.prepare_refund(refund, id).await? {
            Some(attempt) => self.execute_refund(&attempt, call_back).await,
            None => self.find(id).await,
        }
    }

    pub(super) async fn execute_refund(&self, attempt: &RefundAttempt, call_back: bool) -> Result<Payment, Error> {
        let payment = self.find(attempt.payment).await?;
        if attempt.state != AttemptState::Prepared {
            return Ok(payment);
        }
        let provider = self.provider()?.as_ref();
        let charge = payment.details.reference.unwrap_or_default();
        match self.with_timeout(send_refund(provider, attempt, &charge)).await {
            Ok(outcome) => Ok(self.store.complete_refund(attempt, outcome, call_back).await?),
            Err(error) => {
                tracing::warn!(
                    payment.id = %attempt.payment,
                    error = %chain(&error),
                    "Refund outcome unknown (provider call failed): the worker sends it again with the same key"
                );
                self.find(attempt.payment).await
            }
        }
    }
}

/// Sends a refund, or asks for one that the provider has accepted or whose key it may have forgotten.
async fn send_refund(
    provider: &dyn Provider,
    attempt: &RefundAttempt,
    charge: &str,
) -> Result<RefundOutcome, ProviderError> {
    let key = attempt.provider_key();
    if attempt.reference.is_none() && attempt.age_s < KEY_LIFETIME_S {
        return provider.refund(&key, charge, attempt.amount).await;
    }
    Ok(provider.find_refund(&key, charge).await?.unwrap_or(RefundOutcome::Failed))
}
