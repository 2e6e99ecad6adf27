//! Votes: one row per user and product, counted in the product's row.

use agora_outbox::{DedupKey, Outcome, claim_key, store_result};
use agora_vocab::{ProductId, UserId};
use async_trait::async_trait;

use super::{PgRecommendations, projection::mark_stale};
use crate::{
    domain::Votes,
    ports::{Feedback, StoreError, VoteError},
};

#[async_trait]
impl Feedback for PgRecommendations {
    async fn vote(
        &self,
        user: UserId,
        product: ProductId,
        positive: bool,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Votes>, VoteError> {
        const LOCK: &str = include_str!("../../sql/lock_sold_product.sql");
        const VOTE: &str = include_str!("../../sql/vote.sql");
        let mut tx = self.db.begin().await.map_err(StoreError::from)?;
        if let Some(votes) = claim_key(&mut tx, dedup_key).await.map_err(StoreError::from)? {
            return Ok(Outcome::Duplicate(votes));
        }
        // The votes on one product follow one another, so that each sees the earlier vote of its user.
        let lock = sqlx::query(LOCK).bind(product.uuid());
        lock.fetch_optional(&mut *tx).await.map_err(StoreError::from)?.ok_or(VoteError::UnknownProduct)?;
        let vote = sqlx::query_as(VOTE).bind(user.uuid()).bind(product.uuid()).bind(positive);
        let (positive, negative) = vote.fetch_one(&mut *tx).await.map_err(StoreError::from)?;
        let votes = Votes { positive, negative };
        mark_stale(&mut tx).await?;
        store_result(&mut tx, dedup_key, &votes).await.map_err(StoreError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Outcome::Applied(votes))
    }
}
