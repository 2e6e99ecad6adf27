//! Payments: states, transitions, refundable amounts and ledger postings.
//!
//! Pure functions, without a clock, a database or a provider. A transition returns the new payment and the event to
//! publish, or an error.

mod attempt;
mod ledger;

use agora_events::payment::{self as events, PaymentEvent};
use agora_vocab::{CommandId, Invalid, Money, OrderId, PaymentId, Secret, UserId};
use time::OffsetDateTime;

pub use self::{
    attempt::{AttemptState, CaptureAttempt, RefundAttempt},
    ledger::Posting,
};

/// A payment of one order.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    pub id: PaymentId,
    /// The order to pay.
    pub order: OrderId,
    pub user: UserId,
    /// The party that requested the payment.
    pub initiator: Initiator,
    /// The amount that the payer expected to pay, if stated.
    pub expected: Option<Money>,
    /// The amount due; none until the order has returned it.
    pub due: Option<Money>,
    /// The current state.
    pub status: Status,
    /// The newest attempt to capture it; none before the first.
    pub attempt: Option<CaptureAttempt>,
    /// The sum of succeeded refunds, in minor units of `due`.
    pub refunded_minor: i64,
    /// The payment method.
    pub method: Method,
    /// The provider's token; none in every state other than `pending`.
    pub token: Option<Secret>,
    /// The provider's response to the newest capture, or the order's rejection.
    pub details: ProviderDetails,
    /// The id of the newest result.
    pub result: Option<CommandId>,
    /// The sequence number of the last published event; 0 before the first.
    pub seq: i64,
    /// When the payment was created.
    pub created_at: OffsetDateTime,
    /// When the row last changed.
    pub updated_at: OffsetDateTime,
}

/// The party that requested a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// A shopper, by `POST /payments`: the service calls the order before and after the charge.
    Shopper,
    /// The order, which receives the result as the response of its command, not as a callback.
    Order,
}

impl Initiator {
    /// The name in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shopper => "shopper",
            Self::Order => "order",
        }
    }
}

/// A payment method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A card, represented by a token of the provider.
    Card,
}

impl Method {
    /// Parses `card`; any other text is an error.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "card" => Ok(Self::Card),
            _ => Err(Invalid::new("method", "must be card")),
        }
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
        }
    }
}

/// Maximum length of a provider's token, in bytes.
const TOKEN_BYTES_MAX: usize = 255;

/// Parses a provider's token: 1 to 255 visible ASCII characters.
pub fn parse_token(text: &str) -> Result<Secret, Invalid> {
    if (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(text))
    } else {
        Err(Invalid::new("token", format!("must be 1 to {TOKEN_BYTES_MAX} visible ASCII characters")))
    }
}

/// The state of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// No final outcome yet.
    Pending,
    /// The amount due was captured.
    Captured,
    /// The payer's bank declined the charge. Final.
    Declined,
    /// Nothing was captured and the bank made no decision. A request with the same key can retry.
    Failed,
    /// Cancelled before a capture; can never be charged. Final.
    Voided,
    /// A part of the captured amount was refunded.
    PartiallyRefunded,
    /// The whole captured amount was refunded. Final.
    Refunded,
}

impl Status {
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Captured,
        Self::Declined,
        Self::Failed,
        Self::Voided,
        Self::PartiallyRefunded,
        Self::Refunded,
    ];

    /// The name on the wire and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Failed => "failed",
            Self::Voided => "voided",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
        }
    }

    /// The state with this name, as [`Self::as_str`] returns it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether money was captured, even if all of it was refunded since.
    pub const fn is_captured(self) -> bool {
        self.is_refundable() || matches!(self, Self::Refunded)
    }

    /// Whether a captured amount remains that was not refunded.
    const fn is_refundable(self) -> bool {
        matches!(self, Self::Captured | Self::PartiallyRefunded)
    }
}

/// The provider's response to a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderDetails {
    /// The provider's id of the charge, required for a refund.
    pub reference: Option<String>,
    /// The authorisation code of the payer's bank.
    pub authorization: Option<String>,
    /// The machine-readable outcome.
    pub code: Option<String>,
    /// The human-readable outcome.
    pub message: Option<String>,
}

/// The final outcome of a capture attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The money was captured.
    Captured(ProviderDetails),
    /// The payer's bank declined the charge.
    Declined(ProviderDetails),
    /// The provider failed and captured nothing.
    Failed(ProviderDetails),
}

