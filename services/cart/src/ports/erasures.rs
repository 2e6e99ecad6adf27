//! Carts of users whose accounts were erased.

use async_trait::async_trait;

use super::{CartError, StoreError};
use crate::domain::AccountEvent;

/// Erasures of accounts, as far as this service has heard of them.
#[async_trait]
pub trait ErasedCarts: Send + Sync + std::fmt::Debug {
    /// Stores what events say of accounts, in any order of the events. Empties the carts of users who are erased by that and
    /// deletes the stored results of their requests; the lines of their checkouts do not return to them. Idempotent.
    async fn erase_carts(&self, events: &[AccountEvent]) -> Result<(), CartError>;

    /// Empties carts, at most a hundred, whose users were erased ten minutes ago once more: what was under way at the
    /// erasure may have filled them. Returns how many were looked at.
    async fn look_at_erased_carts(&self) -> Result<usize, CartError>;

    /// Deletes one batch of erasures of more than 30 days ago. Returns how many were deleted.
    async fn sweep_erased_carts(&self) -> Result<u64, StoreError>;
}
