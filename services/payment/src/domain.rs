//! Payments: states, transitions, refundable amounts and ledger postings.
//!
//! Pure functions, without a clock, a database or a provider.

mod attempt;
mod ledger;
mod outcome;
mod reconciliation;
mod status;
mod token;
mod transition;

use agora_vocab::{CommandId, Money, OrderId, PaymentId, UserId};
use time::OffsetDateTime;

pub use self::{
    attempt::{Attempt, AttemptKind, AttemptState, RefundAttempt},
    ledger::Posting,
    outcome::{ChargeOutcome, NextAction, ProviderDetails},
    reconciliation::{Category, Difference, MoneyKind, MoneyMovement, Slice, compare},
    status::{CaptureMethod, Initiator, Method, Status},
    token::{SealedToken, parse_token},
    transition::{Change, TransitionError},
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
    /// Whether the charge also captures.
    pub capture_method: CaptureMethod,
    /// The newest attempt to charge, capture or void it; none before the first.
    pub attempt: Option<Attempt>,
    /// The authorised amount, in minor units of `due`; stays after a capture.
    pub authorised_minor: i64,
    /// The captured amount, in minor units of `due`.
    pub captured_minor: i64,
    /// The sum of succeeded refunds, in minor units of `due`.
    pub refunded_minor: i64,
    /// The payment method.
    pub method: Method,
    /// The provider's token, encrypted; none in every state other than `pending`.
    pub token: Option<SealedToken>,
    /// The provider's response to the newest attempt, or the order's rejection.
    pub details: ProviderDetails,
    /// What the payer must do; none in every state other than `pending`.
    pub next_action: Option<NextAction>,
    /// The id of the newest result.
    pub result: Option<CommandId>,
    /// The sequence number of the last published event; 0 before the first.
    pub seq: i64,
    /// Seconds since the row last changed, by the clock of the database.
    pub unchanged_s: i64,
    /// Whether the payer or the shop did not act in time.
    pub overdue: bool,
    /// When the payment was created.
    pub created_at: OffsetDateTime,
    /// When the row last changed.
    pub updated_at: OffsetDateTime,
}

impl Payment {
    /// The newest attempt, if its outcome is unknown.
    pub fn open_attempt(&self) -> Option<Attempt> {
        self.attempt.filter(|attempt| attempt.open)
    }

    /// The captured amount, even if it was refunded since; none before a capture.
    pub fn captured(&self) -> Option<Money> {
        let due = self.due.filter(|_| self.status.is_captured())?;
        Some(Money { amount: self.captured_minor, currency: due.currency })
    }
}

/// The next step of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin the payment at the order, which returns the amount due.
    Begin,
    /// Store a new attempt and send it to the provider.
    Charge,
    /// Find out the outcome of the open attempt.
    Resolve(Attempt),
    /// End a charge whose payer did not act in time.
    Expire(Attempt),
    /// Void an authorisation that was not captured in time.
    Release,
    /// No step: the payment has a result, or waits for the shop.
    Done,
}

