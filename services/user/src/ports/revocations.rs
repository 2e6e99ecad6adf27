//! Revoked sessions: where they are stored, and the list that every service reads.

use agora_chassis::BoxError;
use agora_outbox::StoreError;
use async_trait::async_trait;

use crate::domain::Revocation;

/// The store of sessions that ended while access tokens of theirs may be valid. Ending a session adds it in the same
/// transaction.
#[async_trait]
pub trait Revocations: Send + Sync {
    /// Revocations that are not published, the earliest first; at most `limit`.
    async fn unpublished(&self, limit: u32) -> Result<Vec<Revocation>, StoreError>;

    /// The `limit` next revocations after a number, published or not; those whose access tokens have expired are left out.
    async fn page(&self, after: i64, limit: u32) -> Result<Vec<Revocation>, StoreError>;

    /// Marks revocations as published, by their numbers. Idempotent.
    async fn mark_published(&self, numbers: &[i64]) -> Result<(), StoreError>;

    /// Deletes at most `limit` revocations whose access tokens have expired. Returns the number deleted.
    async fn delete_old(&self, limit: u32) -> Result<u64, StoreError>;
}

/// The list of revoked sessions that every service reads. It may be lost at any time.
#[async_trait]
pub trait RevocationList: Send + Sync {
    /// Adds revocations; those that it has stay as they are. With `all`, they and those that were added before are all that
    /// there are. Returns whether the list is whole: `false` if it was lost.
    async fn publish(&self, revocations: &[Revocation], all: bool) -> Result<bool, BoxError>;
}
