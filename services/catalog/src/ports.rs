//! Ports of the use cases: the store of products, their terms, warehouses, stock and holds. Independent of SQL.
//!
//! Every method that changes data is one transaction. A change of products or an adjustment takes a deduplication key; a
//! duplicate returns the stored result of the first call. A change of a hold takes `message`, the id of the command or
//! event that requests it; the hold stores it, so that a duplicate returns the same result. A message that changes nothing
//! is not stored and evaluated again.

mod imports;

use std::collections::BTreeMap;

pub use agora_outbox::StoreError;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{
    Currency, Page, PageSize, ProductId, PromotionId, ReturnId, TermId, Variant, VariantId, WarehouseId,
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use uuid::Uuid;

pub use self::imports::{ImportRun, Imports};
use crate::domain::{
    AdjustRefused, Adjustment, Campaign, Change, Expected, Exported, Hold, HoldState, Label, Lines, Listed, Listing,
    Prices, Product, ProductPage, ProductVariant, Quoted, Reservation, Seconds, Stale, StockLocation, Taxonomy, Term,
    Translations, UsedBy, VariantChange, VariantDetails, Warehouse, WarehouseChange, WarehouseDetails,
};

/// Everything that this service stores.
pub trait CatalogStore:
    Products + Imports + Variants + Terms + Warehouses + Promotions + Stock + Holds + Returns
{
}

impl<T: Products + Imports + Variants + Terms + Warehouses + Promotions + Stock + Holds + Returns> CatalogStore for T {}

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

    /// Returns the translations of products into languages with these first subtags, such as `de`.
    async fn translations(
        &self,
        ids: &[ProductId],
        primary: &[String],
    ) -> Result<BTreeMap<ProductId, Translations>, StoreError>;

    /// Returns the prices of products in a currency other than their own.
    async fn prices(&self, ids: &[ProductId], currency: Currency) -> Result<BTreeMap<ProductId, Prices>, StoreError>;

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

/// Variants of products. Units on hand of an unknown variant create it.
#[async_trait]
pub trait Variants: Send + Sync + std::fmt::Debug {
    /// Returns the variant, or `None` if the product does not exist or has no such variant.
    async fn variant(&self, product: ProductId, id: VariantId) -> Result<Option<ProductVariant>, StoreError>;

    /// Returns the variants of a product after the name `after`, by name. The page's `next` is the name of its last variant.
    async fn variants(
        &self,
        product: ProductId,
        after: &Variant,
        size: PageSize,
    ) -> Result<Page<ProductVariant>, StoreError>;

    /// Inserts a variant of version 1 without stock. Fails if another one of the product has the name, if another variant or
    /// a product has the SKU, or if the product has [`VARIANTS_MAX`](crate::domain::VARIANTS_MAX) variants.
    async fn add_variant(
        &self,
        id: VariantId,
        product: ProductId,
        name: &Variant,
        details: &VariantDetails,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ProductVariant>, NamedError>;

    /// Changes a variant whose version matches `expected`. A change without effect keeps the version.
    async fn change_variant(
        &self,
        product: ProductId,
        id: VariantId,
        expected: &Expected,
        change: &VariantChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<ProductVariant>, NamedError>;

    /// Deletes a variant. Fails with [`NamedError::InUse`] while units of it are on hand.
    async fn remove_variant(
        &self,
        product: ProductId,
        id: VariantId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, NamedError>;
}

/// Categories, brands, suppliers and locations. A product that names an unknown category, brand or supplier creates the term.
#[async_trait]
pub trait Terms: Send + Sync + std::fmt::Debug {
    /// Returns the term, or `None` if the taxonomy has no such term.
    async fn term(&self, taxonomy: Taxonomy, id: TermId) -> Result<Option<Term>, StoreError>;

    /// Returns the terms after the sort key `after`, by name. The page's `next` is the sort key of its last term.
    async fn terms(&self, taxonomy: Taxonomy, after: &str, size: PageSize) -> Result<Page<Term>, StoreError>;

    /// Inserts a term of version 1. Fails with [`NamedError::NameTaken`] if another one of its taxonomy has the name.
    async fn add_term(
        &self,
        id: TermId,
        taxonomy: Taxonomy,
        name: &Label,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Term>, NamedError>;

    /// Renames a term whose version matches `expected`. Its products have the former name until
    /// [`rename_products`](Self::rename_products) has changed them. The same name keeps the version.
    async fn rename_term(
        &self,
        taxonomy: Taxonomy,
        id: TermId,
        expected: &Expected,
        name: &Label,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Term>, NamedError>;

    /// Deletes a term. Fails with [`NamedError::InUse`] while products that are not deleted, or warehouses, have it.
    async fn remove_term(
        &self,
        taxonomy: Taxonomy,
        id: TermId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, NamedError>;

    /// Gives one batch of products the new name of their term, each with a new version and an event. Returns how many were
    /// changed; `None` if no product is left that is not locked.
    async fn rename_products(&self) -> Result<Option<u64>, StoreError>;
}

#[async_trait]
pub trait Warehouses: Send + Sync + std::fmt::Debug {
    /// Returns the warehouse, or `None` if it does not exist.
    async fn warehouse(&self, id: WarehouseId) -> Result<Option<Warehouse>, StoreError>;

    /// Returns the warehouses after the sort key `after`, by name. The page's `next` is the sort key of its last warehouse.
    async fn warehouses(&self, after: &str, size: PageSize) -> Result<Page<Warehouse>, StoreError>;

    /// Inserts a warehouse of version 1. Fails if another one has the name or the location does not exist.
    async fn add_warehouse(
        &self,
        id: WarehouseId,
        details: &WarehouseDetails,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Warehouse>, NamedError>;

    /// Changes a warehouse whose version matches `expected`. A change without effect keeps the version.
    async fn change_warehouse(
        &self,
        id: WarehouseId,
        expected: &Expected,
        change: &WarehouseChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Warehouse>, NamedError>;

    /// Deletes a warehouse. Fails with [`NamedError::InUse`] if it has stock rows, or is the main warehouse.
    async fn remove_warehouse(
        &self,
        id: WarehouseId,
        expected: &Expected,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, NamedError>;
}

#[async_trait]
pub trait Promotions: Send + Sync + std::fmt::Debug {
    /// Ends the present promotion and starts the next one, of the products in stock that were promoted longest ago, if it is
    /// due. Of concurrent calls, one starts it. Returns the number of its products; 0 if none was started.
    async fn start_promotion(&self, id: PromotionId, campaign: &Campaign) -> Result<usize, StoreError>;
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

/// Cache of products as clients read them. No answer depends on it: without it, every product is loaded.
#[async_trait]
pub trait ProductCache: Send + Sync + std::fmt::Debug {
    /// Returns the product as it was loaded a moment ago, else what `load` returns. Of concurrent misses of a process, one
    /// loads.
    async fn get_or_load(
        &self,
        id: ProductId,
        load: BoxFuture<'_, Result<Option<Listed>, StoreError>>,
    ) -> Result<Option<Listed>, StoreError>;

    /// Makes the next readers of these products load them, also those that are being loaded. Call it after the commit.
    async fn drop_products(&self, ids: &[ProductId]);

    /// Drops everything if some products could not be dropped.
    async fn flush(&self);
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

/// Why a term, a warehouse or a variant could not be written.
#[derive(Debug, thiserror::Error)]
pub enum NamedError {
    /// It does not exist.
    #[error("not found")]
    NotFound,
    /// It has another version than the client expects.
    #[error("stale version")]
    Stale(Stale),
    /// Another one has that name.
    #[error("name already in use")]
    NameTaken,
    /// The warehouse's location does not exist.
    #[error("location not found")]
    UnknownLocation,
    /// It cannot be deleted.
    #[error("still in use")]
    InUse(UsedBy),
    /// A product or another variant has that SKU.
    #[error("SKU already in use")]
    SkuTaken,
    /// The product has as many variants as it can have.
    #[error("too many variants")]
    TooManyVariants,
    /// The change contains an invalid value.
    #[error("invalid change")]
    Invalid(#[source] agora_vocab::Invalid),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}
