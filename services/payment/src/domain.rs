//! What a payment is and what may become of it: states, transitions, what is left to give back, the ledger's entries.
//!
//! Pure: no clock, no database, no provider. A transition gives the payment after it and the fact that goes out, or says
//! why it may not be.

mod attempt;
mod ledger;

use agora_events::payment::{self as events, PaymentEvent};
use agora_vocab::{CommandId, Invalid, Money, OrderId, PaymentId, Secret, UserId};
use time::OffsetDateTime;

pub use self::{
    attempt::{Attempt, AttemptState, Operation, provider_key},
    ledger::{Entry, entries},
};

/// A payment of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    /// The payment.
    pub id: PaymentId,
    /// The order that it pays.
    pub order: OrderId,
    /// Who pays.
    pub user: UserId,
    /// Who asked for it.
    pub door: Door,
    /// What the payer believed it costs.
    pub claimed: Option<Money>,
    /// What it costs; none until the order was asked.
    pub due: Option<Money>,
    /// Where it stands.
    pub status: Status,
    /// How much went back, in minor units of `due`.
    pub refunded_minor: i64,
    /// How it is paid.
    pub method: Method,
    /// The provider's token; none once settled.
    pub token: Option<Secret>,
    /// What the provider told.
    pub facts: Facts,
    /// The newest result's id.
    pub result: Option<CommandId>,
    /// Facts that left so far.
    pub seq: i64,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

/// Who asked for a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A shopper, by `POST /payments`: the order is asked before and told after.
    Request,
    /// The order itself, which knows what it asked and hears the answer: it is not called back.
    Order,
}

/// How an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By card, through the provider's token of it.
    Card,
}

impl Method {
    /// Takes `card`.
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

/// Longest token of a provider, in bytes.
const TOKEN_BYTES_MAX: usize = 255;

/// Takes a provider's token: 1 to 255 visible ASCII characters.
pub fn parse_token(text: &str) -> Result<Secret, Invalid> {
    if (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(text))
    } else {
        Err(Invalid::new("token", format!("must be 1 to {TOKEN_BYTES_MAX} visible ASCII characters")))
    }
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Under way.
    Pending,
    /// The money was taken.
    Captured,
    /// The payer's bank said no.
    Declined,
    /// It ended without a decision and without money; the same key may try again.
    Failed,
    /// It was called off and can never be charged.
    Voided,
    /// A part of the money went back.
    PartiallyRefunded,
    /// All of the money went back.
    Refunded,
}

impl Status {
    /// All of them.
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

    /// The status of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether money was taken, even if all of it went back since.
    pub const fn took_money(self) -> bool {
        self.holds_money() || matches!(self, Self::Refunded)
    }

    /// Whether money was taken and some of it is still here.
    const fn holds_money(self) -> bool {
        matches!(self, Self::Captured | Self::PartiallyRefunded)
    }
}

/// What the provider told of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The provider's own reference.
    pub reference: Option<String>,
    /// The bank's authorisation.
    pub authorization: Option<String>,
    /// The outcome for programs.
    pub code: Option<String>,
    /// The outcome for people.
    pub message: Option<String>,
}

/// How a capture ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The money was taken.
    Captured(Facts),
    /// The payer's bank said no.
    Declined(Facts),
    /// Nothing was taken, for a reason of the provider's own.
    Failed(Facts),
}

/// What is to be done next for a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the order what it costs and whether it may be paid.
    Begin,
    /// Write an attempt and call the provider.
    Charge,
    /// Ask the provider what became of an attempt whose answer nobody has.
    Resolve(Attempt),
    /// Nothing: it is settled.
    Rest,
}

/// What is to be done next, from the payment and its newest capture.
pub fn next(payment: &Payment, capture: Option<&Attempt>) -> Step {
    match (payment.status, payment.due, capture) {
        (Status::Pending, None, _) => Step::Begin,
        (Status::Pending, Some(_), Some(attempt)) if attempt.state == AttemptState::Prepared => {
            Step::Resolve(attempt.clone())
        }
        (Status::Pending, Some(_), _) => Step::Charge,
        _ => Step::Rest,
    }
}

/// Why a payment may not become what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The edge is not in the table.
    #[error("a payment that is {} cannot become {}", from.as_str(), to.as_str())]
    Transition {
        /// What it is.
        from: Status,
        /// What was asked.
        to: Status,
    },
    /// More was to go back than is left.
    #[error("more would go back than was captured and is not on its way back already")]
    ExceedsCapture,
    /// Another currency than the payment's, or an amount of nothing.
    #[error("the amount must be positive and in the payment's currency")]
    Amount,
}

