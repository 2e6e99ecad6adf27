//! The next step of a saga as a pure function of order, saga and time.

use agora_vocab::{PaymentId, ReturnId};
use time::{Duration, OffsetDateTime};

use super::{
    super::{PaymentStatus, State, Status},
    DueReturn, Hold,
};

/// Seconds by which a reservation outlives the payment window: a payment may stay pending for ten minutes.
pub const HOLD_MARGIN_SECONDS: i64 = 900;
/// A saga whose step fails for longer is reported as stuck; retries continue.
pub const STUCK_AFTER: Duration = Duration::minutes(10);
/// Time without a result after which a payment started by the payment service is queried.
const SETTLE_AFTER: Duration = Duration::seconds(60);

/// A step of the saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reserve all lines, or none.
    Reserve {
        /// Number of the reservation, from 1.
        hold: i32,
    },
    /// Commit the reservation.
    Commit {
        /// Number of the reservation.
        hold: i32,
    },
    /// Release the reservation, committed or not.
    Release {
        /// Number of the reservation.
        hold: i32,
    },
    /// Return the lines to the cart.
    CancelCheckout,
    /// Make the payment that came with the order.
    Pay {
        /// Id of the payment.
        payment: PaymentId,
    },
    /// Query the outcome of a payment.
    Settle {
        /// Id of the payment.
        payment: PaymentId,
    },
    /// Void a payment that has no result.
    Void {
        /// Id of the payment.
        payment: PaymentId,
    },
    /// Refund a payment.
    Refund {
        /// Id of the payment.
        payment: PaymentId,
    },
    /// Put the units of a return into stock.
    Restock { id: ReturnId },
    /// Refund the price of a return.
    RefundReturn { id: ReturnId },
    /// End the payment window.
    CloseWindow,
    /// No step until that time or until an event arrives.
    Wait {
        /// Time of the next step; `None` if only an event can trigger one.
        until: Option<OffsetDateTime>,
    },
}

/// Phase of a saga, for monitoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has a step to take.
    Running,
    /// It waits until a time or for a payment.
    Waiting,
    /// It has nothing more to do.
    Done,
    /// Its step has failed for [`STUCK_AFTER`].
    Stuck,
}

/// The next step of an order at `now`.
pub fn next(state: &State, now: OffsetDateTime) -> Step {
    let step = step_if_available(state, now);
    match (step, state.saga.not_before) {
        (Step::CloseWindow | Step::Wait { .. }, _) | (_, None) => step,
        (_, Some(time)) if now >= time => step,
        (_, until) => Step::Wait { until },
    }
}

/// Time of the next step; `None` if only an event can trigger one.
pub fn wake_at(state: &State, now: OffsetDateTime) -> Option<OffsetDateTime> {
    match next(state, now) {
        Step::Wait { until } => until,
        _ => Some(now),
    }
}

/// The phase of the saga at `now`.
pub fn phase(state: &State, now: OffsetDateTime) -> Phase {
    match next(state, now) {
        _ if state.saga.failing_since.is_some_and(|since| now - since > STUCK_AFTER) => Phase::Stuck,
        Step::Wait { until: None } => Phase::Done,
        Step::Wait { until: Some(_) } => Phase::Waiting,
        _ => Phase::Running,
    }
}

/// The next step, regardless of backoff and polling intervals.
fn step_if_available(state: &State, now: OffsetDateTime) -> Step {
    let State { order, saga } = state;
    let hold = order.progress.hold;
    match (order.progress.status, saga.hold, saga.captured) {
        (Status::Created, ..) if now >= order.expires_at => Step::CloseWindow,
        (Status::Created, ..) => Step::Reserve { hold: 1 },
        (Status::Pending | Status::Expired, Hold::Held, Some(_)) => Step::Commit { hold },
        (Status::Pending | Status::Expired, Hold::Gone, Some(_)) => Step::Reserve { hold: hold + 1 },
        (Status::Pending, ..) => until_paid(state, now),
        _ => compensation(state),
    }
}

/// The next step of a pending order whose payment has no result.
fn until_paid(state: &State, now: OffsetDateTime) -> Step {
    let State { order, saga } = state;
    let over = now >= order.expires_at;
    match (order.progress.payment_status, order.progress.payment, saga.unsettled_own_payment()) {
        (PaymentStatus::Processing, Some(payment), Some((own, ..))) if own == payment => {
            if over {
                Step::Void { payment }
            } else {
                Step::Pay { payment }
            }
        }
        (PaymentStatus::Processing, Some(payment), _) => {
            let ask_at = saga.paying_since.unwrap_or(order.updated_at) + SETTLE_AFTER;
            if now >= ask_at { Step::Settle { payment } } else { Step::Wait { until: Some(ask_at) } }
        }
        _ if over => Step::CloseWindow,
        _ => Step::Wait { until: Some(order.expires_at) },
    }
}

/// What an order gives back after its end or a return: stock, lines of the cart, money. No step waits for another one that
/// fails: after each failure it is the turn of the next.
fn compensation(state: &State) -> Step {
    let State { order, saga } = state;
    let ended = matches!(order.progress.status, Status::Cancelled | Status::Expired);
    // A reservation that has to be released is never committed: the release may already have been sent.
    let release = (ended && saga.hold == Hold::Ending).then(|| Step::Release { hold: order.progress.hold.max(1) });
    let cancel = saga.cancel_checkout.then_some(Step::CancelCheckout);
    let refunds = saga.refunds.iter().map(|&payment| Step::Refund { payment });
    let returns = saga.returns.iter().flat_map(|&DueReturn { id, restock, refund }| {
        [restock.then_some(Step::Restock { id }), refund.then_some(Step::RefundReturn { id })].into_iter().flatten()
    });
    let due: Vec<Step> = release.into_iter().chain(cancel).chain(refunds).chain(returns).collect();
    let turn = usize::try_from(saga.failures).unwrap_or_default().checked_rem(due.len());
    turn.map_or(Step::Wait { until: None }, |turn| due[turn])
}
