//! What an order's saga does next, as a function of the order, the saga and the time.

use agora_vocab::PaymentId;
use time::{Duration, OffsetDateTime};

use crate::domain::{Hold, PaymentStatus, State, Status};

/// A hold outlives the payment window by this many seconds: the outcome of a payment may stay unknown for ten minutes.
pub const HOLD_MARGIN_SECONDS: i64 = 900;
/// A saga whose step fails for so long is called stuck; it is tried on all the same.
pub const STUCK_AFTER: Duration = Duration::minutes(10);
/// A payment that somebody else makes is asked for after so long without a result.
const SETTLE_AFTER: Duration = Duration::seconds(60);

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hold all lines, or none.
    Reserve {
        /// Which hold of this order.
        hold: i32,
    },
    /// Sell what is held.
    Commit {
        /// Which hold.
        hold: i32,
    },
    /// Free what is held, or call back what was sold.
    Release {
        /// Which hold.
        hold: i32,
    },
    /// Return the cart's lines.
    GiveBack,
    /// Make the payment that came with the order.
    Pay {
        /// Which payment.
        payment: PaymentId,
    },
    /// Ask what became of a payment.
    Settle {
        /// Which payment.
        payment: PaymentId,
    },
    /// Call off a payment that has no result.
    Void {
        /// Which payment.
        payment: PaymentId,
    },
    /// Give a payment's money back.
    Refund {
        /// Which payment.
        payment: PaymentId,
    },
    /// The payment window is over.
    CloseWindow,
    /// Nothing, before that time or before something happens to the order.
    Rest {
        /// When to look again by itself.
        until: Option<OffsetDateTime>,
    },
}

/// What a saga is doing, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has a step to take.
    Running,
    /// It waits for a time or a payment.
    Resting,
    /// It has nothing more to do.
    Done,
    /// Its step has failed for [`STUCK_AFTER`].
    Stuck,
}

/// The next step of an order at `now`.
pub fn next(state: &State, now: OffsetDateTime) -> Step {
    let step = wanted(state, now);
    match (step, state.saga.not_before) {
        (Step::CloseWindow | Step::Rest { .. }, _) | (_, None) => step,
        (_, Some(time)) if now >= time => step,
        (_, until) => Step::Rest { until },
    }
}

/// When the saga is to be looked at again; `None` if only an event can wake it.
pub fn wake(state: &State, now: OffsetDateTime) -> Option<OffsetDateTime> {
    match next(state, now) {
        Step::Rest { until } => until,
        _ => Some(now),
    }
}

/// What the saga is doing at `now`.
pub fn phase(state: &State, now: OffsetDateTime) -> Phase {
    match next(state, now) {
        _ if state.saga.failing_since.is_some_and(|since| now - since > STUCK_AFTER) => Phase::Stuck,
        Step::Rest { until: None } => Phase::Done,
        Step::Rest { until: Some(_) } => Phase::Resting,
        _ => Phase::Running,
    }
}

/// The next step if every service could be called at any time.
fn wanted(state: &State, now: OffsetDateTime) -> Step {
    let State { order, saga } = state;
    let hold = order.standing.hold;
    match (order.standing.status, saga.hold, saga.captured) {
        (Status::Created, ..) if now >= order.expires_at => Step::CloseWindow,
        (Status::Created, ..) => Step::Reserve { hold: 1 },
        // A hold that has to be released is never committed: the release may already be on its way.
        (Status::Cancelled | Status::Expired, Hold::Ending, _) => Step::Release { hold: hold.max(1) },
        (Status::Pending | Status::Expired, Hold::Held, Some(_)) => Step::Commit { hold },
        (Status::Pending | Status::Expired, Hold::Gone, Some(_)) => Step::Reserve { hold: hold + 1 },
        (Status::Pending, ..) => until_paid(state, now),
        _ => returns(state),
    }
}

/// What a pending order whose payment has no result waits for.
fn until_paid(state: &State, now: OffsetDateTime) -> Step {
    let State { order, saga } = state;
    let over = now >= order.expires_at;
    match (order.standing.payment_status, order.standing.payment, saga.own_unsettled()) {
        (PaymentStatus::Processing, Some(payment), Some((own, ..))) if own == payment => {
            if over {
                Step::Void { payment }
            } else {
                Step::Pay { payment }
            }
        }
        (PaymentStatus::Processing, Some(payment), _) => {
            let ask_at = saga.paying_since.unwrap_or(order.updated_at) + SETTLE_AFTER;
            if now >= ask_at { Step::Settle { payment } } else { Step::Rest { until: Some(ask_at) } }
        }
        _ if over => Step::CloseWindow,
        _ => Step::Rest { until: Some(order.expires_at) },
    }
}

/// What has to go back: lines to the cart, money to the payer.
fn returns(state: &State) -> Step {
    match (state.saga.give_back, state.saga.refunds.first()) {
        (true, _) => Step::GiveBack,
        (false, Some(&payment)) => Step::Refund { payment },
        (false, None) => Step::Rest { until: None },
    }
}
