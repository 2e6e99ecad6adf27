//! Everything that can happen to an order, and what becomes of the order and its saga when it does.
//!
//! One pure function, [`decide`]. What a client asks may be refused; what another service answered never is: an answer
//! that comes too late, or twice, changes nothing.

use agora_vocab::{Money, PaymentId, UserId};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::{
    Hold, Order, PaymentOutcome, PaymentStatus, Record, Saga, Shortage, Standing, Status,
    payment::{begin, result},
};

/// How long to wait before payment is asked again for a result that it did not have.
pub(super) const ASK_AGAIN: Duration = Duration::seconds(5);
/// First and longest pause before a step that failed is tried again.
const RETRY_PAUSE_MIN: Duration = Duration::milliseconds(200);
const RETRY_PAUSE_MAX: Duration = Duration::seconds(300);

/// An order and its saga: they are read, changed and written together.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The order.
    pub order: Order,
    /// Its saga.
    pub saga: Saga,
}

/// Something that happens to an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Somebody is about to pay.
    BeginPayment {
        /// With which payment.
        payment: PaymentId,
        /// Who.
        user: UserId,
        /// What he believes it costs.
        amount: Option<Money>,
    },
    /// Something is known about a payment.
    PaymentResult {
        /// Which.
        payment: PaymentId,
        /// What.
        outcome: PaymentOutcome,
    },
    /// The owner or an admin calls the order off.
    Cancel,
    /// An admin moves the order on along the table.
    Advance(Status),
    /// Time has passed: the payment window may have ended.
    CloseWindow,
    /// The stock is held.
    Held {
        /// Which hold.
        hold: i32,
    },
    /// The stock could not be held.
    Short {
        /// Which hold.
        hold: i32,
        /// What was missing.
        shortage: Shortage,
    },
    /// The stock is sold.
    Committed {
        /// Which hold.
        hold: i32,
    },
    /// The hold ran out or was released before it could be committed.
    HoldGone {
        /// Which hold.
        hold: i32,
    },
    /// The stock is free again.
    Released {
        /// Which hold.
        hold: i32,
    },
    /// The cart has its lines back.
    CartReturned,
    /// Payment has no result yet.
    StillPending,
    /// The other service could not be reached, or gave an answer that no step expects.
    StepFailed,
}

/// What becomes of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The order and its saga afterwards.
    pub state: State,
    /// The change to be written; `None` if the order stands where it stood.
    pub record: Option<Record>,
}

/// Why a client's wish was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// It is somebody else's order.
    #[error("the order belongs to somebody else")]
    Foreign,
    /// It costs something else.
    #[error("the order costs {due}")]
    AmountMismatch {
        /// What it costs.
        due: Money,
    },
    /// The table has no such edge.
    #[error("an order that is {from} does not allow it")]
    InvalidTransition {
        /// The state that it has.
        from: Status,
        /// What was wished for; `None` for a state that does not exist.
        to: Option<Status>,
    },
    /// A payment is under way.
    #[error("a payment of the order is under way")]
    PaymentInProgress,
}

/// What becomes of the order and its saga when `command` happens at `now`.
pub fn decide(before: &State, command: &Command, now: OffsetDateTime) -> Result<Decision, Refused> {
    let mut moving = Moving { order: &before.order, standing: before.order.standing, saga: before.saga.clone(), now };
    match command {
        Command::BeginPayment { payment, user, amount } => begin(&mut moving, *payment, *user, *amount)?,
        Command::PaymentResult { payment, outcome } => result(&mut moving, *payment, *outcome),
        Command::Cancel => moving.cancel()?,
        Command::Advance(to) => moving.advance(*to)?,
        Command::CloseWindow => moving.close_window(),
        Command::Held { hold } => moving.held(*hold),
        Command::Short { hold, shortage } => moving.short(*hold, *shortage),
        Command::Committed { hold } => moving.committed(*hold),
        Command::HoldGone { hold } => moving.hold_gone(*hold),
        Command::Released { hold } => moving.released(*hold),
        Command::CartReturned => moving.saga.give_back = false,
        Command::StillPending => moving.ask_again(),
        Command::StepFailed => moving.step_failed(),
    }
    if command.answers_a_step() {
        (moving.saga.failures, moving.saga.failing_since) = (0, None);
    }
    moving.decided()
}

impl Command {
    /// Whether it tells that a call to another service succeeded.
    const fn answers_a_step(&self) -> bool {
        match self {
            Self::PaymentResult { .. }
            | Self::Held { .. }
            | Self::Short { .. }
            | Self::Committed { .. }
            | Self::HoldGone { .. }
            | Self::Released { .. }
            | Self::CartReturned
            | Self::StillPending => true,
            Self::BeginPayment { .. } | Self::Cancel | Self::Advance(_) | Self::CloseWindow | Self::StepFailed => false,
        }
    }
}

/// A decision in the making.
pub(super) struct Moving<'a> {
    pub(super) order: &'a Order,
    pub(super) standing: Standing,
    pub(super) saga: Saga,
    pub(super) now: OffsetDateTime,
}

