//! Interface to the payment provider.
//!
//! Every call that moves money carries its attempt's idempotency key; a repeated key returns the outcome of the first call.

use agora_chassis::BoxError;
use agora_vocab::{Money, OrderId, PaymentId, Secret};
use async_trait::async_trait;
use time::OffsetDateTime;

use crate::domain::{CaptureMethod, ChargeOutcome, MoneyMovement};

/// A charge to make.
#[derive(Clone, Debug)]
pub struct NewCharge {
    /// The provider's idempotency key.
    pub key: String,
    pub amount: Money,
    /// The provider's token of the payer's card.
    pub token: Secret,
    pub capture_method: CaptureMethod,
    pub payment: PaymentId,
    pub order: OrderId,
}

/// A payment provider.
pub trait Provider: Charges + ProviderRefunds + Reports {}

impl<T: Charges + ProviderRefunds + Reports> Provider for T {}

/// Charges: authorise, capture, void.
#[async_trait]
pub trait Charges: Send + Sync {
    /// The token of a payment request without one; none if a token is required.
    fn default_token(&self) -> Option<&'static str>;
    /// Authorises an amount and captures it, unless the capture is manual.
    async fn charge(&self, charge: &NewCharge) -> Result<ChargeOutcome, ProviderError>;
    /// Returns the outcome of a charge by its key. If the key is unknown, the provider never executes it later.
    async fn find_charge(&self, key: &str) -> Result<ChargeOutcome, ProviderError>;
    /// Returns the state of a charge by its reference; goes on with it if the payer has acted.
    async fn refresh(&self, reference: &str) -> Result<ChargeOutcome, ProviderError>;
    /// Captures an amount of an authorised charge and releases the rest. Returns the state of the charge, which is unchanged
    /// if the provider refuses.
    async fn capture(&self, key: &str, reference: &str, amount: Money) -> Result<ChargeOutcome, ProviderError>;
    /// Voids a charge that is not captured. Returns the state of the charge, which is unchanged if the provider refuses.
    async fn void(&self, key: &str, reference: &str) -> Result<ChargeOutcome, ProviderError>;
}

/// Refunds of captured charges.
#[async_trait]
pub trait ProviderRefunds: Send + Sync {
    /// Refunds `amount` of the charge with reference `charge`.
    async fn refund(&self, key: &str, charge: &str, amount: Money) -> Result<RefundOutcome, ProviderError>;
    /// Returns the outcome of a refund of `charge` by its key; none if the provider does not know the key.
    async fn find_refund(&self, key: &str, charge: &str) -> Result<Option<RefundOutcome>, ProviderError>;
}

/// The provider's own records.
#[async_trait]
pub trait Reports: Send + Sync {
    /// Captures and refunds between two times, by the provider's clock.
    async fn report(&self, from: OffsetDateTime, before: OffsetDateTime) -> Result<Vec<MoneyMovement>, ProviderError>;
}

/// The provider's outcome of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The money was refunded; contains the provider's reference.
    Succeeded(String),
    /// The provider has accepted the refund and works on it; contains its reference.
    Pending(String),
    /// The money was not refunded.
    Failed,
}

/// The provider returned no outcome: the call may or may not have been executed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No response before the deadline.
    #[error("the payment provider did not respond in time")]
    Timeout,
    /// The provider is unreachable or failed.
    #[error("the payment provider is unavailable")]
    Unavailable(#[source] BoxError),
}

/// Answers challenges of the simulated provider, in place of the payer's bank.
#[async_trait]
pub trait Challenges: Send + Sync {
    /// Approves or declines a charge that waits for its payer. Returns false if no charge with this reference waits.
    async fn answer(&self, reference: &str, approve: bool) -> Result<bool, ProviderError>;
}
