//! Ports of the use cases: the store of carts, checkouts and product copies, and the catalog. Independent of SQL and HTTP.
//!
//! Every method that changes data is one transaction. A method with a deduplication key applies a change once; a duplicate
//! returns the result of the first call.

use agora_chassis::BoxError;
pub use agora_outbox::StoreError;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{LineId, Money, OrderId, ProductId, Quantity, UserId, Variant};
use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::domain::{Checkout, CheckoutState, Contents, Line, ProductCopy, QuoteResult, Refused, View};

/// A line to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// Id of the line; unused if the cart already has a line of the product and variant.
    pub id: LineId,
    pub product: ProductId,
    pub variant: Variant,
    /// Units to add to those in the cart.
    pub quantity: Quantity,
}

impl NewLine {
    /// Converts to a cart line at the current unit price.
    pub fn at(&self, price: Money) -> Line {
        let Self { id, product, variant, quantity } = self.clone();
        Line { id, product, variant, quantity, seen: price }
    }
}

/// Everything that this service stores.
pub trait CartStore: Carts + Checkouts + ProductCopies {}

impl<T: Carts + Checkouts + ProductCopies> CartStore for T {}

/// Carts, one per user.
#[async_trait]
pub trait Carts: Send + Sync + std::fmt::Debug {
    /// Returns the user's cart; an empty cart if none is stored.
    async fn find(&self, user: UserId) -> Result<Contents, StoreError>;

    /// Returns the stored result of a request; `None` if the request has not been processed.
    async fn stored_view(&self, dedup_key: &DedupKey) -> Result<Option<View>, StoreError>;

    /// Adds units to a line; creates the line and the cart if they do not exist. `found` is the user's cart as last read and
    /// may be stale; `quote` contains the product and provides the prices of the result.
    async fn add(
        &self,
        found: Contents,
        line: &NewLine,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError>;

    /// Sets the units of a line of the user's own cart.
    async fn change(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError>;

    /// Lowers the units of a line of the user's own cart, at the stored price; a line with fewer units does not change.
    async fn lower(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError>;

    /// Removes a line of the user's own cart.
    async fn remove(&self, user: UserId, line: LineId, dedup_key: &DedupKey) -> Result<Outcome<()>, CartError>;
}

/// Checkouts, one per order: lines that an order has moved out of a cart.
#[async_trait]
pub trait Checkouts: Send + Sync + std::fmt::Debug {
    /// Moves every line of the user's cart to an order. A repeated call for the order returns the same checkout, whatever its
    /// `dedup_key`; a cancelled checkout fails with [`CheckoutError::Cancelled`].
    async fn begin_checkout(
        &self,
        order: OrderId,
        user: UserId,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Checkout>, CheckoutError>;

    /// Cancels a checkout: adds its lines to the cart's current lines. Inserts a tombstone if the order has no checkout.
    /// Returns the final state, which does not depend on `dedup_key`.
    async fn cancel_checkout(&self, order: OrderId, dedup_key: &DedupKey)
    -> Result<Outcome<CheckoutState>, StoreError>;

    /// Completes the checkouts of orders that are in progress; others do not change. Idempotent.
    async fn complete_checkouts(&self, orders: &[OrderId]) -> Result<(), StoreError>;

    /// Deletes one batch of checkouts that ended more than 30 days ago. Returns how many were deleted.
    async fn sweep(&self) -> Result<u64, StoreError>;
}

/// Copies of products, shown while the catalog is unavailable.
#[async_trait]
pub trait ProductCopies: Send + Sync + std::fmt::Debug {
    /// Stores copies of products, each unless a copy of the same or a newer version is stored. The copy of a deleted product
    /// removes the product from every cart. Idempotent.
    async fn store_copies(&self, copies: &[ProductCopy]) -> Result<(), StoreError>;
}

/// The catalog service.
#[async_trait]
pub trait Catalog: Send + Sync + std::fmt::Debug {
    /// Returns a quote for at most 100 products.
    async fn quote(&self, products: &[ProductId]) -> Result<QuoteResult, CatalogUnavailable>;
}

/// Cache of quotes as carts are shown with. No answer depends on it: without it, every cart that is shown requests a quote.
#[async_trait]
pub trait QuoteCache: Send + Sync + std::fmt::Debug {
    /// Returns the quote for these products, at most 100 of them in ascending order, as it was loaded some seconds ago, else what
    /// `load` returns.
    async fn get_or_load(
        &self,
        products: &[ProductId],
        load: BoxFuture<'_, Result<QuoteResult, CatalogUnavailable>>,
    ) -> Result<QuoteResult, CatalogUnavailable>;

    /// Makes the next carts with one of these products request a quote.
    async fn drop_products(&self, products: &[ProductId]);
}

/// The catalog service is unavailable.
#[derive(Debug, thiserror::Error)]
#[error("catalog unavailable")]
pub struct CatalogUnavailable(#[source] pub BoxError);

/// Why a cart could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum CartError {
    /// The user's cart does not contain the line.
    #[error("cart line not found")]
    NotFound,
    /// The change would make the cart invalid.
    #[error("change of the cart rejected")]
    Refused(Refused),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a checkout could not begin.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The cart is empty.
    #[error("the cart is empty")]
    Empty,
    /// The checkout was cancelled, possibly before it began.
    #[error("checkout already cancelled")]
    Cancelled,
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Refused> for CartError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}