impl ChargeOutcome {
    /// The outcome of a charge that the provider has not executed and never will.
    pub fn not_charged() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self::Failed(ProviderDetails {
            code: text("not_charged"),
            message: text("the provider did not execute this charge"),
            ..ProviderDetails::default()
        })
    }
}

/// The next step of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin the payment at the order, which returns the amount due.
    Begin,
    /// Store a new attempt and send it to the provider.
    Charge,
    /// Send the open attempt to the provider again.
    Resolve(CaptureAttempt),
    /// No step: the payment is not `pending`.
    Done,
}

/// Computes the next step of a payment.
pub fn next_step(payment: &Payment) -> Step {
    match (payment.status, payment.due, payment.open_attempt()) {
        (Status::Pending, None, _) => Step::Begin,
        (Status::Pending, Some(_), Some(attempt)) => Step::Resolve(attempt),
        (Status::Pending, Some(_), None) => Step::Charge,
        _ => Step::Done,
    }
}

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
    /// The amount is not positive or has another currency than the payment.
    #[error("the amount must be positive and in the payment's currency")]
    InvalidAmount,
}

impl Payment {
    /// The newest capture attempt, if its outcome is unknown.
    pub fn open_attempt(&self) -> Option<CaptureAttempt> {
        self.attempt.filter(|attempt| attempt.open)
    }

    /// Applies the outcome of the open capture attempt. Allowed from `pending` only.
    pub fn complete_capture(
        self,
        outcome: ChargeOutcome,
        result: CommandId,
    ) -> Result<(Self, PaymentEvent), TransitionError> {
        let (to, details) = match outcome {
            ChargeOutcome::Captured(details) => (Status::Captured, details),
            ChargeOutcome::Declined(details) => (Status::Declined, details),
            ChargeOutcome::Failed(details) => (Status::Failed, details),
        };
        let (Some(due), Some(attempt)) = (self.due, self.open_attempt()) else {
            return Err(TransitionError::NotAllowed { from: self.status, to });
        };
        let mut after = self.step(Status::Pending, to, result)?;
        after.attempt = Some(CaptureAttempt { open: false, ..attempt });
        after.details = details;
        let payload = after.event_payload(due, result);
        let event = match to {
            Status::Captured => PaymentEvent::Captured(payload),
            Status::Declined => PaymentEvent::Declined(payload),
            _ => PaymentEvent::Failed(payload),
        };
        Ok((after, event))
    }

    /// Voids the payment. Allowed from `pending` without an open attempt only.
    pub fn void(self, due: Money, result: CommandId) -> Result<(Self, PaymentEvent), TransitionError> {
        if self.open_attempt().is_some() {
            return Err(TransitionError::NotAllowed { from: self.status, to: Status::Voided });
        }
        let mut after = self.step(Status::Pending, Status::Voided, result)?;
        after.due = Some(due);
        let payload = after.event_payload(due, result);
        Ok((after, PaymentEvent::Voided(payload)))
    }

    /// Returns the payment to `pending` for a retry with the same key, which brings the token again. Allowed from `failed`
    /// only.
    pub fn reopen(mut self, token: Option<Secret>) -> Result<Self, TransitionError> {
        if self.status != Status::Failed {
            return Err(TransitionError::NotAllowed { from: self.status, to: Status::Pending });
        }
        self.status = Status::Pending;
        self.due = None;
        self.token = token;
        Ok(self)
    }

    /// Checks a refund against the existing attempts and returns its amount: `requested`, or all that remains if none.
    pub fn refundable(&self, requested: Option<Money>, attempts: &[RefundAttempt]) -> Result<Money, TransitionError> {
        let due = self.due.filter(|_| self.status.is_captured());
        let due = due.ok_or(TransitionError::NotAllowed { from: self.status, to: Status::Refunded })?;
        let reserved: i64 = attempts
            .iter()
            .filter(|attempt| attempt.state != AttemptState::Failed)
            .map(|attempt| attempt.amount.amount)
            .sum();
        let remaining = due.amount - reserved;
        match requested {
            Some(amount) if amount.currency != due.currency || amount.amount <= 0 => {
                Err(TransitionError::InvalidAmount)
            }
            Some(amount) if amount.amount > remaining => Err(TransitionError::ExceedsCapture),
            Some(amount) => Ok(amount),
            None if remaining == 0 => Err(TransitionError::ExceedsCapture),
            None => Ok(Money { amount: remaining, currency: due.currency }),
        }
    }