/// Computes the next step of a payment.
pub fn next_step(payment: &Payment) -> Step {
    match (payment.status, payment.due, payment.open_attempt()) {
        (Status::Pending, None, _) => Step::Begin,
        (Status::Pending, Some(_), Some(attempt)) if payment.overdue => Step::Expire(attempt),
        (Status::Pending | Status::Authorised, Some(_), Some(attempt)) => Step::Resolve(attempt),
        (Status::Pending, Some(_), None) => Step::Charge,
        (Status::Authorised, _, None) if payment.overdue => Step::Release,
        _ => Step::Done,
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
            capture_method: CaptureMethod::Automatic,
            attempt: None,
            authorised_minor: if status == Status::Authorised { 1000 } else { 0 },
            captured_minor: if status.is_captured() { 1000 } else { 0 },
            refunded_minor: 0,
            method: Method::Card,
            token: (status == Status::Pending).then(token),
            details: ProviderDetails::default(),
            next_action: None,
            result: None,
            seq: 0,
            unchanged_s: 0,
            overdue: false,
            created_at: datetime!(2026-01-01 00:00 UTC),
            updated_at: datetime!(2026-01-01 00:00 UTC),
        }
    }

    fn token() -> SealedToken {
        SealedToken::new(vec![1])
    }

    fn captured(amount: i64) -> ChargeOutcome {
        ChargeOutcome::Captured(ProviderDetails::default(), eur(amount))
    }

    fn authorised(amount: i64) -> ChargeOutcome {
        ChargeOutcome::Authorised(ProviderDetails::default(), eur(amount))
    }

    const ATTEMPT: Attempt = Attempt::first(Epoch(0));

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
            age_s: 0,
            created_at: datetime!(2026-01-01 00:00 UTC),
        }
    }

    const RESULT: CommandId = CommandId::new(Uuid::from_u128(9));

    #[test]
    fn a_capture_needs_an_open_attempt_or_an_authorisation_and_a_void_a_pending_payment() {
        for status in Status::ALL {
            let (open, idle) =
                (attempted(status).apply(captured(1000), RESULT), payment(status).apply(captured(1000), RESULT));
            let voided = payment(status).void(eur(1000), RESULT);
            let expected = (
                matches!(status, Status::Pending | Status::Authorised),
                status == Status::Authorised,
                status == Status::Pending,
            );
            assert_eq!((open.is_ok(), idle.is_ok(), voided.is_ok()), expected, "{status:?}");
        }
    }

    #[test]
    fn an_amount_that_was_not_requested_changes_nothing() {
        let yen = Money { amount: 1000, currency: "JPY".parse().unwrap() };
        let in_yen = ChargeOutcome::Captured(ProviderDetails::default(), yen);
        for outcome in [captured(999), captured(1001), authorised(999), in_yen] {
            let applied = attempted(Status::Pending).apply(outcome, RESULT);
            assert!(matches!(applied, Err(TransitionError::AmountDiffers { .. })), "{applied:?}");
        }
        let capture = Attempt { kind: AttemptKind::Capture, amount_minor: Some(600), ..ATTEMPT };
        let capturing = Payment { attempt: Some(capture), ..payment(Status::Authorised) };
        assert!(capturing.clone().apply(captured(700), RESULT).is_err());
        let (after, _) = capturing.apply(captured(600), RESULT).unwrap();
        assert_eq!((after.status, after.captured_minor, after.authorised_minor), (Status::Captured, 600, 1000));
    }

    #[test]
    fn what_is_captured_is_at_most_what_is_authorised() {
        let held = payment(Status::Authorised);
        assert_eq!(held.capturable(None), Ok(eur(1000)));
        assert_eq!(held.capturable(Some(eur(1))), Ok(eur(1)));
        assert_eq!(held.capturable(Some(eur(1001))), Err(TransitionError::ExceedsAuthorisation));
        assert_eq!(held.capturable(Some(eur(0))), Err(TransitionError::InvalidAmount));
        assert!(matches!(payment(Status::Captured).capturable(None), Err(TransitionError::NotAllowed { .. })));
        assert!(held.apply(captured(1001), RESULT).is_err());
    }

    #[test]
    fn an_authorisation_that_ends_for_any_reason_is_voided() {
        let details = ProviderDetails::default;
        for outcome in
            [ChargeOutcome::Voided(details()), ChargeOutcome::Failed(details()), ChargeOutcome::Declined(details())]
        {
            let (after, event) = attempted(Status::Authorised).apply(outcome, RESULT).unwrap();
            assert_eq!(
                (after.status, after.authorised_minor, event.unwrap().kind()),
                (Status::Voided, 0, "payment.voided")
            );
        }
        let (same, event) = attempted(Status::Authorised).apply(authorised(1000), RESULT).unwrap();
        assert!(event.is_none() && same.open_attempt().is_none() && same.status == Status::Authorised);
    }

    #[test]
    fn a_charge_that_waits_for_its_payer_keeps_its_attempt_and_no_token() {
        let action = NextAction { kind: "redirect".to_owned(), url: Some("https://bank.example/".to_owned()) };
        let details = ProviderDetails { reference: Some("pi_1".to_owned()), ..ProviderDetails::default() };
        let waiting = ChargeOutcome::InProgress(details, Some(action.clone()));
        let (after, event) = attempted(Status::Pending).apply(waiting, RESULT).unwrap();
        assert_eq!((after.next_action.clone(), after.token.clone(), event, after.seq), (Some(action), None, None, 0));
        assert_eq!(next_step(&after), Step::Resolve(ATTEMPT));
        assert_eq!(next_step(&Payment { overdue: true, ..after.clone() }), Step::Expire(ATTEMPT));
        let (after, _) = after.apply(captured(1000), RESULT).unwrap();
        assert_eq!((after.status, after.next_action), (Status::Captured, None));
    }

    #[test]
    fn an_authorisation_that_is_not_captured_in_time_is_released() {
        let held = payment(Status::Authorised);
        assert_eq!(next_step(&held), Step::Done);
        assert_eq!(next_step(&Payment { overdue: true, ..held }), Step::Release);
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
        let (paid, event) = attempted(Status::Pending).apply(captured(1000), RESULT).unwrap();
        assert_eq!((paid.token, paid.seq, event.unwrap().kind()), (None, 1, "payment.captured"));
        let failed = ChargeOutcome::Failed(ProviderDetails::default());
        let (failed, _) = attempted(Status::Pending).apply(failed, RESULT).unwrap();
        assert!(failed.token.is_none());
        assert_eq!(failed.reopen(Some(token())).unwrap().token, Some(token()));
    }

    #[test]
    fn an_open_attempt_is_resolved_before_a_new_attempt_is_made() {
        assert_eq!(next_step(&attempted(Status::Pending)), Step::Resolve(ATTEMPT));
        let failed = Payment { attempt: Some(Attempt { open: false, ..ATTEMPT }), ..payment(Status::Pending) };
        assert_eq!(next_step(&failed), Step::Charge);
    }

    #[test]
    fn a_payment_with_an_open_attempt_cannot_be_voided_and_one_without_cannot_be_captured() {
        assert!(attempted(Status::Pending).void(eur(1000), RESULT).is_err());
        assert!(payment(Status::Pending).apply(captured(1000), RESULT).is_err());
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
            let mut payment = attempted(Status::Pending).apply(captured(1000), RESULT).unwrap().0;
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
