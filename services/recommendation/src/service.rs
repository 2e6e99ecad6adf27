//! Use cases: recommendations of a user, votes, events, and computing results again. Depends on the domain and the ports, never
//! on HTTP or SQL.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use agora_chassis::chain;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{ProductId, UserId};
use futures::FutureExt as _;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    domain::{History, Recommendation, Votes, changed, notified, recommend},
    ports::{
        EventBatch, LastResult, Progress, Recomputation, RequestLimit, ResultCache, Stale, Store, StoreError, VoteError,
    },
};

/// Users whose results are computed between two looks at the shutdown and at other work.
const USERS_PER_STEP: u32 = 50;

/// Runs the use cases. Clones share the same ports.
#[derive(Clone, Debug)]
pub struct RecommendationService {
    store: Arc<dyn Store>,
    cache: Arc<dyn ResultCache>,
    requests: Arc<dyn RequestLimit>,
    rules: Arc<Rules>,
    /// Notified when results are due.
    pub work: Arc<Notify>,
}

/// Settings of the rules.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Category that is recommended to users without purchases, and after the categories of others.
    pub default_category: String,
    /// Time from the end of one scheduled run to the start of the next.
    pub recompute_every: Duration,
}

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user sends more requests than allowed.
    #[error("too many requests")]
    TooManyRequests {
        /// When the next one is accepted.
        retry_after: Duration,
    },
    /// The vote was not counted.
    #[error(transparent)]
    Vote(#[from] VoteError),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RecommendationService {
    pub fn new(
        store: Arc<dyn Store>,
        cache: Arc<dyn ResultCache>,
        requests: Arc<dyn RequestLimit>,
        rules: Rules,
    ) -> Self {
        Self { store, cache, requests, rules: Arc::new(rules), work: Arc::default() }
    }

    /// Returns at most `limit` products that are recommended to the user, best first.
    pub async fn recommendations(&self, user: UserId, limit: usize) -> Result<Vec<Recommendation>, Error> {
        self.count_request(user).await?;
        let mut all = self.cache.get_or_compute(user, self.compute(user).boxed()).await?;
        all.truncate(limit);
        Ok(all)
    }

    /// Counts a user's vote on a product; replaces an earlier one. Returns the votes of all users.
    pub async fn vote(
        &self,
        user: UserId,
        product: ProductId,
        positive: bool,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Votes>, Error> {
        self.count_request(user).await?;
        let votes = self.store.vote(user, product, positive, dedup_key).await?;
        self.cache.drop_results(Stale::Everything).await;
        Ok(votes)
    }

    /// Applies a batch of events. Idempotent, whatever the order of the batches.
    pub async fn apply(&self, batch: &EventBatch) -> Result<(), StoreError> {
        let started = Instant::now();
        let applied = self.store.apply(batch).await?;
        if !batch.purchases.is_empty() {
            metrics::histogram!("order_processing_duration_seconds").record(started.elapsed().as_secs_f64());
        }
        if applied.products {
            self.cache.drop_results(Stale::Everything).await;
        } else if !applied.users.is_empty() {
            self.cache.drop_results(Stale::Users(&applied.users)).await;
        }
        if !applied.users.is_empty() {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Requests that everybody's recommendations are computed again. Returns the state afterwards.
    pub async fn request_recomputation(&self) -> Result<Recomputation, Error> {
        let state = self.store.request(self.rules.recompute_every).await?;
        self.work.notify_one();
        Ok(state)
    }

    /// Returns the state of the run that computes everybody's recommendations again.
    pub async fn recomputation(&self) -> Result<Recomputation, Error> {
        Ok(self.store.recomputation(self.rules.recompute_every).await?)
    }

    /// Computes a batch of results that are due. Returns how many.
    pub async fn compute_due(&self) -> Result<usize, StoreError> {
        let due = self.store.take_due(USERS_PER_STEP).await?;
        self.renew(&due).await?;
        Ok(due.len())
    }

    /// Continues or starts the run over all users by a batch, if `instance` leads it. Returns whether there may be more.
    pub async fn continue_recomputation(&self, instance: Uuid) -> Result<bool, StoreError> {
        let Some(visited) = self.store.lead(instance, self.rules.recompute_every).await? else { return Ok(false) };
        let page = self.store.page(visited, USERS_PER_STEP).await?;
        let changed = self.renew(&page).await?;
        let full = u32::try_from(page.len()).is_ok_and(|users| users >= USERS_PER_STEP);
        let progress = Progress {
            visited: page.last().filter(|_| full).map(|last| last.user),
            users: i64::try_from(page.len()).unwrap_or(i64::MAX),
            changed: i64::try_from(changed).unwrap_or(i64::MAX),
        };
        Ok(self.store.advance(instance, progress).await? && full)
    }

    /// Lets another instance lead the run.
    pub async fn resign(&self, instance: Uuid) -> Result<(), StoreError> {
        self.store.resign(instance).await
    }

    /// Drops cached results that could not be dropped when they became stale.
    pub async fn flush_cache(&self) {
        self.cache.flush().await;
    }

    /// Computes results again and stores those that are others. Returns how many are. A result that cannot be computed for
    /// another reason than an unavailable store is left to the next run.
    async fn renew(&self, results: &[LastResult]) -> Result<usize, StoreError> {
        let mut others = BTreeSet::new();
        for last in results {
            match self.renew_one(last).await {
                Ok(true) => drop(others.insert(last.user)),
                Ok(false) => {}
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                Err(error) => {
                    tracing::error!(user.id = %last.user, error = chain(&error), "could not compute recommendations");
                }
            }
        }
        if !others.is_empty() {
            self.cache.drop_results(Stale::Users(&others)).await;
        }
        metrics::counter!("recommendations_changed_total").increment(others.len() as u64);
        Ok(others.len())
    }

    /// Whether other products are recommended than before. A user who bought nothing is told nothing.
    async fn renew_one(&self, last: &LastResult) -> Result<bool, StoreError> {
        let history = self.store.history(last.user).await?;
        let recommended = if history.0.is_empty() { Vec::new() } else { self.apply_rules(&history).await? };
        let event = changed(last.user, last.version + 1, &last.products, &recommended);
        let products = notified(&recommended);
        let stored = self.store.store(last, event.as_ref().map(|event| (&*products, event))).await?;
        Ok(stored && event.is_some())
    }

    async fn compute(&self, user: UserId) -> Result<Vec<Recommendation>, StoreError> {
        let history = self.store.history(user).await?;
        self.apply_rules(&history).await
    }

    async fn apply_rules(&self, history: &History) -> Result<Vec<Recommendation>, StoreError> {
        let default_category = &self.rules.default_category;
        let candidates = self.store.candidates(history, default_category).await?;
        metrics::counter!("recommendations_generated_total").increment(1);
        Ok(recommend(history, default_category, candidates))
    }

    async fn count_request(&self, user: UserId) -> Result<(), Error> {
        self.requests.take(user).await.map_err(|retry_after| Error::TooManyRequests { retry_after })
    }
}