impl Moving<'_> {
    /// Whether neither expiry nor cancel may interfere.
    pub(super) fn paying(&self) -> bool {
        self.standing.payment_status == PaymentStatus::Processing || self.saga.captured.is_some()
    }

    /// The order ends here: what it holds is to be released, and it pays no more.
    pub(super) fn end(&mut self, status: Status) {
        self.standing.status = status;
        if self.saga.hold != Hold::Gone {
            self.saga.hold = Hold::Ending;
        }
        self.settled();
    }

    /// No payment is under way any more: a token must not outlive its payment.
    pub(super) fn settled(&mut self) {
        self.saga.paying_since = None;
        if let Some(own) = &mut self.saga.own {
            own.token = None;
        }
    }

    /// The money of `payment` is to go back, once.
    pub(super) fn give_money_back(&mut self, payment: PaymentId) {
        if !self.saga.refunds.contains(&payment) {
            self.saga.refunds.push(payment);
        }
    }

    fn cancel(&mut self) -> Result<(), Refused> {
        let from = self.standing.status;
        if !from.leads_to(Status::Cancelled) {
            return Err(Refused::InvalidTransition { from, to: Some(Status::Cancelled) });
        }
        if self.paying() {
            return Err(Refused::PaymentInProgress);
        }
        self.saga.give_back = from == Status::Created && self.order.cart.is_some();
        self.end(Status::Cancelled);
        if let (Some(payment), PaymentStatus::Paid | PaymentStatus::PartiallyRefunded) =
            (self.standing.payment, self.standing.payment_status)
        {
            self.give_money_back(payment);
        }
        Ok(())
    }

    fn advance(&mut self, to: Status) -> Result<(), Refused> {
        let from = self.standing.status;
        match to {
            Status::Cancelled => self.cancel(),
            Status::Processing | Status::Shipped | Status::Completed if from.leads_to(to) => {
                self.standing.status = to;
                Ok(())
            }
            _ => Err(Refused::InvalidTransition { from, to: Some(to) }),
        }
    }

    fn close_window(&mut self) {
        if self.now < self.order.expires_at || self.paying() {
            return;
        }
        match self.standing.status {
            Status::Created => {
                self.saga.give_back = self.order.cart.is_some();
                self.end(Status::Cancelled);
            }
            Status::Pending => self.end(Status::Expired),
            _ => {}
        }
    }

    fn held(&mut self, hold: i32) {
        match self.standing.status {
            Status::Created => {
                self.standing.status = Status::Pending;
                (self.standing.hold, self.saga.hold) = (hold, Hold::Held);
                if let Some((payment, ..)) = self.saga.own_unsettled() {
                    self.standing.payment_status = PaymentStatus::Processing;
                    self.standing.payment = Some(payment);
                    self.saga.paying_since = Some(self.now);
                }
            }
            Status::Pending | Status::Expired if self.saga.captured.is_some() && hold > self.standing.hold => {
                (self.standing.hold, self.saga.hold) = (hold, Hold::Held);
            }
            _ => {}
        }
    }

    fn short(&mut self, hold: i32, shortage: Shortage) {
        match (self.standing.status, self.saga.captured) {
            (Status::Created, _) => {
                self.end(Status::Rejected);
                self.saga.hold = Hold::Gone;
                self.saga.shortage = Some(shortage);
                self.saga.give_back = self.order.cart.is_some();
            }
            (status @ (Status::Pending | Status::Expired), Some(payment)) if hold > self.standing.hold => {
                self.saga.captured = None;
                self.give_money_back(payment);
                if self.standing.payment_status == PaymentStatus::Processing {
                    self.standing.payment_status = PaymentStatus::Paid;
                }
                if status == Status::Pending {
                    self.end(Status::Cancelled);
                }
            }
            _ => {}
        }
    }

    fn committed(&mut self, hold: i32) {
        if self.saga.captured.is_none() || hold != self.standing.hold || self.saga.hold != Hold::Held {
            return;
        }
        self.standing.status = Status::Paid;
        self.standing.payment = self.saga.captured.take();
        if self.standing.payment_status == PaymentStatus::Processing {
            self.standing.payment_status = PaymentStatus::Paid;
        }
        self.saga.hold = Hold::Committed;
        self.settled();
    }

    fn hold_gone(&mut self, hold: i32) {
        if hold == self.standing.hold && self.saga.hold == Hold::Held {
            self.saga.hold = Hold::Gone;
        }
    }

    fn released(&mut self, hold: i32) {
        if hold == self.standing.hold.max(1) && self.saga.hold == Hold::Ending {
            self.saga.hold = Hold::Gone;
        }
    }

    fn ask_again(&mut self) {
        self.saga.asked += 1;
        self.saga.not_before = Some(self.now + ASK_AGAIN);
    }

    fn step_failed(&mut self) {
        let pause = RETRY_PAUSE_MIN * 2_i32.pow(self.saga.failures.min(12));
        self.saga.not_before = Some(self.now + pause.min(RETRY_PAUSE_MAX));
        self.saga.failures += 1;
        self.saga.failing_since.get_or_insert(self.now);
    }

    /// The decision, if both tables have its edges.
    fn decided(mut self) -> Result<Decision, Refused> {
        let before = self.order.standing;
        if self.standing == before {
            return Ok(Decision { state: State { order: self.order.clone(), saga: self.saga }, record: None });
        }
        let (from, to) = (before.status, self.standing.status);
        let money = (before.payment_status, self.standing.payment_status);
        if (from != to && !from.leads_to(to)) || (money.0 != money.1 && !money.0.leads_to(money.1)) {
            return Err(Refused::InvalidTransition { from, to: Some(to) });
        }
        self.saga.not_before = None;
        let order = self.order.moved_to(self.standing, self.now);
        let record = Some(Record::changed(self.order, &order));
        Ok(Decision { state: State { order, saga: self.saga }, record })
    }
}
