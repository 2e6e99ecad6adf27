//! Ports of the use cases: the store, the cache of results and the limit of requests. Independent of SQL and HTTP.
//!
//! Every method that changes data is one transaction.

use std::{collections::BTreeSet, time::Duration};

pub use agora_outbox::StoreError;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{ProductId, UserId};
use async_trait::async_trait;
use futures::future::BoxFuture;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Candidates, History, ProductCopy, Purchase, Recommendation, StockLevel, Votes};
use agora_events::recommendation::RecommendationEvent;

/// Everything that this service stores.
pub trait Store: Projection + Products + Results + Recomputations + Feedback {}

impl<T: Projection + Products + Results + Recomputations + Feedback> Store for T {}

/// What a batch of events says; at most one value of each order, product and stock row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventBatch {
    pub purchases: Vec<Purchase>,
    pub products: Vec<ProductCopy>,
    pub stock: Vec<StockLevel>,
}

/// What a batch of events changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Users whose purchases are others than before. Their recommendations are due.
    pub users: BTreeSet<UserId>,
    /// Whether a product changed, came into or went out of stock, or became or ceased to be a best seller.
    pub products: bool,
}

/// Purchases, products and stock, as events report them.
#[async_trait]
pub trait Projection: Send + Sync + std::fmt::Debug {
    /// Stores each value unless the same or a newer one is stored. Idempotent, whatever the order of the batches.
    async fn apply(&self, batch: &EventBatch) -> Result<Applied, StoreError>;
}

/// What the rules need to know.
#[async_trait]
pub trait Products: Send + Sync + std::fmt::Debug {
    /// What a user bought, most units first: of their latest 500 purchases, at most 1000 products.
    async fn history(&self, user: UserId) -> Result<History, StoreError>;

    /// The products that the rules can recommend to a user with this history: neither bought, nor deleted, nor out of stock.
    /// Each list has the best [`ITEMS_MAX`](crate::domain::ITEMS_MAX).
    async fn candidates(&self, history: &History, default_category: &str) -> Result<Candidates, StoreError>;
}

/// What a user was recommended by the last event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastResult {
    pub user: UserId,
    /// Number of the event; 0: there was none.
    pub version: i64,
    pub products: Vec<ProductId>,
    /// Rises whenever the recommendations become due.
    pub revision: i64,
}

/// What users were recommended, and which of these results are due.
#[async_trait]
pub trait Results: Send + Sync + std::fmt::Debug {
    /// Takes at most `limit` results that are due, the longest waiting first. They are due again after 30 s unless they are
    /// stored before.
    async fn take_due(&self, limit: u32) -> Result<Vec<LastResult>, StoreError>;

    /// At most `limit` results, due or not, of the users whose ids are above `after`, in the order of the ids.
    async fn page(&self, after: UserId, limit: u32) -> Result<Vec<LastResult>, StoreError>;

    /// Stores that a result was computed again, with the products of its event if it is another. It stays due if it became due
    /// after it was read. `false`: a concurrent run stored another result first.
    async fn store(
        &self,
        last: &LastResult,
        changed: Option<(&[ProductId], &RecommendationEvent)>,
    ) -> Result<bool, StoreError>;
}

/// The run that computes the recommendations of everybody again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recomputation {
    pub running: bool,
    /// Whether an administrator asked for a run that has not started.
    pub requested: bool,
    pub started_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
    /// When the next run starts unless one is requested.
    pub next_at: OffsetDateTime,
    /// Users that the present run, or else the last one, visited.
    pub users: i64,
    /// Users to whom it recommended other products than before.
    pub changed: i64,
}

/// Progress of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last visited user; `None`: everybody was visited.
    pub visited: Option<UserId>,
    /// Users that were visited since the last report.
    pub users: i64,
    /// Users of these to whom other products are recommended.
    pub changed: i64,
}

/// The state of the run. One instance of the service leads it at a time.
#[async_trait]
pub trait Recomputations: Send + Sync + std::fmt::Debug {
    /// Requests a run. `every`: time from the end of one scheduled run to the start of the next.
    async fn request(&self, every: Duration) -> Result<Recomputation, StoreError>;

    /// Reads the state.
    async fn recomputation(&self, every: Duration) -> Result<Recomputation, StoreError>;

    /// Leads the run for the next 30 s: continues the present one, or starts one that is requested or scheduled. A scheduled
    /// one starts only if anything changed since the last one. Returns the last visited user; `None`: another instance leads, or there is nothing to run.
    async fn lead(&self, instance: Uuid, every: Duration) -> Result<Option<UserId>, StoreError>;

    /// Reports progress. `false`: the instance does not lead any more, and nothing was written.
    async fn advance(&self, instance: Uuid, progress: Progress) -> Result<bool, StoreError>;

    /// Lets another instance lead at once.
    async fn resign(&self, instance: Uuid) -> Result<(), StoreError>;
}

/// Votes on products: one per user and product.
#[async_trait]
pub trait Feedback: Send + Sync + std::fmt::Debug {
    /// Stores a vote in place of an earlier one of the user. Returns the votes of all users on the product. A duplicate of
    /// `dedup_key` changes nothing and returns the first result.
    async fn vote(
        &self,
        user: UserId,
        product: ProductId,
        positive: bool,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Votes>, VoteError>;
}

/// Why a vote was not counted.
#[derive(Debug, thiserror::Error)]
pub enum VoteError {
    /// The catalog has no such product.
    #[error("product not found")]
    UnknownProduct,
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Results that are no longer right.
#[derive(Clone, Copy, Debug)]
pub enum Stale<'a> {
    Everything,
    Users(&'a BTreeSet<UserId>),
}

/// A cache of results for five minutes at most. It may lose any of them at any time.
#[async_trait]
pub trait ResultCache: Send + Sync + std::fmt::Debug {
    /// Returns the cached result of a user, or computes and caches it. Only `compute` can fail. A result that became stale
    /// while it was computed is not returned to later callers.
    async fn get_or_compute(
        &self,
        user: UserId,
        compute: BoxFuture<'_, Result<Vec<Recommendation>, StoreError>>,
    ) -> Result<Vec<Recommendation>, StoreError>;

    /// Drops results. What cannot be dropped now is dropped by a later [`flush`](Self::flush).
    async fn drop_results(&self, stale: Stale<'_>);

    /// Drops every result if some could not be dropped, and at the first call.
    async fn flush(&self);
}

/// A limit of the requests of each user.
#[async_trait]
pub trait RequestLimit: Send + Sync + std::fmt::Debug {
    /// Counts a request, or returns after what time the next one is accepted.
    async fn take(&self, user: UserId) -> Result<(), Duration>;
}
