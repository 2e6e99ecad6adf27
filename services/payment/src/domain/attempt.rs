//! Attempts: calls to the provider, each stored before the call and identified by its own idempotency key.
//!
//! Pure, as all of `domain`.

use agora_vocab::{Epoch, Money, PaymentId, RefundId};
use time::OffsetDateTime;

/// The newest attempt to capture a payment. Its outcome is the payment's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureAttempt {
    /// The number of the attempt among those of the payment, from 1.
    pub n: i32,
    /// The recovery epoch in which the attempt was stored, a part of its provider key.
    pub epoch: Epoch,
    /// Whether the outcome is unknown: the provider may or may not have executed it.
    pub open: bool,
}

impl CaptureAttempt {
    /// The provider's idempotency key, the same for every call of this attempt.
    pub fn provider_key(&self, payment: PaymentId) -> String {
        provider_key(self.epoch, payment, "capture", self.n)
    }
}

/// One call to the provider for a refund, stored before the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundAttempt {
    /// The refund, the same over its attempts.
    pub id: RefundId,
    /// The payment that is refunded.
    pub payment: PaymentId,
    /// The number of the attempt among all refund attempts of the payment, from 1.
    pub n: i32,
    /// The recovery epoch in which the attempt was stored, a part of its provider key.
    pub epoch: Epoch,
    /// The amount to refund.
    pub amount: Money,
    /// Whether the outcome is known.
    pub state: AttemptState,
    /// The provider's id of the operation, once succeeded.
    pub reference: Option<String>,
    /// When the attempt was stored.
    pub created_at: OffsetDateTime,
}

impl RefundAttempt {
    /// The provider's idempotency key, the same for every call of this attempt.
    pub fn provider_key(&self) -> String {
        provider_key(self.epoch, self.payment, "refund", self.n)
    }
}

fn provider_key(epoch: Epoch, payment: PaymentId, operation: &str, n: i32) -> String {
    format!("{}:{payment}:{operation}:{n}", epoch.0)
}

/// The state of a refund attempt.
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