impl Payment {
    /// The payment after its capture ended, and the fact to publish. From `pending` only.
    pub fn conclude(self, outcome: ChargeOutcome, result: CommandId) -> Result<(Self, PaymentEvent), Refused> {
        let (to, facts) = match outcome {
            ChargeOutcome::Captured(facts) => (Status::Captured, facts),
            ChargeOutcome::Declined(facts) => (Status::Declined, facts),
            ChargeOutcome::Failed(facts) => (Status::Failed, facts),
        };
        let due = self.due.ok_or(Refused::Transition { from: self.status, to })?;
        let mut after = self.step(Status::Pending, to, result)?;
        after.facts = facts;
        let fact = after.fact(due, result);
        let event = match to {
            Status::Captured => PaymentEvent::Captured(fact),
            Status::Declined => PaymentEvent::Declined(fact),
            _ => PaymentEvent::Failed(fact),
        };
        Ok((after, event))
    }

    /// The payment called off before any money moved, and the fact to publish. From `pending` only.
    pub fn void(self, due: Money, result: CommandId) -> Result<(Self, PaymentEvent), Refused> {
        let after = self.step(Status::Pending, Status::Voided, result)?;
        let fact = after.fact(due, result);
        Ok((after, PaymentEvent::Voided(fact)))
    }

    /// The payment tried again with the same key. From `failed` only.
    pub fn reopen(mut self) -> Result<Self, Refused> {
        if self.status != Status::Failed {
            return Err(Refused::Transition { from: self.status, to: Status::Pending });
        }
        self.status = Status::Pending;
        self.due = None;
        Ok(self)
    }

    /// How much of a refund is asked, given what is on its way back already: all that is left if `asked` is none.
    pub fn refundable(&self, asked: Option<Money>, attempts: &[Attempt]) -> Result<Money, Refused> {
        let due = self.due.filter(|_| self.status.took_money());
        let due = due.ok_or(Refused::Transition { from: self.status, to: Status::Refunded })?;
        let under_way: i64 = attempts
            .iter()
            .filter(|attempt| attempt.operation == Operation::Refund && attempt.state != AttemptState::Failed)
            .map(|attempt| attempt.amount.amount)
            .sum();
        let left = due.amount - under_way;
        match asked {
            Some(asked) if asked.currency != due.currency || asked.amount <= 0 => Err(Refused::Amount),
            Some(asked) if asked.amount > left => Err(Refused::ExceedsCapture),
            Some(asked) => Ok(asked),
            None if left == 0 => Err(Refused::ExceedsCapture),
            None => Ok(Money { amount: left, currency: due.currency }),
        }
    }

