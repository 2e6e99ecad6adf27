//! Use cases of the cart. Depends on the domain and the ports, never on HTTP or SQL.

mod guests;

use std::{sync::Arc, time::Duration};

use agora_chassis::chain;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{AssetBase, Ids, LineId, OrderId, ProductId, Quantity, UserId, Variant};

pub use self::guests::CreationKey;
use crate::{
    domain::{
        AccountEvent, Checkout, CheckoutState, Contents, LINES_MAX, Owner, ProductCopy, QuoteResult, Refused, View,
    },
    ports::{
        CartError, CartStore, Catalog, CatalogUnavailable, CheckoutError, GuestLimit, NewLine, NoRandomness,
        NoTokenKey, QuoteCache, StoreError, Tokens,
    },
};

/// Runs the use cases. Clones share the same stores.
#[derive(Clone, Debug)]
pub struct CartService {
    store: Arc<dyn CartStore>,
    catalog: Arc<dyn Catalog>,
    tokens: Arc<dyn Tokens>,
    ids: Arc<dyn Ids>,
    cache: Option<Arc<dyn QuoteCache>>,
    guest_limit: Option<Arc<dyn GuestLimit>>,
    assets: AssetBase,
}

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No cart has the token: it is wrong, or the cart has expired or was merged.
    #[error("no cart of this token")]
    NoCart,
    /// The cart does not contain the line.
    #[error("cart line not found")]
    NotFound,
    /// The address has created too many guests' carts.
    #[error("too many carts of guests from one address")]
    TooManyGuestCarts { retry_after: Duration },
    /// The token of a cart that was created before cannot be computed again, because the secret of the service was replaced.
    #[error("the token of a cart that exists cannot be computed again")]
    NotRepeatable,
    /// A token could not be drawn.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// A token could not be derived.
    #[error(transparent)]
    NoTokenKey(#[from] NoTokenKey),
    /// The change would make the cart invalid.
    #[error("change of the cart rejected")]
    Refused(Refused),
    /// The cart has no lines to check out.
    #[error("the cart is empty")]
    Empty,
    /// The checkout was cancelled before or after it began.
    #[error("checkout already cancelled")]
    Cancelled,
    /// The catalog is unavailable, so the product cannot be verified.
    #[error(transparent)]
    CatalogUnavailable(#[from] CatalogUnavailable),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CartService {
    /// Creates the service on these ports; `ids` generates the ids of new lines.
    pub fn new(
        store: Arc<dyn CartStore>,
        catalog: Arc<dyn Catalog>,
        tokens: Arc<dyn Tokens>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        Self { store, catalog, tokens, ids, cache: None, guest_limit: None, assets: AssetBase::default() }
    }

    /// Shows carts with quotes of this cache. A change of a cart requests a quote all the same.
    #[must_use]
    pub fn with_cache(self, cache: Arc<dyn QuoteCache>) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// Sets the address of the shop's files.
    #[must_use]
    pub fn with_assets(self, assets: AssetBase) -> Self {
        Self { assets, ..self }
    }

    /// The address of the shop's files, which pictures of products are shown with.
    pub const fn assets(&self) -> &AssetBase {
        &self.assets
    }

    /// Limits the guests' carts that each address creates; without it they are not limited.
    #[must_use]
    pub fn with_guest_limit(self, limit: Arc<dyn GuestLimit>) -> Self {
        Self { guest_limit: Some(limit), ..self }
    }

    /// Returns the owner's cart with prices and stock of a few seconds ago at most. While the catalog is unavailable, the cart shows the last
    /// known prices and no line is available.
    pub async fn view(&self, owner: Owner) -> Result<View, Error> {
        let contents = self.store.find(owner).await?;
        let products: Vec<_> = contents.cart.products().into_iter().collect();
        let quote = match self.recent_quote(&products).await {
            Ok(quote) => quote,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "catalog unavailable: showing the cart with stored product copies"
                );
                QuoteResult::default()
            }
        };
        Ok(contents.view(&quote))
    }

    /// Adds units of a product and returns the cart. A duplicate of `dedup_key` returns the first result.
    pub async fn add(
        &self,
        owner: Owner,
        product: ProductId,
        variant: Variant,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, Error> {
        let contents = self.store.find(owner).await?;
        match self.quote_with(product, &contents).await {
            Ok(quote) => {
                let line = NewLine { id: LineId::new(self.ids.next()), product, variant, quantity };
                Ok(self.store.add(contents, &line, &quote, dedup_key).await?)
            }
            Err(error) => self.stored_or(dedup_key, error).await,
        }
    }

    /// Sets the units of a line and returns the cart. Lowering the quantity works while the catalog is unavailable.
    pub async fn change(
        &self,
        owner: Owner,
        line: LineId,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, Error> {
        let contents = self.store.find(owner).await?;
        let Some(there) = contents.cart.line(line) else {
            return self.stored_or(dedup_key, Error::NotFound).await;
        };
        match self.quote_with(there.product, &contents).await {
            Ok(quote) => Ok(self.store.change(owner, line, quantity, &quote, dedup_key).await?),
            Err(Error::CatalogUnavailable(_)) if quantity.get() <= there.quantity.get() => {
                Ok(self.store.lower(owner, line, quantity, dedup_key).await?)
            }
            Err(error) => self.stored_or(dedup_key, error).await,
        }
    }

    /// Returns the stored result of a duplicate request, whatever the current state of cart and catalog; otherwise `error`.
    async fn stored_or(&self, dedup_key: &DedupKey, error: Error) -> Result<Outcome<View>, Error> {
        self.store.stored_view(dedup_key).await?.map(Outcome::Duplicate).ok_or(error)
    }

    /// Removes a line of the owner's cart.
    pub async fn remove(&self, owner: Owner, line: LineId, dedup_key: &DedupKey) -> Result<Outcome<()>, Error> {
        Ok(self.store.remove(owner, line, dedup_key).await?)
    }

    /// Moves all lines of the user's cart to an order. Idempotent per order.
    pub async fn begin_checkout(&self, order: OrderId, user: UserId, dedup_key: &DedupKey) -> Result<Checkout, Error> {
        Ok(self.store.begin_checkout(order, user, dedup_key).await?.into_inner())
    }

    /// Cancels a checkout: its lines return to the cart. Idempotent; returns the state afterwards.
    pub async fn cancel_checkout(&self, order: OrderId, dedup_key: &DedupKey) -> Result<CheckoutState, Error> {
        Ok(self.store.cancel_checkout(order, dedup_key).await?.into_inner())
    }

    /// Completes the checkouts of placed orders; their lines never return to the cart. Idempotent.
    pub async fn complete_checkouts(&self, orders: &[OrderId]) -> Result<(), Error> {
        if orders.is_empty() { Ok(()) } else { Ok(self.store.complete_checkouts(orders).await?) }
    }

    /// Stores copies of products; a deleted product is thereby removed from all carts. Idempotent by version.
    pub async fn store_copies(&self, copies: &[ProductCopy]) -> Result<(), Error> {
        if copies.is_empty() {
            return Ok(());
        }
        self.store.store_copies(copies).await?;
        if let Some(cache) = &self.cache {
            cache.drop_products(&copies.iter().map(|copy| copy.product).collect::<Vec<_>>()).await;
        }
        Ok(())
    }

    /// Appends the events of lines that left users' carts because their product was deleted, for one page of carts. Returns
    /// whether there may be another page.
    pub async fn report_removed_lines(&self) -> Result<bool, Error> {
        Ok(self.store.report_removed_lines().await?)
    }

    /// Appends the events of lines in users' carts whose unit price changed, for one page of carts. Returns whether there may
    /// be another page. A price that went back since is not reported. Fails while the catalog is unavailable.
    pub async fn report_repriced_lines(&self) -> Result<bool, Error> {
        let Some(repriced) = self.store.repriced_products().await? else { return Ok(false) };
        let quote = self.quote(&repriced.products).await?;
        Ok(self.store.report_repriced_lines(&repriced, &quote).await?)
    }

    /// Empties the carts of users whose accounts were erased. Idempotent, in any order of events.
    pub async fn erase_carts(&self, events: &[AccountEvent]) -> Result<(), Error> {
        if events.is_empty() { Ok(()) } else { Ok(self.store.erase_carts(events).await?) }
    }

    /// Empties carts of erased users that were filled at the moment of the erasure, ten minutes after it. Returns how many
    /// were looked at.
    pub async fn look_at_erased_carts(&self) -> Result<usize, Error> {
        Ok(self.store.look_at_erased_carts().await?)
    }

    /// Deletes checkouts that ended more than 30 days ago, erasures of that age and expired carts of guests. Returns how
    /// many were deleted.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            let old = self.store.sweep().await? + self.store.sweep_erased_carts().await?;
            match old + self.store.sweep_guest_carts().await? {
                0 => return Ok(deleted),
                batch => deleted += batch,
            }
        }
    }

    /// Requests a quote for `product`, which must exist, and for the other products of the cart.
    async fn quote_with(&self, product: ProductId, contents: &Contents) -> Result<QuoteResult, Error> {
        let mut products = contents.cart.products();
        products.remove(&product);
        let asked: Vec<_> = std::iter::once(product).chain(products).take(LINES_MAX).collect();
        let quote = self.quote(&asked).await?;
        quote.of(product).ok_or(Error::Refused(Refused::UnknownProduct))?;
        Ok(quote)
    }

    async fn recent_quote(&self, products: &[ProductId]) -> Result<QuoteResult, CatalogUnavailable> {
        match &self.cache {
            Some(cache) if !products.is_empty() => cache.get_or_load(products, self.catalog.quote(products)).await,
            _ => self.quote(products).await,
        }
    }

    async fn quote(&self, products: &[ProductId]) -> Result<QuoteResult, CatalogUnavailable> {
        if products.is_empty() { Ok(QuoteResult::default()) } else { self.catalog.quote(products).await }
    }
}

impl From<CartError> for Error {
    fn from(error: CartError) -> Self {
        match error {
            CartError::NoCart => Self::NoCart,
            CartError::NotFound => Self::NotFound,
            CartError::Refused(refused) => Self::Refused(refused),
            CartError::Store(error) => Self::Store(error),
        }
    }
}

impl From<CheckoutError> for Error {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::Empty => Self::Empty,
            CheckoutError::Cancelled => Self::Cancelled,
            CheckoutError::Store(error) => Self::Store(error),
        }
    }
}
