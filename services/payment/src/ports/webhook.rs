//! Interface to messages that the payment provider sends.

/// Verifies messages of the provider.
pub trait Webhooks: Send + Sync {
    /// The provider's name in the path of the route.
    fn provider(&self) -> &'static str;
    /// Verifies the signature of a message and parses it.
    fn verify(&self, signature: &str, body: &[u8]) -> Result<ProviderEvent, WebhookError>;
}

/// A message of the provider about a charge. Says only that the charge changed: its state is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderEvent {
    /// The provider's id of the message, unique per provider.
    pub id: String,
    /// The provider's name of what happened.
    pub kind: String,
    /// The provider's id of the charge, if the message is about one.
    pub reference: Option<String>,
}

/// Why a message is not accepted. Nothing is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// No signature of a known secret, or of another body.
    #[error("the signature does not fit the body and any current secret")]
    Signature,
    /// The signature is too old or from the future.
    #[error("the signature was made more than five minutes ago or ahead")]
    Stale,
    /// The signature fits, but the body is no message of the provider.
    #[error("the body is no event of the provider")]
    Malformed,
}
