//! When a Marketplace is reconciled next.

use std::time::Duration;

/// The result of a reconciliation that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When a watch or an external task requests it.
    OnChange,
    /// On request, or after this delay.
    After(Duration),
    /// Never: the Marketplace does not exist any more.
    Gone,
}

impl Next {
    /// The same, and after `delay` if nothing is due before.
    #[must_use]
    pub fn at_latest_after(self, delay: Duration) -> Self {
        match self {
            Self::OnChange => Self::After(delay),
            Self::After(earlier) => Self::After(earlier.min(delay)),
            Self::Gone => Self::Gone,
        }
    }
}
