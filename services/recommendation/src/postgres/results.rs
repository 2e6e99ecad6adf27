//! What users were recommended by the last event, and which results are due.

use std::time::Duration;

use agora_events::recommendation::RecommendationEvent;
use agora_outbox::{NewEvent, NewEvents, write_once};
use agora_vocab::{ProductId, UserId};
use async_trait::async_trait;

use super::{PgRecommendations, interval, rows::ResultRow};
use crate::ports::{LastResult, Results, StoreError};

/// Time after which a result that was taken is due again, in case its instance ended.
const TAKEN_FOR: Duration = Duration::from_secs(30);
/// Violated if two instances store the next event of one user at the same time.
const SAME_EVENT: &str = "outbox_aggregate_seq";

#[async_trait]
impl Results for PgRecommendations {
    async fn take_due(&self, limit: u32) -> Result<Vec<LastResult>, StoreError> {
        const TAKE: &str = include_str!("../../sql/take_due.sql");
        let mut connection = self.db.acquire().await?;
        let take = sqlx::query_as(TAKE).bind(i64::from(limit)).bind(interval(TAKEN_FOR)?);
        let rows: Vec<ResultRow> = take.fetch_all(&mut *connection).await?;
        Ok(rows.into_iter().map(LastResult::from).collect())
    }

    async fn page(&self, after: UserId, limit: u32) -> Result<Vec<LastResult>, StoreError> {
        const PAGE: &str = include_str!("../../sql/page_of_results.sql");
        let mut connection = self.db.acquire().await?;
        let page = sqlx::query_as(PAGE).bind(after.uuid()).bind(i64::from(limit));
        let rows: Vec<ResultRow> = page.fetch_all(&mut *connection).await?;
        Ok(rows.into_iter().map(LastResult::from).collect())
    }

    async fn store(
        &self,
        last: &LastResult,
        changed: Option<(&[ProductId], &RecommendationEvent)>,
    ) -> Result<bool, StoreError> {
        const STORE: &str = include_str!("../../sql/store_result.sql");
        const SETTLE: &str = include_str!("../../sql/settle_result.sql");
        let LastResult { user, version, revision, .. } = last;
        let mut connection = self.db.acquire().await?;
        let Some((products, event)) = changed else {
            sqlx::query(SETTLE).bind(user.uuid()).bind(revision).execute(&mut *connection).await?;
            return Ok(true);
        };
        let new_event =
            NewEvent { event, aggregate: user.uuid(), seq: version + 1, correlation: None, causation: None };
        let mut events = NewEvents::new();
        events.push(&*self.ids, self.epoch, new_event)?;
        let products: Vec<_> = products.iter().map(|product| product.uuid()).collect();
        let store =
            sqlx::query(STORE).bind(user.uuid()).bind(revision).bind(version + 1).bind(products).bind(events.rows());
        Ok(write_once(&mut connection, store, &events, &[SAME_EVENT]).await?.is_some())
    }
}
