//! Ports of the use cases: the store of products, stock and holds. Independent of SQL.
//!
//! Every method that changes data is one transaction. A change of products or an adjustment takes a deduplication key; a
//! duplicate returns the stored result of the first call. A change of a hold takes `message`, the id of the command or
//! event that requests it; the hold stores it, so that a duplicate returns the same result. A message that changes nothing
//! is not stored and evaluated again.

use std::collections::BTreeMap;

pub use agora_outbox::StoreError;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{ProductId, ReturnId};
use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{
    AdjustRefused, Adjustment, Change, Expected, Exported, Hold, HoldState, Lines, Listed, Listing, Product,
    ProductPage, Quoted, Reservation, Seconds, Stale, StockLocation,
};

/// Everything that this service stores.
pub trait CatalogStore: Products + Stock + Holds + Returns {}

impl<T: Products + Stock + Holds + Returns> CatalogStore for T {}

#[async_trait]
pub trait Products: Send + Sync + std::fmt::Debug {
    /// Returns the product, or `None` if it does not exist or is deleted.
    async fn find(&self, id: ProductId) -> Result<Option<Listed>, StoreError>;

    /// Returns the existing products among `ids`, in any order.
    async fn many(&self, ids: &[ProductId]) -> Result<Vec<Listed>, StoreError>;

    /// Returns the existing products among `ids` with their variants, in any order.
    async fn quote(&self, ids: &[ProductId]) -> Result<Vec<Quoted>, StoreError>;

    /// Returns some hundreds of the products that are not deleted, with their stock rows, in the order of their ids after
    /// `after`; none at the end.
    async fn export(&self, after: Option<ProductId>) -> Result<Vec<Exported>, StoreError>;

    /// Returns one page of the products that are not deleted.
    async fn page(&self, listing: &Listing) -> Result<ProductPage, StoreError>;

    /// Inserts a product of version 1 with `units` in the main warehouse. The store sets both times by the database's
    /// clock. Fails with [`ProductError::SkuTaken`] if another product has the SKU.
    async fn add(&self, product: &Product, units: i64, dedup_key: &DedupKey) -> Result<Outcome<Listed>, ProductError>;

    /// Changes fields of a product whose version matches `expected`. A change without effect keeps the version.
    async fn change(
        &self,
        id: ProductId,
        expected: &Expected,
        change: &Change,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, ProductError>;

    /// Deletes a product (soft delete); existing orders and holds keep it.
    async fn remove(
        &self,
        id: ProductId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, ProductError>;
}

#[async_trait]
pub trait Stock: Send + Sync + std::fmt::Debug {
    /// Sets or adds units at one location, never below the reserved units. `actor` is written to the ledger.
    async fn adjust(
        &self,
        location: &StockLocation,
        by: Adjustment,
        actor: &str,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, AdjustError>;
}

/// Holds of orders on stock.
#[async_trait]
pub trait Holds: Send + Sync + std::fmt::Debug {
    /// Reserves every line or none. An existing hold returns its first result; a released or expired one returns
    /// [`Reservation::Cancelled`]. After [`Reservation::Short`], only another message can reserve the hold.
    async fn reserve(
        &self,
        hold: Hold,
        lines: &Lines,
        seconds: Seconds,
        message: Uuid,
    ) -> Result<Outcome<Reservation>, StoreError>;

    /// Sells the units of a held hold; a hold in any other state does not change. Returns the state afterwards.
    async fn commit(&self, hold: Hold, message: Uuid) -> Result<Outcome<HoldState>, StoreError>;

    /// Releases a hold: frees reserved units, returns sold units to stock, writes a tombstone for an unknown hold.
    /// Returns the state afterwards.
    async fn release(&self, hold: Hold, message: Uuid) -> Result<Outcome<HoldState>, StoreError>;

    /// Returns the states of the existing holds among `holds`.
    async fn hold_states(&self, holds: &[Hold]) -> Result<BTreeMap<Hold, HoldState>, StoreError>;

    /// Ends one expired hold and returns it; `None` if no expired hold is unlocked.
    async fn expire_one(&self) -> Result<Option<Hold>, StoreError>;

    /// Deletes one batch of holds that were released, expired or became tombstones more than 30 days ago. Returns how many
    /// were deleted. Keeps committed holds: an order may be cancelled until it is shipped, and the hold is needed to return
    /// its units.
    async fn sweep(&self) -> Result<u64, StoreError>;
}

/// Units of orders that customers sent back.
#[async_trait]
pub trait Returns: Send + Sync + std::fmt::Debug {
    /// Puts units of a committed hold back into stock, where they were sold from, once for each return: a duplicate returns
    /// the same number of units. Over all returns of a hold never more than it sold; none of a hold in another state.
    async fn take_back(&self, hold: Hold, id: ReturnId, lines: &Lines) -> Result<Outcome<i64>, StoreError>;
}

/// Why a product could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ProductError {
    /// The product does not exist or is deleted.
    #[error("product not found")]
    NotFound,
    /// The product has another version than the client expects.
    #[error("stale product version")]
    Stale(Stale),
    /// Another product has that SKU.
    #[error("SKU already in use")]
    SkuTaken,
    /// The change contains an invalid value.
    #[error("invalid change of the product")]
    Invalid(#[source] agora_vocab::Invalid),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why stock could not be adjusted.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// The product does not exist or is deleted.
    #[error("product not found")]
    NotFound,
    /// The warehouse does not exist.
    #[error("warehouse not found")]
    UnknownWarehouse,
    /// The adjusted quantity is out of range.
    #[error("stock adjustment rejected")]
    Refused(AdjustRefused),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}