    /// The payment after a refund succeeded, and the fact to publish.
    pub fn refund(mut self, refund: &Attempt, result: CommandId) -> Result<(Self, PaymentEvent), Refused> {
        let to = Status::Refunded;
        let due =
            self.due.filter(|_| self.status.holds_money()).ok_or(Refused::Transition { from: self.status, to })?;
        let refunded = self.refunded_minor + refund.amount.amount;
        if refunded > due.amount {
            return Err(Refused::ExceedsCapture);
        }
        self.refunded_minor = refunded;
        self.status = if refunded == due.amount { Status::Refunded } else { Status::PartiallyRefunded };
        self.result = Some(result);
        self.seq += 1;
        let event = PaymentEvent::Refunded(events::Refund {
            refund_id: refund.refund(),
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

    fn step(mut self, from: Status, to: Status, result: CommandId) -> Result<Self, Refused> {
        if self.status != from {
            return Err(Refused::Transition { from: self.status, to });
        }
        self.status = to;
        self.result = Some(result);
        self.seq += 1;
        if to != Status::Failed {
            self.token = None;
        }
        Ok(self)
    }

    fn fact(&self, amount: Money, result: CommandId) -> events::Payment {
        events::Payment { payment_id: self.id, order_id: self.order, user_id: self.user, amount, result_id: result }
    }
}

#[cfg(test)]
mod tests {
    use agora_events::Event as _;
    use agora_vocab::{Currency, Epoch};
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
            door: Door::Request,
            claimed: None,
            due: Some(eur(1000)),
            status,
            refunded_minor: 0,
            method: Method::Card,
            token: Some(Secret::new("tok_ok")),
            facts: Facts::default(),
            result: None,
            seq: 0,
            created_at: datetime!(2026-01-01 00:00 UTC),
            updated_at: datetime!(2026-01-01 00:00 UTC),
        }
    }

    fn refund(n: i32, amount: i64, state: AttemptState) -> Attempt {
        Attempt {
            intent: Uuid::from_u128(100 + u128::try_from(n).unwrap()),
            payment: PaymentId::new(Uuid::from_u128(1)),
            operation: Operation::Refund,
            n,
            amount: eur(amount),
            state,
            reference: None,
            created_at: datetime!(2026-01-01 00:00 UTC),
        }
    }

    const RESULT: CommandId = CommandId::new(Uuid::from_u128(9));

    #[test]
    fn only_a_pending_payment_is_concluded_or_voided() {
        for status in Status::ALL {
            let concluded = payment(status).conclude(ChargeOutcome::Captured(Facts::default()), RESULT);
            let voided = payment(status).void(eur(1000), RESULT);
            assert_eq!(
                (concluded.is_ok(), voided.is_ok()),
                (status == Status::Pending, status == Status::Pending),
                "{status:?}"
            );
        }
    }

    #[test]
    fn only_a_failed_payment_is_tried_again_and_asks_the_order_anew() {
        for status in Status::ALL {
            assert_eq!(payment(status).reopen().is_ok(), status == Status::Failed, "{status:?}");
        }
        assert_eq!(next(&payment(Status::Failed).reopen().unwrap(), None), Step::Begin);
    }

    #[test]
    fn a_settled_payment_has_no_token() {
        let (captured, event) =
            payment(Status::Pending).conclude(ChargeOutcome::Captured(Facts::default()), RESULT).unwrap();
        assert_eq!((captured.token, captured.seq, event.kind()), (None, 1, "payment.captured"));
        let (failed, _) = payment(Status::Pending).conclude(ChargeOutcome::Failed(Facts::default()), RESULT).unwrap();
        assert!(failed.token.is_some(), "the same key may try again");
    }

    #[test]
    fn an_attempt_without_an_answer_is_resolved_and_never_repeated_under_a_new_key() {
        let mut capture = refund(1, 1000, AttemptState::Prepared);
        capture.operation = Operation::Capture;
        assert_eq!(next(&payment(Status::Pending), Some(&capture)), Step::Resolve(capture.clone()));
        capture.state = AttemptState::Failed;
        assert_eq!(next(&payment(Status::Pending), Some(&capture)), Step::Charge);
    }

    #[test]
    fn refunds_on_their_way_count_and_failed_ones_do_not() {
        let captured = payment(Status::Captured);
        let attempts = [refund(1, 600, AttemptState::Prepared), refund(2, 300, AttemptState::Failed)];
        assert_eq!(captured.refundable(None, &attempts), Ok(eur(400)));
        assert_eq!(captured.refundable(Some(eur(401)), &attempts), Err(Refused::ExceedsCapture));
        assert_eq!(captured.refundable(Some(eur(0)), &attempts), Err(Refused::Amount));
        let yen = Money { amount: 1, currency: "JPY".parse().unwrap() };
        assert_eq!(captured.refundable(Some(yen), &attempts), Err(Refused::Amount));
        assert!(matches!(payment(Status::Declined).refundable(None, &[]), Err(Refused::Transition { .. })));
    }

    #[test]
    fn the_provider_sees_the_epoch_so_that_a_restored_database_repeats_no_old_key() {
        let capture = refund(2, 5, AttemptState::Prepared);
        assert_ne!(capture.provider_key(Epoch(0)), capture.provider_key(Epoch(1)));
        assert!(
            capture.provider_key(Epoch(3)).starts_with("3:") && capture.provider_key(Epoch(3)).ends_with(":refund:2")
        );
    }

    proptest! {
        #[test]
        fn refunds_never_exceed_what_was_captured_and_the_ledger_balances(asked in prop::collection::vec(1..700_i64, 1..12)) {
            let mut payment = payment(Status::Pending).conclude(ChargeOutcome::Captured(Facts::default()), RESULT).unwrap().0;
            let mut attempts = Vec::new();
            let mut ledger: Vec<Entry> = entries(eur(1000), 1).to_vec();
            for (n, amount) in (1..).zip(asked) {
                let Ok(amount) = payment.refundable(Some(eur(amount)), &attempts) else { continue };
                let attempt = refund(n, amount.amount, AttemptState::Succeeded);
                (payment, _) = payment.refund(&attempt, RESULT).unwrap();
                ledger.extend(entries(amount, -1));
                attempts.push(attempt);
            }
            prop_assert!(payment.refunded_minor <= 1000);
            prop_assert_eq!(payment.status == Status::Refunded, payment.refunded_minor == 1000);
            prop_assert_eq!(ledger.iter().map(|entry| entry.amount.amount).sum::<i64>(), 0);
            let owed: i64 = ledger.iter().filter(|entry| entry.account == "seller").map(|entry| entry.amount.amount).sum();
            prop_assert_eq!(-owed, 1000 - payment.refunded_minor);
        }
    }
}
