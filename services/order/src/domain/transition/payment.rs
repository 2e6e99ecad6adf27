//! Transitions of an order that payments cause. Payment results may arrive late, repeatedly and in any order. No I/O.

use std::str::FromStr;

use agora_vocab::{Money, PaymentId, UserId};
use serde::{Deserialize, Serialize};

use super::{Refused, Transition};
use crate::domain::{PaymentStatus, Status, status::UnknownState};

/// Number of declined payments after which the order is cancelled.
pub const DECLINES_MAX: i32 = 3;

/// Result of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentOutcome {
    /// The amount was captured.
    Captured,
    /// The payer's bank declined.
    Declined,
    /// The payment failed without a decision of the bank.
    Failed,
    /// Cancelled before any money moved.
    Voided,
    /// A part of the amount was refunded.
    PartiallyRefunded,
    /// The whole amount was refunded.
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

/// Starts `payment`; idempotent for the payment in progress.
pub fn begin(
    transition: &mut Transition<'_>,
    payment: PaymentId,
    user: UserId,
    amount: Option<Money>,
) -> Result<(), Refused> {
    let order = transition.order;
    let status = transition.progress.status;
    if user != order.user {
        return Err(Refused::Foreign);
    }
    if amount.is_some_and(|amount| amount != order.total) {
        return Err(Refused::AmountMismatch { due: order.total });
    }
    if status == Status::Pending && transition.paying() && transition.progress.payment == Some(payment) {
        return Ok(());
    }
    if status != Status::Pending
        || transition.now >= order.expires_at
        || transition.saga.ended_payments.contains(&payment)
    {
        return Err(Refused::InvalidTransition { from: status, to: Some(Status::Paid) });
    }
    if transition.paying() {
        return Err(Refused::PaymentInProgress);
    }
    transition.progress.payment_status = PaymentStatus::Processing;
    transition.progress.payment = Some(payment);
    transition.saga.paying_since = Some(transition.now);
    Ok(())
}

/// Applies the outcome of `payment`.
pub fn result(transition: &mut Transition<'_>, payment: PaymentId, outcome: PaymentOutcome) {
    match outcome {
        PaymentOutcome::Captured => captured(transition, payment),
        PaymentOutcome::Declined | PaymentOutcome::Failed | PaymentOutcome::Voided => {
            not_captured(transition, payment, outcome);
        }
        PaymentOutcome::PartiallyRefunded => partly_refunded(transition, payment),
        PaymentOutcome::Refunded => refunded(transition, payment),
    }
}

/// The first captured payment of an order becomes the order's payment; any later one is refunded.
fn captured(transition: &mut Transition<'_>, payment: PaymentId) {
    let known = transition.saga.captured == Some(payment)
        || transition.saga.refunds.contains(&payment)
        || (transition.progress.payment == Some(payment) && transition.progress.payment_status.is_captured());
    if known {
        return;
    }
    let first = transition.saga.captured.is_none() && !transition.progress.payment_status.is_captured();
    // An expired order has given the use of its coupon back, perhaps to another order.
    let accepts_payment = match transition.progress.status {
        Status::Pending => true,
        Status::Expired => transition.order.charges.discount.is_none(),
        _ => false,
    };
    match (accepts_payment, first) {
        (true, true) => {
            transition.saga.captured = Some(payment);
            transition.progress.payment = Some(payment);
            transition.progress.payment_status = PaymentStatus::Processing;
            transition.clear_payment();
        }
        (_, true) => {
            transition.progress.payment = Some(payment);
            transition.progress.payment_status = PaymentStatus::Paid;
            transition.clear_payment();
            transition.refund(payment);
        }
        (_, false) => transition.refund(payment),
    }
}

fn not_captured(transition: &mut Transition<'_>, payment: PaymentId, outcome: PaymentOutcome) {
    transition.saga.refunds.retain(|due| *due != payment);
    let first_report = outcome != PaymentOutcome::Failed && !transition.saga.ended_payments.contains(&payment);
    if first_report {
        transition.saga.ended_payments.push(payment);
    }
    let under_way = transition.progress.payment == Some(payment)
        && transition.progress.payment_status == PaymentStatus::Processing
        && transition.saga.captured.is_none();
    if !under_way {
        return;
    }
    transition.progress.payment_status = PaymentStatus::Failed;
    transition.clear_payment();
    if outcome == PaymentOutcome::Declined && first_report {
        declined(transition, payment);
    }
}

fn declined(transition: &mut Transition<'_>, payment: PaymentId) {
    transition.progress.declines += 1;
    if let Some(own) = transition.saga.own.as_mut().filter(|own| own.payment == payment) {
        own.declined = true;
    }
    if transition.progress.declines >= DECLINES_MAX && transition.progress.status == Status::Pending {
        transition.end(Status::Cancelled);
    }
}

fn partly_refunded(transition: &mut Transition<'_>, payment: PaymentId) {
    captured(transition, payment);
    let ours = transition.progress.payment == Some(payment);
    if ours && transition.progress.payment_status.leads_to(PaymentStatus::PartiallyRefunded) {
        transition.progress.payment_status = PaymentStatus::PartiallyRefunded;
    }
}

fn refunded(transition: &mut Transition<'_>, payment: PaymentId) {
    transition.saga.refunds.retain(|due| *due != payment);
    let ours = transition.progress.payment == Some(payment);
    if !ours || !transition.progress.payment_status.leads_to(PaymentStatus::Refunded) {
        return;
    }
    let uncommitted = transition.saga.captured.take().is_some();
    transition.progress.payment_status = PaymentStatus::Refunded;
    transition.clear_payment();
    match transition.progress.status {
        status if status.is_paid() => transition.progress.status = Status::Refunded,
        // Captured and refunded before the stock was committed.
        Status::Pending => transition.end(Status::Cancelled),
        _ => {}
    }
    if uncommitted {
        transition.release_for_payment();
    }
}
