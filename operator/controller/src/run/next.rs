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
