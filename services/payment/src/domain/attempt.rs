//! Attempts: calls to the provider, each stored before the call and identified by its own idempotency key.
//!
//! Pure, as all of `domain`.

use agora_vocab::{Epoch, Money, PaymentId, RefundId};
use time::OffsetDateTime;

/// What an attempt does at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptKind {
    /// Charges: authorises and, unless the capture is manual, captures.
    Charge,
    /// Captures an amount of an authorised payment and releases the rest.
    Capture,
    /// Releases an authorised payment.
    Void,
}

impl AttemptKind {
    /// The name in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Capture => "capture",
            Self::Void => "void",
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Charge, Self::Capture, Self::Void].into_iter().find(|kind| kind.as_str() == name)
    }

    /// Its part of a provider key. A charge is called `capture` as in earlier releases: keys of open attempts stay.
    const fn in_key(self) -> &'static str {
        match self {
            Self::Charge => "capture",
            Self::Capture => "collect",
            Self::Void => "void",
        }
    }
}

/// The newest attempt to charge, capture or void a payment. Its outcome is the payment's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The number of the attempt among those of the payment, from 1.
    pub n: i32,
    pub kind: AttemptKind,
    /// The recovery epoch in which the attempt was stored, a part of its provider key.
    pub epoch: Epoch,
    /// Whether the outcome is unknown: the provider may or may not have executed it.
    pub open: bool,
    /// The amount that a capture takes, in minor units; none for other kinds.
    pub amount_minor: Option<i64>,
}

impl Attempt {
    /// The first attempt of a payment: an open charge.
    pub const fn first(epoch: Epoch) -> Self {
        Self { n: 1, kind: AttemptKind::Charge, epoch, open: true, amount_minor: None }
    }

    /// The provider's idempotency key, the same for every call of this attempt.
    pub fn provider_key(&self, payment: PaymentId) -> String {
        provider_key(self.epoch, payment, self.kind.in_key(), self.n)
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
    /// The provider's id of the operation, once the provider has accepted it.
    pub reference: Option<String>,
    /// Seconds since the attempt was stored, by the clock of the database.
    pub age_s: i64,
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
