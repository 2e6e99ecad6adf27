//! Ports of the use cases: the store of carts, checkouts and product copies, the catalog, and what guests need: tokens and a
//! limit. Independent of SQL and HTTP.
//!
//! Every method that changes data is one transaction. A method with a deduplication key applies a change once; a duplicate
//! returns the result of the first call.

mod erasures;

use std::{net::IpAddr, time::Duration};

use agora_chassis::BoxError;
pub use agora_outbox::StoreError;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{CartId, LineId, Money, OrderId, ProductId, Quantity, Secret, UserId, Variant};
use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

pub use self::erasures::ErasedCarts;
use crate::domain::{
    Checkout, CheckoutState, Contents, Line, Owner, ProductCopy, QuoteResult, Refused, TokenDigest, View,
};

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
        Line { id, product, variant, quantity, seen: price, reported: None }
    }
}

/// A guest's cart at its creation: what a repetition of a request with a key finds. Contains no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGuestCart {
    pub id: CartId,
    pub token: TokenDigest,
}

/// Products whose price changed, in carts that are yet to be searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepricedProducts {
    /// At most 100, which one quote may contain.
    pub products: Vec<ProductId>,
    /// The carts of greater ids are yet to be searched.
    pub after: CartId,
}

/// Everything that this service stores.
pub trait CartStore: Carts + GuestCarts + Checkouts + ProductCopies + ErasedCarts {}

impl<T: Carts + GuestCarts + Checkouts + ProductCopies + ErasedCarts> CartStore for T {}

/// Carts, one per user and one per token of a guest.
#[async_trait]
pub trait Carts: Send + Sync + std::fmt::Debug {
    /// Returns the owner's cart. If none is stored, a user's is empty, and a guest's fails with [`CartError::NoCart`].
    async fn find(&self, owner: Owner) -> Result<Contents, CartError>;

    /// Returns the stored result of a request; `None` if the request has not been processed.
    async fn stored_view(&self, dedup_key: &DedupKey) -> Result<Option<View>, StoreError>;

    /// Adds units to a line; creates the line and a user's cart if they do not exist. `found` is the cart as last read and may
    /// be stale; `quote` contains the product and provides the prices of the result.
    async fn add(
        &self,
        found: Contents,
        line: &NewLine,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError>;

    /// Sets the units of a line of the owner's cart.
    async fn change(
        &self,
        owner: Owner,
        line: LineId,
        quantity: Quantity,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError>;

    /// Lowers the units of a line of the owner's cart, at the stored price; a line with fewer units does not change.
    async fn lower(
        &self,
        owner: Owner,
        line: LineId,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, CartError>;

    /// Removes a line of the owner's cart.
    async fn remove(&self, owner: Owner, line: LineId, dedup_key: &DedupKey) -> Result<Outcome<()>, CartError>;
}

/// Carts of visitors without a login. A cart whose last change is 30 days ago has expired: it is found no more.
#[async_trait]
pub trait GuestCarts: Send + Sync + std::fmt::Debug {
    /// Creates an empty cart. A duplicate of `dedup_key` returns the first one.
    async fn create_guest_cart(
        &self,
        new: &NewGuestCart,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<NewGuestCart>, StoreError>;

    /// Returns the cart that a request has created; `None` if the request has not been processed.
    async fn created_guest_cart(&self, dedup_key: &DedupKey) -> Result<Option<NewGuestCart>, StoreError>;

    /// Adds the lines of a guest's cart to the user's cart and deletes the guest's cart. `found` is the user's cart as last
    /// read and may be stale; `quote` contains the guest's products. `None`, and nothing written, if the guest's cart is not
    /// in the state `guest` any more.
    async fn merge(
        &self,
        found: Contents,
        guest: &Contents,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<View>>, CartError>;

    /// Deletes one batch of expired carts. Returns how many were deleted.
    async fn sweep_guest_carts(&self) -> Result<u64, StoreError>;
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

    /// Appends the events of lines that left users' carts because their product was deleted, for one page of carts: each cart
    /// and deletion once. Returns whether there may be another page.
    async fn report_removed_lines(&self) -> Result<bool, StoreError>;

    /// Returns products whose price changed and whose lines are yet to be searched for in carts; `None` without any.
    async fn repriced_products(&self) -> Result<Option<RepricedProducts>, StoreError>;

    /// Appends the events of lines of these products in users' carts whose unit price by the quote is not the one that their
    /// user knows, for one page of carts: each change of a line once. Returns whether a page was searched: not if others
    /// search it, or if the quote is older than the change of every product.
    async fn report_repriced_lines(&self, repriced: &RepricedProducts, quote: &QuoteResult)
    -> Result<bool, StoreError>;
}

/// Tokens of guests' carts.
pub trait Tokens: Send + Sync + std::fmt::Debug {
    /// A token of 256 random bits, and its digest.
    fn draw(&self) -> Result<(Secret, TokenDigest), NoRandomness>;

    /// The digest of a token that a client sent, whatever it is.
    fn digest(&self, token: &Secret) -> TokenDigest;

    /// The token of a cart that a request with this idempotency key creates, and its digest. Computed of the key and of a
    /// secret of the service: without either, the token cannot be known.
    fn derive(&self, key: &Secret, cart: CartId) -> Result<(Secret, TokenDigest), NoTokenKey>;

    /// The token that [`Self::derive`] returned with this digest; `None` if the key is another one, or if the secret was
    /// replaced since.
    fn derive_again(&self, key: &Secret, cart: &NewGuestCart) -> Option<Secret>;
}

/// A limit of the guests' carts that each address creates.
#[async_trait]
pub trait GuestLimit: Send + Sync + std::fmt::Debug {
    /// Counts a cart, or returns after what time the next one is accepted.
    async fn take(&self, address: IpAddr) -> Result<(), Duration>;
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

/// The system's random source returned nothing.
#[derive(Debug, thiserror::Error)]
#[error("no random bytes")]
pub struct NoRandomness;

/// The secret of the service holds no key of tokens.
#[derive(Debug, thiserror::Error)]
#[error("INTERNAL_SECRET has no key for the tokens of carts")]
pub struct NoTokenKey;

/// Why a cart could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum CartError {
    /// No cart has the token: it is wrong, or the cart has expired or was merged.
    #[error("no cart of this token")]
    NoCart,
    /// The cart does not contain the line.
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