    /// Applies a refund that succeeded.
    pub fn refund(
        mut self,
        refund: &RefundAttempt,
        result: CommandId,
    ) -> Result<(Self, PaymentEvent), TransitionError> {
        let to = Status::Refunded;
        let due = self
            .due
            .filter(|_| self.status.is_refundable())
            .ok_or(TransitionError::NotAllowed { from: self.status, to })?;
        let refunded = self.refunded_minor + refund.amount.amount;
        if refunded > due.amount {
            return Err(TransitionError::ExceedsCapture);
        }
        self.refunded_minor = refunded;
        self.status = if refunded == due.amount { Status::Refunded } else { Status::PartiallyRefunded };
        self.result = Some(result);
        self.seq += 1;
        let event = PaymentEvent::Refunded(events::Refund {
            refund_id: refund.id,
            payment_id: self.id,
            order_id: self.order,
            user_id: self.user,
            amount: refund.amount,
            refunded: Money { amount: refunded, currency: due.currency },
            captured: due,
            result_id: result,
        });
        Ok((self, event))
    }

    fn step(mut self, from: Status, to: Status, result: CommandId) -> Result<Self, TransitionError> {
        if self.status != from {
            return Err(TransitionError::NotAllowed { from: self.status, to });
        }
        self.status = to;
        self.result = Some(result);
        self.seq += 1;
        self.token = None;
        Ok(self)
    }

    fn event_payload(&self, amount: Money, result: CommandId) -> events::Payment {
        events::Payment { payment_id: self.id, order_id: self.order, user_id: self.user, amount, result_id: result }
    }
}

#[cfg(test)]
mod tests {
    use agora_events::Event as _;
    use agora_vocab::{Currency, Epoch, RefundId};
    use proptest::prelude::*;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    fn eur(amount: i64) -> Money {
        Money { amount, currency: Currency::EUR }
    }

    fn payment(status: Status) -> Payment {
        Payment {
            id: PaymentId::new(Uuid::from_u128(1)),
            order: OrderId::new(Uuid::from_u128(2)),
            user: UserId::new(Uuid::from_u128(3)),
            initiator: Initiator::Shopper,
            expected: None,
            due: Some(eur(1000)),
            status,
            attempt: None,
            refunded_minor: 0,
            method: Method::Card,
            token: Some(Secret::new("tok_ok")),
            details: ProviderDetails::default(),
            result: None,
            seq: 0,
            created_at: datetime!(2026-01-01 00:00 UTC),
            updated_at: datetime!(2026-01-01 00:00 UTC),
        }
    }

    const ATTEMPT: CaptureAttempt = CaptureAttempt { n: 1, epoch: Epoch(0), open: true };

    /// A payment with an open attempt.
    fn attempted(status: Status) -> Payment {
        Payment { attempt: Some(ATTEMPT), ..payment(status) }
    }

    fn refund(n: i32, amount: i64, state: AttemptState) -> RefundAttempt {
        RefundAttempt {
            id: RefundId::new(Uuid::from_u128(100 + u128::try_from(n).unwrap())),
            payment: PaymentId::new(Uuid::from_u128(1)),
            n,
            epoch: Epoch(0),
            amount: eur(amount),
            state,
            reference: None,
            created_at: datetime!(2026-01-01 00:00 UTC),
        }
    }

    const RESULT: CommandId = CommandId::new(Uuid::from_u128(9));

    #[test]
    fn capture_and_void_are_allowed_from_pending_only() {
        for status in Status::ALL {
            let captured =
                attempted(status).complete_capture(ChargeOutcome::Captured(ProviderDetails::default()), RESULT);
            let voided = payment(status).void(eur(1000), RESULT);
            assert_eq!(
                (captured.is_ok(), voided.is_ok()),
                (status == Status::Pending, status == Status::Pending),
                "{status:?}"
            );
        }
    }

    #[test]
    fn reopen_is_allowed_from_failed_only_and_begins_at_the_order_again() {
        for status in Status::ALL {
            assert_eq!(payment(status).reopen(None).is_ok(), status == Status::Failed, "{status:?}");
        }
        assert_eq!(next_step(&payment(Status::Failed).reopen(None).unwrap()), Step::Begin);
    }

