//! What payments do to an order: they begin, and sooner or later, once or more often, in whatever order, their results
//! arrive.

use std::str::FromStr;

use agora_vocab::{Money, PaymentId, UserId};
use serde::{Deserialize, Serialize};

use super::{PaymentStatus, Refused, Status, command::Moving, status::UnknownState};

/// After so many declined payments the order is cancelled.
pub const DECLINES_MAX: i32 = 3;

/// What became of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentOutcome {
    /// The money was taken.
    Captured,
    /// The payer's bank said no.
    Declined,
    /// It failed without a decision.
    Failed,
    /// It was called off before any money moved.
    Voided,
    /// A part of the money went back.
    PartiallyRefunded,
    /// All of the money went back.
    Refunded,
}

impl FromStr for PaymentOutcome {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Ok(match text {
            "captured" => Self::Captured,
            "declined" => Self::Declined,
            "failed" => Self::Failed,
            "voided" => Self::Voided,
            "partially_refunded" => Self::PartiallyRefunded,
            "refunded" => Self::Refunded,
            _ => return Err(UnknownState),
        })
    }
}

/// `payment` wants to begin.
pub(super) fn begin(
    moving: &mut Moving<'_>,
    payment: PaymentId,
    user: UserId,
    amount: Option<Money>,
) -> Result<(), Refused> {
    let order = moving.order;
    let status = moving.standing.status;
    if user != order.user {
        return Err(Refused::Foreign);
    }
    if amount.is_some_and(|amount| amount != order.total) {
        return Err(Refused::AmountMismatch { due: order.total });
    }
    if status == Status::Pending && moving.paying() && moving.standing.payment == Some(payment) {
        return Ok(());
    }
    if status != Status::Pending || moving.now >= order.expires_at || moving.saga.over.contains(&payment) {
        return Err(Refused::InvalidTransition { from: status, to: Some(Status::Paid) });
    }
    if moving.paying() {
        return Err(Refused::PaymentInProgress);
    }
    moving.standing.payment_status = PaymentStatus::Processing;
    moving.standing.payment = Some(payment);
    moving.saga.paying_since = Some(moving.now);
    Ok(())
}

/// Something is known about `payment`.
pub(super) fn result(moving: &mut Moving<'_>, payment: PaymentId, outcome: PaymentOutcome) {
    match outcome {
        PaymentOutcome::Captured => captured(moving, payment),
        PaymentOutcome::Declined | PaymentOutcome::Failed | PaymentOutcome::Voided => {
            no_money(moving, payment, outcome);
        }
        PaymentOutcome::PartiallyRefunded => partly_refunded(moving, payment),
        PaymentOutcome::Refunded => refunded(moving, payment),
    }
}

/// The first payment that takes money for an order is the order's payment; any other one gives its money back.
fn captured(moving: &mut Moving<'_>, payment: PaymentId) {
    let known = moving.saga.captured == Some(payment)
        || moving.saga.refunds.contains(&payment)
        || (moving.standing.payment == Some(payment) && moving.standing.payment_status.was_taken());
    if known {
        return;
    }
    let first = moving.saga.captured.is_none() && !moving.standing.payment_status.was_taken();
    match (moving.standing.status, first) {
        (Status::Pending | Status::Expired, true) => {
            moving.saga.captured = Some(payment);
            moving.standing.payment = Some(payment);
            moving.standing.payment_status = PaymentStatus::Processing;
            moving.settled();
        }
        (_, true) => {
            moving.standing.payment = Some(payment);
            moving.standing.payment_status = PaymentStatus::Paid;
            moving.settled();
            moving.give_money_back(payment);
        }
        (_, false) => moving.give_money_back(payment),
    }
}

fn no_money(moving: &mut Moving<'_>, payment: PaymentId, outcome: PaymentOutcome) {
    moving.saga.refunds.retain(|due| *due != payment);
    let news = outcome != PaymentOutcome::Failed && !moving.saga.over.contains(&payment);
    if news {
        moving.saga.over.push(payment);
    }
    let under_way = moving.standing.payment == Some(payment)
        && moving.standing.payment_status == PaymentStatus::Processing
        && moving.saga.captured.is_none();
    if !under_way {
        return;
    }
    moving.standing.payment_status = PaymentStatus::Failed;
    moving.settled();
    if outcome == PaymentOutcome::Declined && news {
        declined(moving, payment);
    }
}

fn declined(moving: &mut Moving<'_>, payment: PaymentId) {
    moving.standing.declines += 1;
    if let Some(own) = moving.saga.own.as_mut().filter(|own| own.payment == payment) {
        own.declined = true;
    }
    if moving.standing.declines >= DECLINES_MAX && moving.standing.status == Status::Pending {
        moving.end(Status::Cancelled);
    }
}

fn partly_refunded(moving: &mut Moving<'_>, payment: PaymentId) {
    captured(moving, payment);
    let ours = moving.standing.payment == Some(payment);
    if ours && moving.standing.payment_status.leads_to(PaymentStatus::PartiallyRefunded) {
        moving.standing.payment_status = PaymentStatus::PartiallyRefunded;
    }
}

fn refunded(moving: &mut Moving<'_>, payment: PaymentId) {
    moving.saga.refunds.retain(|due| *due != payment);
    let ours = moving.standing.payment == Some(payment);
    if !ours || !moving.standing.payment_status.leads_to(PaymentStatus::Refunded) {
        return;
    }
    moving.saga.captured = None;
    moving.standing.payment_status = PaymentStatus::Refunded;
    moving.settled();
    match moving.standing.status {
        status if status.stands_paid() => moving.standing.status = Status::Refunded,
        // It was paid and refunded before its stock could be committed.
        Status::Pending => moving.end(Status::Cancelled),
        _ => {}
    }
}
