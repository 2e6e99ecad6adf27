//! Changes of a payment: outcomes of the provider, voids, retries and refunds.
//!
//! Pure, as all of `domain`. A transition returns the new payment and the event to publish, or an error.

use agora_events::payment::{self as events, PaymentEvent};
use agora_vocab::{CommandId, Money};

use super::{
    Attempt, AttemptKind, AttemptState, CaptureMethod, ChargeOutcome, NextAction, Payment, ProviderDetails,
    RefundAttempt, SealedToken, Status,
};

/// An invalid change of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The state machine has no such transition.
    #[error("a payment in state {} cannot become {}", from.as_str(), to.as_str())]
    NotAllowed {
        /// The current state.
        from: Status,
        /// The requested state.
        to: Status,
    },
    /// The refund exceeds the captured amount less refunds that succeeded or are in progress.
    #[error("the refund exceeds the captured amount that is not refunded yet")]
    ExceedsCapture,
    /// The capture exceeds the authorised amount.
    #[error("the capture exceeds the authorised amount")]
    ExceedsAuthorisation,
    /// The amount is not positive or has another currency than the payment.
    #[error("the amount must be positive and in the payment's currency")]
    InvalidAmount,
    /// The provider states another amount or currency than was requested. Nothing is changed.
    #[error("the provider states {stated:?}, which is not the amount that was requested")]
    AmountDiffers {
        /// The amount that the provider states.
        stated: Money,
    },
}

/// A payment after a change, and the event to publish, if there is one.
pub type Change = (Payment, Option<PaymentEvent>);

impl Payment {
    /// Applies the state of the charge at the provider. Allowed for an open attempt, and for an authorised payment, which the
    /// provider may change by itself. An outcome that says nothing new changes nothing.
    pub fn apply(self, outcome: ChargeOutcome, result: CommandId) -> Result<Change, TransitionError> {
        match (self.status, self.open_attempt()) {
            (Status::Pending, Some(_)) | (Status::Authorised, _) => {}
            (from, _) => return Err(TransitionError::NotAllowed { from, to: target(&outcome) }),
        }
        match outcome {
            ChargeOutcome::Captured(details, amount) => {
                let due = self.check_captured(amount)?;
                let mut after = self.step(Status::Captured, details, result);
                after.captured_minor = amount.amount;
                after.authorised_minor = after.authorised_minor.max(due.amount);
                let payload = after.event_payload(amount, result);
                Ok((after, Some(PaymentEvent::Captured(payload))))
            }
            ChargeOutcome::Authorised(..) if self.status == Status::Authorised => Ok((self.closed(), None)),
            ChargeOutcome::Authorised(details, amount) => {
                if self.due != Some(amount) {
                    return Err(TransitionError::AmountDiffers { stated: amount });
                }
                let mut after = self.step(Status::Authorised, details, result);
                after.authorised_minor = amount.amount;
                let payload = after.event_payload(amount, result);
                Ok((after, Some(PaymentEvent::Authorised(payload))))
            }
            ChargeOutcome::InProgress(..) if self.status == Status::Authorised => Ok((self, None)),
            ChargeOutcome::InProgress(details, action) => Ok((self.wait(details, action), None)),
            ChargeOutcome::Declined(details) => self.end(Status::Declined, details, result),
            ChargeOutcome::Failed(details) => self.end(Status::Failed, details, result),
            ChargeOutcome::Voided(details) => self.end(Status::Voided, details, result),
        }
    }

    /// Voids the payment. Allowed from `pending` without an open attempt only.
    pub fn void(mut self, due: Money, result: CommandId) -> Result<Change, TransitionError> {
        if self.status != Status::Pending || self.open_attempt().is_some() {
            return Err(TransitionError::NotAllowed { from: self.status, to: Status::Voided });
        }
        self.due = Some(due);
        let details = self.details.clone();
        self.end(Status::Voided, details, result)
    }

    /// Returns the payment to `pending` for a retry with the same key, which brings the token again. Allowed from `failed`
    /// only.
    pub fn reopen(mut self, token: Option<SealedToken>) -> Result<Self, TransitionError> {
        if self.status != Status::Failed {
            return Err(TransitionError::NotAllowed { from: self.status, to: Status::Pending });
        }
        self.status = Status::Pending;
        self.due = None;
        self.token = token;
        self.details = ProviderDetails::default();
        Ok(self)
    }

    /// Checks a capture of an authorised payment and returns its amount: `requested`, or the whole authorised amount.
    pub fn capturable(&self, requested: Option<Money>) -> Result<Money, TransitionError> {
        let due = self.due.filter(|_| self.status == Status::Authorised);
        let due = due.ok_or(TransitionError::NotAllowed { from: self.status, to: Status::Captured })?;
        match requested {
            Some(amount) if amount.currency != due.currency || amount.amount <= 0 => {
                Err(TransitionError::InvalidAmount)
            }
            Some(amount) if amount.amount > self.authorised_minor => Err(TransitionError::ExceedsAuthorisation),
            Some(amount) => Ok(amount),
            None => Ok(Money { amount: self.authorised_minor, currency: due.currency }),
        }
    }

