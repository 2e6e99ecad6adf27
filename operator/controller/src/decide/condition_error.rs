//! Why something is not as desired, as reason and message of a condition.

use agora_crd::Reason;

/// Why a condition is not true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    pub reason: Reason,
    /// Names the object and the remedy.
    pub message: String,
}

impl ConditionError {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
