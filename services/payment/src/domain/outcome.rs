//! What the provider says about a charge or a refund.
//!
//! Pure, as all of `domain`.

use agora_vocab::Money;

/// The provider's response to a charge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderDetails {
    /// The provider's id of the charge, required for a refund.
    pub reference: Option<String>,
    /// The authorisation code of the payer's bank.
    pub authorization: Option<String>,
    /// The machine-readable outcome.
    pub code: Option<String>,
    /// The human-readable outcome.
    pub message: Option<String>,
}

impl ProviderDetails {
    /// Details of an outcome that the provider did not word.
    pub fn of_code(code: &str, message: &str) -> Self {
        Self { code: Some(code.to_owned()), message: Some(message.to_owned()), ..Self::default() }
    }
}

/// What the payer must do before the provider can go on, for example 3-D Secure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextAction {
    /// `redirect`, or the provider's own name of the action.
    pub kind: String,
    /// Where the payer must go; none if the provider's own scripts lead the payer.
    pub url: Option<String>,
}

/// The state of a charge at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// This amount was captured.
    Captured(ProviderDetails, Money),
    /// This amount is held.
    Authorised(ProviderDetails, Money),
    /// The payer's bank declined the charge.
    Declined(ProviderDetails),
    /// The provider failed, captured nothing and never will.
    Failed(ProviderDetails),
    /// The charge was cancelled before a capture.
    Voided(ProviderDetails),
    /// The provider works on the charge, or waits for the payer.
    InProgress(ProviderDetails, Option<NextAction>),
}

impl ChargeOutcome {
    /// The outcome of a charge that the provider has not executed and never will.
    pub fn not_charged() -> Self {
        Self::Failed(ProviderDetails::of_code("not_charged", "the provider did not execute this charge"))
    }

    /// The outcome of a charge whose payer did not act in time.
    #[must_use]
    pub fn action_timeout(self) -> Self {
        match self {
            Self::Voided(details) | Self::Failed(details) => Self::Failed(ProviderDetails {
                reference: details.reference,
                ..ProviderDetails::of_code("action_timeout", "the payer did not confirm the payment in time")
            }),
            other => other,
        }
    }
}
