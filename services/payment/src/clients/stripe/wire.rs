//! Bodies of the provider's answers and what they mean.

use std::collections::BTreeMap;

use agora_vocab::Money;
use serde::{Deserialize, de::DeserializeOwned};
use time::OffsetDateTime;

use crate::{
    domain::{ChargeOutcome, MoneyKind, MoneyMovement, NextAction, ProviderDetails},
    ports::{ProviderError, RefundOutcome},
};

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) has_more: bool,
}

/// A payment intent.
#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    status: String,
    currency: String,
    #[serde(default)]
    amount_received: i64,
    #[serde(default)]
    amount_capturable: i64,
    next_action: Option<Action>,
    last_payment_error: Option<ErrorBody>,
    latest_charge: Option<Expandable<Charge>>,
    cancellation_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
    redirect_to_url: Option<Redirect>,
}

#[derive(Debug, Deserialize)]
struct Redirect {
    url: Option<String>,
}

/// An object, or only its id.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expandable<T> {
    Object(T),
    Id(#[expect(dead_code, reason = "an id says nothing more")] String),
}

impl<T> Expandable<T> {
    fn object(self) -> Option<T> {
        match self {
            Self::Object(object) => Some(object),
            Self::Id(_) => None,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Charge {
    outcome: Option<ChargeDecision>,
    authorization_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ChargeDecision {
    network_status: Option<String>,
    seller_message: Option<String>,
}

/// The fields of a refund that are read.
#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    id: String,
    status: String,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
}

/// A movement of money, with the charge or refund that it belongs to.
#[derive(Debug, Deserialize)]
pub(super) struct BalanceTransaction {
    pub(super) id: String,
    #[serde(rename = "type")]
    kind: String,
    created: i64,
    source: Option<Expandable<Source>>,
}

#[derive(Debug, Deserialize)]
struct Source {
    id: String,
    amount: i64,
    amount_captured: Option<i64>,
    currency: String,
    payment_intent: Option<String>,
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
struct RefusalBody {
    error: ErrorBody,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
    payment_intent: Option<Reference>,
}

#[derive(Clone, Debug, Deserialize)]
struct Reference {
    id: String,
}

/// A request that the provider did not execute.
#[derive(Debug, thiserror::Error)]
#[error("the provider refused with {status} {}", error.code.as_deref().unwrap_or(&error.kind))]
pub(super) struct Refusal {
    status: u16,
    error: ErrorBody,
}

/// Parses a successful answer. One that cannot be read decides nothing.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(body).map_err(|error| ProviderError::Unavailable(error.into()))
}

/// Parses a refusal; none if the body is not one.
pub(super) fn refusal(status: u16, body: &[u8]) -> Option<Refusal> {
    let RefusalBody { error } = serde_json::from_slice(body).ok()?;
    Some(Refusal { status, error })
}

impl Refusal {
    /// Whether it says only that the idempotency key cannot be used.
    pub(super) fn is_about_the_key(&self) -> bool {
        self.error.kind == "idempotency_error" || self.error.code.as_deref() == Some("idempotency_key_in_use")
    }

    /// The outcome of a charge that was refused.
    pub(super) fn outcome(self) -> ChargeOutcome {
        let is_declined = self.status == 402 || self.error.kind == "card_error";
        let details = self.error.details(None);
        if is_declined { ChargeOutcome::Declined(details) } else { ChargeOutcome::Failed(details) }
    }
}

impl ErrorBody {
    fn details(self, reference: Option<String>) -> ProviderDetails {
        ProviderDetails {
            reference: reference.or(self.payment_intent.map(|intent| intent.id)),
            authorization: None,
            code: self.decline_code.or(self.code).or(Some(self.kind)),
            message: self.message,
        }
    }
}

impl Intent {
    /// Whether the provider works on it, or waits for the payer.
    pub(super) fn is_in_progress(&self) -> bool {
        matches!(self.status.as_str(), "processing" | "requires_action" | "requires_confirmation")
    }

    /// Whether the payer has acted and the charge must be confirmed again.
    pub(super) fn needs_confirmation(&self) -> bool {
        self.status == "requires_confirmation"
    }

    /// The outcome that the state means. A state that is not known decides nothing.
    pub(super) fn outcome(self) -> Result<ChargeOutcome, ProviderError> {
        let charge = self.latest_charge.and_then(Expandable::object);
        let (decision, authorization) = match charge {
            Some(Charge { outcome, authorization_code }) => (outcome, authorization_code),
            None => (None, None),
        };
        let (code, message) = match decision {
            Some(ChargeDecision { network_status, seller_message }) => (network_status, seller_message),
            None => (None, None),
        };
        let reference = Some(self.id);
        let code = code.or_else(|| Some(self.status.clone()));
        let details = ProviderDetails { reference: reference.clone(), authorization, code, message };
        Ok(match self.status.as_str() {
            "succeeded" => ChargeOutcome::Captured(details, money(self.amount_received, &self.currency)?),
            "requires_capture" => ChargeOutcome::Authorised(details, money(self.amount_capturable, &self.currency)?),
            "requires_action" => ChargeOutcome::InProgress(details, self.next_action.map(Action::next)),
            "processing" | "requires_confirmation" => ChargeOutcome::InProgress(details, None),
            "requires_payment_method" => match self.last_payment_error {
                Some(error) => ChargeOutcome::Declined(error.details(reference)),
                None => ChargeOutcome::Failed(details),
            },
            "canceled" => ChargeOutcome::Voided(ProviderDetails {
                code: Some("canceled".to_owned()),
                message: self.cancellation_reason,
                ..details
            }),
            _ => return Err(ProviderError::Unavailable("the provider's state of the charge is not known".into())),
        })
    }
}

impl Action {
    fn next(self) -> NextAction {
        let url = self.redirect_to_url.and_then(|redirect| redirect.url);
        NextAction { kind: if url.is_some() { "redirect".to_owned() } else { self.kind }, url }
    }
}

impl Refund {
    pub(super) fn outcome(self) -> RefundOutcome {
        match self.status.as_str() {
            "succeeded" => RefundOutcome::Succeeded(self.id),
            "failed" | "canceled" => RefundOutcome::Failed,
            _ => RefundOutcome::Pending(self.id),
        }
    }
}

impl BalanceTransaction {
    /// The movement of a charge or refund; none of fees, payouts and other movements.
    pub(super) fn movement(self) -> Result<Option<MoneyMovement>, ProviderError> {
        let kind = match self.kind.as_str() {
            "charge" | "payment" => MoneyKind::Capture,
            "refund" | "payment_refund" => MoneyKind::Refund,
            _ => return Ok(None),
        };
        let Some(source) = self.source.and_then(Expandable::object) else { return Ok(None) };
        let (reference, amount) = match kind {
            MoneyKind::Capture => {
                (source.payment_intent.unwrap_or(source.id), source.amount_captured.unwrap_or(source.amount))
            }
            MoneyKind::Refund => (source.id, source.amount),
        };
        let at = OffsetDateTime::from_unix_timestamp(self.created)
            .map_err(|error| ProviderError::Unavailable(error.into()))?;
        Ok(Some(MoneyMovement { kind, reference, amount: money(amount, &source.currency)?, at }))
    }
}

/// The provider writes currencies in small letters, and amounts in minor units.
fn money(amount: i64, currency: &str) -> Result<Money, ProviderError> {
    let currency = currency.to_ascii_uppercase().parse::<agora_vocab::Currency>();
    let currency = currency.map_err(|error| ProviderError::Unavailable(error.into()))?;
    Money::new(amount, currency).map_err(|error| ProviderError::Unavailable(error.into()))
}
