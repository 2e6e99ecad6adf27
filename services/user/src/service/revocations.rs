//! Publishing of revoked sessions: the list that every service reads is kept equal to the store.

use std::sync::Arc;

use agora_chassis::BoxError;

use crate::{
    domain::Revocation,
    ports::{RevocationList, Revocations, StoreError},
};

/// Revocations that are published at once.
const PAGE: u32 = 500;

/// Keeps the list of revoked sessions equal to the store. Instances of the service may publish concurrently.
#[derive(Clone)]
pub struct RevocationPublisher {
    pub store: Arc<dyn Revocations>,
    pub list: Arc<dyn RevocationList>,
}

/// Why revocations were not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The list cannot be written now.
    #[error("the list of revoked sessions cannot be written")]
    List(#[source] BoxError),
}

impl RevocationPublisher {
    /// Publishes what is not published; all revocations if the list was lost.
    pub async fn publish_new(&self) -> Result<(), PublishError> {
        loop {
            let new = self.store.unpublished(PAGE).await?;
            if !self.publish(&new, false).await? {
                return self.publish_all().await;
            }
            if new.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Publishes all revocations, also those that were published: the list may have lost some of them.
    pub async fn publish_all(&self) -> Result<(), PublishError> {
        let mut after = 0;
        loop {
            let page = self.store.page(after, PAGE).await?;
            let last = page.last().filter(|_| page.len() >= PAGE as usize);
            self.publish(&page, last.is_none()).await?;
            let Some(last) = last else { return Ok(()) };
            after = last.number;
        }
    }

    /// Deletes revocations whose access tokens have expired.
    pub async fn delete_old(&self) -> Result<(), PublishError> {
        while self.store.delete_old(PAGE).await? >= u64::from(PAGE) {}
        Ok(())
    }

    /// Returns whether the list is whole.
    async fn publish(&self, revocations: &[Revocation], all: bool) -> Result<bool, PublishError> {
        let whole = self.list.publish(revocations, all).await.map_err(PublishError::List)?;
        let numbers: Vec<i64> = revocations.iter().map(|revocation| revocation.number).collect();
        if !numbers.is_empty() {
            self.store.mark_published(&numbers).await?;
        }
        Ok(whole)
    }
}
