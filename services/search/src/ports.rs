//! Ports of the use cases: the index, its rebuilds, and the catalog that it is built from. Independent of SQL and HTTP.
//!
//! Every method that changes data is idempotent: a product or stock level of an older version never replaces a newer one.

use agora_chassis::BoxError;
pub use agora_outbox::StoreError;
use agora_vocab::ProductId;
use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{
    CheckedWord, Completion, Filter, MatchQuery, Matches, Product, ProductChange, Progress, Search, StockChange, Term,
};

/// Everything that this service stores.
pub trait SearchStore: Index + Searches + Rebuilds {}

impl<T: Index + Searches + Rebuilds> SearchStore for T {}

/// Which generations of the index a change is stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one that searches read, and the one that is being built.
    Current,
    /// The one with this number, live or not.
    Generation(i32),
}

/// Writes to the index.
#[async_trait]
pub trait Index: Send + Sync + std::fmt::Debug {
    /// Stores the newest of these and of the stored versions. A deletion leaves a tombstone.
    async fn store_products(&self, changes: &[ProductChange], target: Target) -> Result<(), StoreError>;

    /// Stores the newest of these and of the stored versions, also of products that are not known yet.
    async fn store_stock(&self, changes: &[StockChange], target: Target) -> Result<(), StoreError>;

    /// Deletes a batch of generations that searches no longer read, and of tombstones that are older than 30 days. Returns how
    /// many rows were deleted.
    async fn sweep(&self) -> Result<u64, StoreError>;
}

/// Reads from the index: the generation that was completed last.
#[async_trait]
pub trait Searches: Send + Sync + std::fmt::Debug {
    /// Compares words with the vocabulary.
    async fn check_words(&self, words: &[Term]) -> Result<Vec<CheckedWord>, StoreError>;

    /// Returns the ids of a page and the facets of what matches a query.
    async fn matches(&self, query: &MatchQuery, search: &Search) -> Result<Matches, StoreError>;

    /// Returns the facets and the number of all products.
    async fn facets_of_all(&self, filter: &Filter) -> Result<Matches, StoreError>;

    /// Returns a page of all products, with one more product than the page holds if there is a next one.
    async fn browse(&self, search: &Search) -> Result<Vec<Product>, StoreError>;

    /// Returns the products among `ids`, in any order.
    async fn find(&self, ids: &[ProductId]) -> Result<Vec<Product>, StoreError>;

    /// Returns at most `limit` completions of each kind.
    async fn complete(&self, query: &MatchQuery, limit: u16) -> Result<Vec<Completion>, StoreError>;
}

/// A generation that a builder has leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    pub generation: i32,
    /// The last product that is stored; the build continues after it.
    pub last: Option<ProductId>,
}

/// Builds of the index. A build continues where it was left, also in another process: its builder has a lease of 30 seconds,
/// which each step extends.
#[async_trait]
pub trait Rebuilds: Send + Sync + std::fmt::Debug {
    /// Begins a build unless one is under way.
    async fn begin(&self) -> Result<(), StoreError>;

    /// Leases the build under way to `builder`; `None` if there is none or another builder has it.
    async fn lease(&self, builder: Uuid) -> Result<Option<Build>, StoreError>;

    /// Records that `count` more products up to `last` are stored; `false` if another builder has the build.
    async fn save(&self, build: Build, builder: Uuid, count: usize, last: ProductId) -> Result<bool, StoreError>;

    /// Makes the generation the one that searches read, by one statement; `false` if another builder has the build.
    async fn finish(&self, build: Build, builder: Uuid) -> Result<bool, StoreError>;

    /// Returns the newest generation and how far it is built.
    async fn progress(&self) -> Result<Progress, StoreError>;
}

/// A product of the catalog with its stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub product: Product,
    pub stock: Vec<StockChange>,
}

/// The catalog service.
#[async_trait]
pub trait Catalog: Send + Sync + std::fmt::Debug {
    /// Returns products in the order of their ids after `last`; none at the end.
    async fn export(&self, last: Option<ProductId>) -> Result<Vec<Exported>, CatalogUnavailable>;
}

/// The catalog service is unavailable.
#[derive(Debug, thiserror::Error)]
#[error("catalog unavailable")]
pub struct CatalogUnavailable(#[source] pub BoxError);
