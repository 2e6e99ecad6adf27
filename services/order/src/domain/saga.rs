//! State of an order's saga that is stored between two steps, beside the order itself. No I/O.

mod command_id;
mod lease;
mod next_step;

use agora_vocab::{PaymentId, ProductId, ReturnId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use self::{
    command_id::command_id,
    lease::{LEASE, RunnerId, SagaLease, lease},
    next_step::{HOLD_MARGIN_SECONDS, Phase, STUCK_AFTER, Step, next, phase, wake_at},
};

use super::{Method, Token};

/// The saga of one order. The next step is computed from this state, the order and the time; it is not stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saga {
    /// State of the current stock reservation.
    pub hold: Hold,
    /// Whether the checkout of the cart has to be cancelled.
    pub cancel_checkout: bool,
    /// Captured payment, until the stock is committed or a refund is scheduled.
    pub captured: Option<PaymentId>,
    /// Payments that have to be refunded.
    pub refunds: Vec<PaymentId>,
    /// Returns whose units have arrived and that other services have not finished.
    pub returns: Vec<DueReturn>,
    /// Declined or voided payments: they cannot start again and are counted once.
    pub ended_payments: Vec<PaymentId>,
    /// Payment that the order makes itself.
    pub own: Option<OwnPayment>,
    /// Start time of the payment in progress.
    #[serde(with = "time::serde::rfc3339::option")]
    pub paying_since: Option<OffsetDateTime>,
    /// Earliest time of the next call to another service (backoff or polling interval).
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// Number of answered payment queries; part of the command id, so that payment does not return a stored response.
    pub queries: u32,
    /// Shortage of the rejected reservation.
    pub shortage: Option<Shortage>,
    /// Number of consecutive failures of the current step.
    pub failures: u32,
    /// Time of the first of these failures.
    #[serde(with = "time::serde::rfc3339::option")]
    pub failing_since: Option<OffsetDateTime>,
}

/// What is left to do for a return whose units have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueReturn {
    pub id: ReturnId,
    /// Whether catalog has to put the units into stock.
    pub restock: bool,
    /// Whether payment has to refund their price.
    pub refund: bool,
}

/// State of a stock reservation, as the order knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Not confirmed: the reservation may or may not have been requested.
    #[default]
    Open,
    /// The stock is reserved.
    Held,
    /// The stock is sold.
    Committed,
    /// The order ended: the reservation has to be released.
    Ending,
    /// Expired or released.
    Gone,
}

/// Payment that the order makes itself, because the request that created it contained a payment method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPayment {
    /// Id of the payment.
    pub payment: PaymentId,
    /// The payment method.
    pub method: Method,
    /// Token that the provider charges; erased as soon as the payment has a result.
    pub token: Option<Token>,
    /// Whether the provider declined the payment.
    pub declined: bool,
}

/// Stock that could not be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// The product, if catalog named one.
    pub product: Option<ProductId>,
    pub requested: u32,
    pub available: u32,
}

impl OwnPayment {
    /// A payment that is not yet made.
    pub const fn new(payment: PaymentId, method: Method, token: Token) -> Self {
        Self { payment, method, token: Some(token), declined: false }
    }
}

impl Saga {
    /// The order's own payment while it has no result.
    pub fn unsettled_own_payment(&self) -> Option<(PaymentId, Method, &Token)> {
        self.own.as_ref().and_then(|own| Some((own.payment, own.method, own.token.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::Saga;

    #[test]
    fn stored_field_names_are_stable() {
        let stored = serde_json::to_value(Saga::default()).unwrap();
        for name in [
            "hold",
            "cancel_checkout",
            "captured",
            "refunds",
            "returns",
            "ended_payments",
            "own",
            "queries",
            "shortage",
        ] {
            assert!(stored.get(name).is_some(), "{name}");
        }
    }
}
