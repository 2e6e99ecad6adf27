//! What the use cases need from outside the process: carts that last, and the catalog. Every method that changes
//! something is one transaction, told its cause, so that a repetition gets the first answer.

use agora_chassis::BoxError;
pub use agora_outbox::StoreError;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{LineId, Money, OrderId, ProductId, Quantity, UserId};
use async_trait::async_trait;

use crate::domain::{Checkout, CheckoutState, Contents, Line, ProductCopy, QuoteResult, Refused, Variant, View};

/// A line to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// Its id, if the cart has no such line yet.
    pub id: LineId,
    /// The product.
    pub product: ProductId,
    /// Its variant.
    pub variant: Variant,
    /// How many, besides those already there.
    pub quantity: Quantity,
}

impl NewLine {
    /// The line, where none is there yet, at what one unit costs now.
    pub fn at(&self, price: Money) -> Line {
        let Self { id, product, variant, quantity } = self.clone();
        Line { id, product, variant, quantity, seen: price }
    }
}

/// The carts, each of one user.
#[async_trait]
pub trait Carts: Send + Sync + std::fmt::Debug {
    /// The user's cart; an empty one where there is none.
    async fn find(&self, user: UserId) -> Result<Contents, StoreError>;

    /// The cart that a request was answered with, if it was done before.
    async fn stored_view(&self, dedup_key: &DedupKey) -> Result<Option<View>, StoreError>;

    /// Adds units to a line, making it and the cart if need be. `found` is the user's cart as it was just read, and may be old
    /// news; `offers` holds the product, and is what the answer shows.
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

    /// Lowers the units of a line of the user's own cart, at the price last seen; a line that has fewer by now keeps them.
    async fn lower(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError>;

    /// Removes a line of the user's own cart.
    async fn remove(&self, user: UserId, line: LineId, dedup_key: &DedupKey) -> Result<Outcome<()>, CartError>;

    /// Moves every line of the user's cart to an order. An order that took before gets the same again; one whose taking
    /// was undone gets nothing, ever.
    async fn begin_checkout(
        &self,
        order: OrderId,
        user: UserId,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Checkout>, CheckoutError>;

    /// Undoes a taking: the lines are added to what the cart holds by then. Writes a tombstone where nothing was taken. How
    /// the taking ended is the answer, whatever `dedup_key` asks and however often.
    async fn cancel_checkout(&self, order: OrderId, dedup_key: &DedupKey)
    -> Result<Outcome<CheckoutState>, StoreError>;

    /// Notes that the order of a taking stands. Changes nothing where none is under way.
    async fn complete_checkout(&self, order: OrderId, dedup_key: &DedupKey) -> Result<Outcome<()>, StoreError>;

    /// Keeps a copy of a product unless a newer one is kept.
    async fn store_copy(&self, copy: &ProductCopy, dedup_key: &DedupKey) -> Result<Outcome<()>, StoreError>;

    /// Removes a product that left the catalog from some of the carts that hold it; from how many. 0: from all.
    async fn drop_product(&self, product: ProductId) -> Result<u64, StoreError>;

    /// Forgets takings that ended more than a month ago; how many.
    async fn sweep(&self) -> Result<u64, StoreError>;
}

/// The catalog as it is now.
#[async_trait]
pub trait Catalog: Send + Sync + std::fmt::Debug {
    /// What it says about these products, at most 100.
    async fn quote(&self, products: &[ProductId]) -> Result<QuoteResult, CatalogUnavailable>;
}

/// The catalog did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the catalog does not answer")]
pub struct CatalogUnavailable(#[source] pub BoxError);

/// Why a cart was not changed.
#[derive(Debug, thiserror::Error)]
pub enum CartError {
    /// The user's cart has no such line.
    #[error("the cart has no such line")]
    NotFound,
    /// The cart cannot become that.
    #[error("the cart cannot become that")]
    Refused(Refused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nothing was taken.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The cart is empty.
    #[error("the cart is empty")]
    Empty,
    /// This taking was undone before it came.
    #[error("the taking was undone before it came")]
    Cancelled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
