//! When a Marketplace is reconciled next.

use std::time::Duration;

/// When a Marketplace is reconciled next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    Await,
    /// When something changes, or after this long.
    After(Duration),
    /// Never: it is gone.
    Gone,
}