    #[test]
    fn a_payment_that_is_not_pending_keeps_no_token() {
        let (captured, event) = attempted(Status::Pending)
            .complete_capture(ChargeOutcome::Captured(ProviderDetails::default()), RESULT)
            .unwrap();
        assert_eq!((captured.token, captured.seq, event.kind()), (None, 1, "payment.captured"));
        let (failed, _) = attempted(Status::Pending)
            .complete_capture(ChargeOutcome::Failed(ProviderDetails::default()), RESULT)
            .unwrap();
        assert!(failed.token.is_none());
        assert_eq!(failed.reopen(Some(Secret::new("tok_ok"))).unwrap().token, Some(Secret::new("tok_ok")));
    }

    #[test]
    fn an_open_attempt_is_resolved_before_a_new_attempt_is_made() {
        assert_eq!(next_step(&attempted(Status::Pending)), Step::Resolve(ATTEMPT));
        let failed = Payment { attempt: Some(CaptureAttempt { open: false, ..ATTEMPT }), ..payment(Status::Pending) };
        assert_eq!(next_step(&failed), Step::Charge);
    }

    #[test]
    fn a_payment_with_an_open_attempt_cannot_be_voided_and_one_without_cannot_be_captured() {
        assert!(attempted(Status::Pending).void(eur(1000), RESULT).is_err());
        let outcome = ChargeOutcome::Captured(ProviderDetails::default());
        assert!(payment(Status::Pending).complete_capture(outcome, RESULT).is_err());
    }

    #[test]
    fn refundable_subtracts_open_refunds_but_not_failed_ones() {
        let captured = payment(Status::Captured);
        let attempts = [refund(1, 600, AttemptState::Prepared), refund(2, 300, AttemptState::Failed)];
        assert_eq!(captured.refundable(None, &attempts), Ok(eur(400)));
        assert_eq!(captured.refundable(Some(eur(401)), &attempts), Err(TransitionError::ExceedsCapture));
        assert_eq!(captured.refundable(Some(eur(0)), &attempts), Err(TransitionError::InvalidAmount));
        let yen = Money { amount: 1, currency: "JPY".parse().unwrap() };
        assert_eq!(captured.refundable(Some(yen), &attempts), Err(TransitionError::InvalidAmount));
        assert!(matches!(payment(Status::Declined).refundable(None, &[]), Err(TransitionError::NotAllowed { .. })));
    }

    #[test]
    fn provider_key_contains_the_recovery_epoch() {
        let (first, second) = (
            refund(2, 5, AttemptState::Prepared),
            RefundAttempt { epoch: Epoch(3), ..refund(2, 5, AttemptState::Prepared) },
        );
        assert_ne!(first.provider_key(), second.provider_key());
        assert!(second.provider_key().starts_with("3:") && second.provider_key().ends_with(":refund:2"));
    }

    proptest! {
        #[test]
        fn refunds_never_exceed_the_capture_and_the_ledger_holds_the_rest(asked in prop::collection::vec(1..700_i64, 1..12)) {
            let captured = ChargeOutcome::Captured(ProviderDetails::default());
            let mut payment = attempted(Status::Pending).complete_capture(captured, RESULT).unwrap().0;
            let mut attempts = Vec::new();
            let mut ledger = vec![Posting::capture(payment.id, eur(1000))];
            for (n, amount) in (1..).zip(asked) {
                let Ok(amount) = payment.refundable(Some(eur(amount)), &attempts) else { continue };
                let attempt = refund(n, amount.amount, AttemptState::Succeeded);
                (payment, _) = payment.refund(&attempt, RESULT).unwrap();
                ledger.push(Posting::refund(&attempt));
                attempts.push(attempt);
            }
            prop_assert!(payment.refunded_minor <= 1000);
            prop_assert_eq!(payment.status == Status::Refunded, payment.refunded_minor == 1000);
            let sum = |account| {
                let debits = ledger.iter().filter(|posting| posting.debit == account).map(|posting| posting.amount.amount);
                let credits = ledger.iter().filter(|posting| posting.credit == account).map(|posting| posting.amount.amount);
                debits.sum::<i64>() - credits.sum::<i64>()
            };
            prop_assert_eq!((sum("provider"), sum("seller")), (1000 - payment.refunded_minor, payment.refunded_minor - 1000));
        }
    }
}
