//! Attempts: calls to the provider, each stored before the call and identified by its own idempotency key.
//!
//! Pure, as all of `domain`.

use agora_vocab::{Epoch, Money, PaymentId, RefundId};
use time::OffsetDateTime;
use uuid::Uuid;

/// One call to the provider, stored before the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The payment id of a capture, the refund id of a refund.
    pub intent: Uuid,
    /// The payment that is captured or refunded.
    pub payment: PaymentId,
    /// The operation at the provider.
    pub operation: Operation,
    /// The number of the attempt among those of the payment and operation, from 1.
    pub n: i32,
    /// The amount to capture or refund.
    pub amount: Money,
    /// Whether the outcome is known.
    pub state: AttemptState,
    /// The provider's id of the operation, once succeeded or declined.
    pub reference: Option<String>,
    /// When the attempt was stored.
    pub created_at: OffsetDateTime,
}

impl Attempt {
    /// The refund's id. Meaningful for refund attempts only.
    pub const fn refund(&self) -> RefundId {
        RefundId::new(self.intent)
    }

    /// The provider's idempotency key, the same for every call of this attempt.
    pub fn provider_key(&self, epoch: Epoch) -> String {
        provider_key(epoch, self.payment, self.operation, self.n)
    }
}

/// The provider's idempotency key of an attempt: `epoch:payment:operation:n`.
pub fn provider_key(epoch: Epoch, payment: PaymentId, operation: Operation, n: i32) -> String {
    format!("{}:{payment}:{}:{n}", epoch.0, operation.as_str())
}

/// An operation at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Captures the amount due.
    Capture,
    /// Refunds an amount.
    Refund,
}

impl Operation {
    /// The name in the database and in the provider's key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
        }
    }
}

/// The state of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// Stored; the provider may or may not have executed it.
    Prepared,
    /// Executed by the provider.
    Succeeded,
    /// Declined or failed, or never executed.
    Failed,
}

impl AttemptState {
    /// The name in the database. The refund status on the wire has the same names, but `pending` for `prepared`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}
