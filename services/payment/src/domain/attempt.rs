//! One call of the provider: written before it is made, named by its own key.

use agora_vocab::{Epoch, Money, PaymentId, RefundId};
use time::OffsetDateTime;
use uuid::Uuid;

/// One call of the provider, written before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What it is an attempt of: the payment itself, or the refund.
    pub intent: Uuid,
    /// The payment.
    pub payment: PaymentId,
    /// What is attempted.
    pub operation: Operation,
    /// Which attempt of that operation, from 1.
    pub n: i32,
    /// How much.
    pub amount: Money,
    /// How far it got.
    pub state: AttemptState,
    /// The provider's reference of this operation.
    pub reference: Option<String>,
    /// When it began.
    pub created_at: OffsetDateTime,
}

impl Attempt {
    /// The refund that this is an attempt of.
    pub const fn refund(&self) -> RefundId {
        RefundId::new(self.intent)
    }

    /// The provider's idempotency key: `epoch:intent:op:n`, the same for every repetition of this attempt.
    pub fn provider_key(&self, epoch: Epoch) -> String {
        provider_key(epoch, self.payment, self.operation, self.n)
    }
}

/// The provider's idempotency key of an attempt.
pub fn provider_key(epoch: Epoch, payment: PaymentId, operation: Operation, n: i32) -> String {
    format!("{}:{payment}:{}:{n}", epoch.0, operation.as_str())
}

/// What is attempted at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Taking the money.
    Capture,
    /// Giving it back.
    Refund,
}

impl Operation {
    /// The name in the table and in the provider's key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
        }
    }
}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// Written; the provider may or may not know of it.
    Prepared,
    /// Done.
    Succeeded,
    /// Refused, or never to be done.
    Failed,
}

impl AttemptState {
    /// The name in the table, which is the refund's status on the wire but for `prepared`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}
