//! What is done with a payment between its charge and its result: confirm, capture, void.
//!
//! Depends on `ports` and `domain`, not on HTTP or SQL. Each is idempotent by the payment's state.

use agora_vocab::{Money, PaymentId, UserId};

use super::{Error, PaymentService};
use crate::{
    domain::{Attempt, AttemptKind, ChargeOutcome, Payment, Status, TransitionError},
    ports::{NewPayment, ProviderError},
};

impl PaymentService {
    /// Goes on with a payment whose payer has acted. Returns it unchanged if it waits for nothing.
    pub async fn confirm(&self, id: PaymentId, user: Option<UserId>) -> Result<Payment, Error> {
        let payment = self.find_visible(id, user).await?;
        if payment.status != Status::Pending || payment.open_attempt().is_none() {
            return Ok(payment);
        }
        self.provider()?;
        let payment = self.resolve(payment).await?;
        self.report(payment).await
    }

    /// Answers a challenge of the simulated provider in place of the payer's bank. `NotFound` with a real provider, if no
    /// charge of this reference waits, and if its payment is another user's than `user`.
    pub async fn answer_challenge(&self, reference: &str, user: Option<UserId>, approve: bool) -> Result<(), Error> {
        let challenges = self.challenges.as_ref().ok_or(Error::NotFound)?;
        let payment = self.store.find_by_reference(reference).await?.ok_or(Error::NotFound)?;
        if user.is_some_and(|user| user != payment.user) {
            return Err(Error::NotFound);
        }
        let answered =
            self.with_timeout(challenges.answer(reference, approve)).await.map_err(Error::ProviderUnknown)?;
        if answered { Ok(()) } else { Err(Error::NotFound) }
    }

    /// Captures an amount of an authorised payment, or all of it, for an admin; the rest is released. A repeated capture of the
    /// same amount has no effect.
    pub async fn capture(&self, id: PaymentId, amount: Option<Money>) -> Result<Payment, Error> {
        let payment = self.find(id).await?;
        if let Some(captured) = payment.captured()
            && amount.is_none_or(|amount| amount == captured)
        {
            return Ok(payment);
        }
        let captured = self.operate(id, AttemptKind::Capture, amount).await?;
        if captured.status == Status::Authorised {
            // An unknown outcome keeps its attempt, a refusal closes it.
            return Err(if captured.open_attempt().is_some() {
                Error::InProgress { retry_after_s: 1 }
            } else {
                Error::CaptureRefused
            });
        }
        self.report(captured).await
    }

    /// Voids a payment that is not captured, for an admin. A repeated void has no effect.
    pub async fn void_for_admin(&self, id: PaymentId) -> Result<Payment, Error> {
        let payment = self.find(id).await?;
        if payment.status == Status::Voided {
            return Ok(payment);
        }
        let after = self.void(&NewPayment::of(&payment)).await?;
        match after.status {
            Status::Voided | Status::Failed | Status::Declined => self.report(after).await,
            Status::Pending | Status::Authorised => Err(Error::InProgress { retry_after_s: 1 }),
            from => Err(TransitionError::NotAllowed { from, to: Status::Voided }.into()),
        }
    }

    /// Voids a payment. An open attempt is resolved at the provider first; if it is charged, the payment stays captured.
    pub async fn void(&self, requested: &NewPayment) -> Result<Payment, Error> {
        let Some(payment) = self.store.find(requested.id).await? else {
            return Ok(self.store.void(requested).await?);
        };
        let payment = match (payment.status, payment.open_attempt(), payment.details.reference.clone()) {
            (Status::Pending, Some(attempt), Some(reference)) => {
                self.void_waiting(payment, attempt, &reference).await?
            }
            (Status::Pending | Status::Authorised, Some(_), _) => self.resolve(payment).await?,
            _ => payment,
        };
        match (payment.status, payment.open_attempt()) {
            (Status::Authorised, None) => self.operate(payment.id, AttemptKind::Void, None).await,
            (Status::Pending, None) => Ok(self.store.void(requested).await?),
            _ => Ok(payment),
        }
    }

    /// Voids a charge that waits for its payer.
    async fn void_waiting(&self, payment: Payment, attempt: Attempt, reference: &str) -> Result<Payment, Error> {
        let key = format!("{}:void", attempt.provider_key(payment.id));
        let outcome = self.with_timeout(self.provider()?.void(&key, reference)).await;
        self.apply_or_wait(payment, outcome).await
    }

    /// Stores an attempt to capture or void an authorised payment and sends it.
    pub(super) async fn operate(
        &self,
        id: PaymentId,
        kind: AttemptKind,
        amount: Option<Money>,
    ) -> Result<Payment, Error> {
        self.provider()?;
        self.send(self.store.prepare_operation(id, kind, amount).await?).await
    }

    /// Sends the open attempt to capture or void. Repeated calls of one attempt have one effect.
    pub(super) async fn send(&self, payment: Payment) -> Result<Payment, Error> {
        let (Some(attempt), Some(due)) = (payment.open_attempt(), payment.due) else { return Ok(payment) };
        let Some(reference) = payment.details.reference.clone() else { return Ok(payment) };
        let (provider, key) = (self.provider()?, attempt.provider_key(payment.id));
        let outcome: Result<ChargeOutcome, ProviderError> = match attempt.kind {
            AttemptKind::Capture => {
                let amount = Money { amount: attempt.amount_minor.unwrap_or(due.amount), currency: due.currency };
                self.with_timeout(provider.capture(&key, &reference, amount)).await
            }
            AttemptKind::Void => self.with_timeout(provider.void(&key, &reference)).await,
            AttemptKind::Charge => return Ok(payment),
        };
        self.apply_or_wait(payment, outcome).await
    }

    /// Reports a result to the order that did not ask for it.
    pub(super) async fn report(&self, payment: Payment) -> Result<Payment, Error> {
        self.complete_callback(self.report_result(&payment).await.as_ref()).await?;
        Ok(payment)
    }

    /// Voids or refunds the payment of a cancelled order. The order's saga sends the same commands; the second call has
    /// no effect.
    pub async fn order_cancelled(&self, id: PaymentId) -> Result<(), Error> {
        let Some(mut payment) = self.store.find(id).await? else { return Ok(()) };
        if matches!(payment.status, Status::Pending | Status::Authorised) {
            payment = self.void(&NewPayment::of(&payment)).await?;
        }
        if payment.status.is_refundable() {
            self.refund_rest(id, true).await?;
        }
        Ok(())
    }
}

impl From<TransitionError> for Error {
    fn from(error: TransitionError) -> Self {
        Self::Payment(error.into())
    }
}
