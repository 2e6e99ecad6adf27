//! What the use cases need from outside the process: products and stock that last. Every method that changes something
//! is one transaction, told its cause, so that a repetition gets the first answer. A fact that finds a hold ended changes
//! nothing whenever it comes: of that nothing need be remembered.

pub use agora_outbox::StoreError;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::ProductId;
use async_trait::async_trait;

use crate::domain::{
    AdjustRefused, Adjustment, Change, Expected, Found, Hold, HoldState, Lines, Listed, Listing, Product, Reservation,
    Seconds, Stale, StockLocation,
};

/// The products of the catalog.
#[async_trait]
pub trait Products: Send + Sync + std::fmt::Debug {
    /// The product, unless it is unknown or deleted.
    async fn find(&self, id: ProductId) -> Result<Option<Listed>, StoreError>;

    /// Those of `ids` that are neither unknown nor deleted, in any order.
    async fn many(&self, ids: &[ProductId]) -> Result<Vec<Listed>, StoreError>;

    /// One page of the products that are not deleted.
    async fn page(&self, listing: &Listing) -> Result<Found, StoreError>;

    /// Brings a product of version 1 into the catalog, with units in the main warehouse; the times are the
    /// database's, not the given ones. Refuses a taken SKU.
    async fn add(&self, product: &Product, units: i64, dedup_key: &DedupKey) -> Result<Outcome<Listed>, ProductError>;

    /// Changes fields of a product that is as the writer saw it. A change that changes nothing keeps the version.
    async fn change(
        &self,
        id: ProductId,
        expected: &Expected,
        change: &Change,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, ProductError>;

    /// Takes a product out of the catalog; orders and holds that have it keep it.
    async fn remove(
        &self,
        id: ProductId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, ProductError>;
}

/// The units of products, and the holds of orders on them.
#[async_trait]
pub trait Stock: Send + Sync + std::fmt::Debug {
    /// Sets or adds units at one place, never below what orders hold; `actor` stands in the ledger.
    async fn adjust(
        &self,
        location: &StockLocation,
        by: Adjustment,
        actor: &str,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, AdjustError>;

    /// Holds every line or none. A hold that exists answers as it did; one that was undone or ran out is `Cancelled`.
    async fn reserve(
        &self,
        hold: Hold,
        lines: &Lines,
        seconds: Seconds,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Reservation>, StoreError>;

    /// Sells what is held. A hold in any other state stays as it is; the answer is the state afterwards.
    async fn commit(&self, hold: Hold, dedup_key: &DedupKey) -> Result<Outcome<HoldState>, StoreError>;

    /// Undoes a hold: frees what is held, takes back what was sold, writes a tombstone where nothing is known. The answer
    /// is the state afterwards.
    async fn release(&self, hold: Hold, dedup_key: &DedupKey) -> Result<Outcome<HoldState>, StoreError>;

    /// Ends one hold that has run out, and says which; `None` if there is none that nobody else is ending.
    async fn expire_one(&self) -> Result<Option<Hold>, StoreError>;

    /// Forgets some holds that were freed, ran out or never were, more than a month ago; how many. Never one whose units
    /// were sold: as long as an order is not shipped it may be cancelled, and its units come back by its hold.
    async fn sweep(&self) -> Result<u64, StoreError>;
}

/// Why a product was not written.
#[derive(Debug, thiserror::Error)]
pub enum ProductError {
    /// It is unknown or deleted.
    #[error("there is no such product")]
    NotFound,
    /// It has moved on since the writer saw it.
    #[error("the product has changed meanwhile")]
    Stale(Stale),
    /// Another product has that SKU.
    #[error("the SKU is taken")]
    SkuTaken,
    /// The change gives it a value that it cannot have.
    #[error("the product cannot become that")]
    Invalid(#[source] agora_vocab::Invalid),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why units were not adjusted.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// The product is unknown or deleted.
    #[error("there is no such product")]
    NotFound,
    /// There is no such warehouse.
    #[error("there is no such warehouse")]
    UnknownWarehouse,
    /// The units do not allow it.
    #[error("the stock cannot become that")]
    Refused(AdjustRefused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
