//! What an order's saga must remember between two steps, beside the order itself.

use agora_vocab::{PaymentId, ProductId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Method, Token};

/// The saga of one order. Its next step is a function of it, the order and the time: nothing here says "do X next".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saga {
    /// The current hold of stock.
    pub hold: Hold,
    /// Whether the cart has yet to get its lines back.
    pub give_back: bool,
    /// The payment that took money for this order, until its stock is committed or the money is to go back.
    pub captured: Option<PaymentId>,
    /// Payments whose money has yet to go back.
    pub refunds: Vec<PaymentId>,
    /// Payments that were declined or called off: they can never begin again, and none is counted twice.
    pub over: Vec<PaymentId>,
    /// The payment that the order itself makes.
    pub own: Option<OwnPayment>,
    /// Since when a payment is under way.
    #[serde(with = "time::serde::rfc3339::option")]
    pub paying_since: Option<OffsetDateTime>,
    /// Not before then is another service called (again): it had no result yet, or could not be reached.
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    /// How many questions were answered: each gets an id of its own, so that it is not answered from memory.
    pub asked: u32,
    /// What was missing when the hold was refused.
    pub shortage: Option<Shortage>,
    /// How many times in a row the current step failed.
    pub failures: u32,
    /// Since when it fails.
    #[serde(with = "time::serde::rfc3339::option")]
    pub failing_since: Option<OffsetDateTime>,
}

/// A hold of stock, as the order knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// It may or may not have been asked for.
    #[default]
    Open,
    /// The stock is held.
    Held,
    /// The stock is sold.
    Committed,
    /// The order ended: it has to be released.
    Ending,
    /// It ran out or was released.
    Gone,
}

/// A payment that the order makes itself, because the request that made the order said how to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPayment {
    /// The payment.
    pub payment: PaymentId,
    /// The way.
    pub method: Method,
    /// With what; erased as soon as it is settled.
    pub token: Option<Token>,
    /// Whether the provider declined it.
    pub declined: bool,
}

/// Stock that could not be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// The product, where the catalogue named one.
    pub product: Option<ProductId>,
    /// Units wanted.
    pub requested: u32,
    /// Units there.
    pub available: u32,
}

impl OwnPayment {
    /// A payment yet to be made.
    pub const fn new(payment: PaymentId, method: Method, token: Token) -> Self {
        Self { payment, method, token: Some(token), declined: false }
    }
}

impl Saga {
    /// The payment that the order has yet to make itself, and how.
    pub fn own_unsettled(&self) -> Option<(PaymentId, Method, &Token)> {
        self.own.as_ref().and_then(|own| Some((own.payment, own.method, own.token.as_ref()?)))
    }
}