    /// Checks a refund against the existing attempts and returns its amount: `requested`, or all that remains if none.
    pub fn refundable(&self, requested: Option<Money>, attempts: &[RefundAttempt]) -> Result<Money, TransitionError> {
        let captured = self.captured();
        let captured = captured.ok_or(TransitionError::NotAllowed { from: self.status, to: Status::Refunded })?;
        let reserved: i64 = attempts
            .iter()
            .filter(|attempt| attempt.state != AttemptState::Failed)
            .map(|attempt| attempt.amount.amount)
            .sum();
        let remaining = captured.amount - reserved;
        match requested {
            Some(amount) if amount.currency != captured.currency || amount.amount <= 0 => {
                Err(TransitionError::InvalidAmount)
            }
            Some(amount) if amount.amount > remaining => Err(TransitionError::ExceedsCapture),
            Some(amount) => Ok(amount),
            None if remaining == 0 => Err(TransitionError::ExceedsCapture),
            None => Ok(Money { amount: remaining, currency: captured.currency }),
        }
    }

    /// Applies a refund that succeeded.
    pub fn refund(
        mut self,
        refund: &RefundAttempt,
        result: CommandId,
    ) -> Result<(Self, PaymentEvent), TransitionError> {
        let to = Status::Refunded;
        let captured = self
            .captured()
            .filter(|_| self.status.is_refundable())
            .ok_or(TransitionError::NotAllowed { from: self.status, to })?;
        let refunded = self.refunded_minor + refund.amount.amount;
        if refunded > captured.amount {
            return Err(TransitionError::ExceedsCapture);
        }
        self.refunded_minor = refunded;
        self.status = if refunded == captured.amount { Status::Refunded } else { Status::PartiallyRefunded };
        self.result = Some(result);
        self.seq += 1;
        let event = PaymentEvent::Refunded(events::Refund {
            refund_id: refund.id,
            payment_id: self.id,
            order_id: self.order,
            user_id: self.user,
            amount: refund.amount,
            refunded: Money { amount: refunded, currency: captured.currency },
            captured,
            result_id: result,
        });
        Ok((self, event))
    }

    /// Checks the captured amount that the provider states and returns the amount due: the whole of an automatic charge, the
    /// requested amount of a capture, at most the authorised amount if the provider captured by itself.
    fn check_captured(&self, stated: Money) -> Result<Money, TransitionError> {
        let differs = TransitionError::AmountDiffers { stated };
        let due = self.due.filter(|due| due.currency == stated.currency).ok_or(differs)?;
        let requested = match (self.open_attempt(), self.capture_method) {
            (Some(Attempt { kind: AttemptKind::Capture, amount_minor, .. }), _) => amount_minor,
            (Some(Attempt { kind: AttemptKind::Charge, .. }), CaptureMethod::Automatic) => Some(due.amount),
            _ => None,
        };
        let is_possible = (1..=due.amount).contains(&stated.amount);
        if is_possible && requested.is_none_or(|requested| requested == stated.amount) { Ok(due) } else { Err(differs) }
    }

    /// Ends without a capture. An authorised payment that the provider ends for any reason is voided.
    fn end(self, to: Status, details: ProviderDetails, result: CommandId) -> Result<Change, TransitionError> {
        let Some(due) = self.due else {
            return Err(TransitionError::NotAllowed { from: self.status, to });
        };
        let to = if self.status == Status::Authorised { Status::Voided } else { to };
        let mut after = self.step(to, details, result);
        after.authorised_minor = 0;
        let payload = after.event_payload(due, result);
        let event = match to {
            Status::Declined => PaymentEvent::Declined(payload),
            Status::Voided => PaymentEvent::Voided(payload),
            _ => PaymentEvent::Failed(payload),
        };
        Ok((after, Some(event)))
    }

    /// Waits for the provider or the payer. The reference of the charge replaces the token.
    fn wait(mut self, details: ProviderDetails, action: Option<NextAction>) -> Self {
        if details.reference.is_some() {
            self.token = None;
        }
        self.details = details;
        self.next_action = action;
        self
    }

    fn step(self, to: Status, details: ProviderDetails, result: CommandId) -> Self {
        let mut after = self.closed();
        after.status = to;
        after.details = details;
        after.result = Some(result);
        after.seq += 1;
        after.token = None;
        after.next_action = None;
        after
    }

    fn closed(mut self) -> Self {
        self.attempt = self.attempt.map(|attempt| Attempt { open: false, ..attempt });
        self
    }

    fn event_payload(&self, amount: Money, result: CommandId) -> events::Payment {
        events::Payment { payment_id: self.id, order_id: self.order, user_id: self.user, amount, result_id: result }
    }
}

/// The state that an outcome leads to.
const fn target(outcome: &ChargeOutcome) -> Status {
    match outcome {
        ChargeOutcome::Captured(..) => Status::Captured,
        ChargeOutcome::Authorised(..) => Status::Authorised,
        ChargeOutcome::Declined(_) => Status::Declined,
        ChargeOutcome::Failed(_) => Status::Failed,
        ChargeOutcome::Voided(_) => Status::Voided,
        ChargeOutcome::InProgress(..) => Status::Pending,
    }
}
