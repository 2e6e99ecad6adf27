//! What can be asked of carts. Knows ports and domain; neither HTTP nor SQL.

use std::sync::Arc;

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Ids, LineId, OrderId, ProductId, Quantity, UserId};

use crate::{
    domain::{Checkout, CheckoutState, Contents, LINES_MAX, ProductCopy, QuoteResult, Refused, Variant, View},
    ports::{CartError, Carts, Catalog, CatalogUnavailable, CheckoutError, NewLine, StoreError},
};

/// Shopping with a cart. Clones share it.
#[derive(Clone, Debug)]
pub struct CartService {
    carts: Arc<dyn Carts>,
    catalog: Arc<dyn Catalog>,
    ids: Arc<dyn Ids>,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's cart has no such line.
    #[error("the cart has no such line")]
    NotFound,
    /// The cart cannot become that.
    #[error("the cart cannot become that")]
    Refused(Refused),
    /// There is nothing to take.
    #[error("the cart is empty")]
    Empty,
    /// The taking was undone before it came.
    #[error("the taking was undone before it came")]
    Cancelled,
    /// Whether the product exists cannot be told now.
    #[error(transparent)]
    CatalogUnavailable(#[from] CatalogUnavailable),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CartService {
    /// Shopping over these carts and that catalog.
    pub fn new(carts: Arc<dyn Carts>, catalog: Arc<dyn Catalog>, ids: Arc<dyn Ids>) -> Self {
        Self { carts, catalog, ids }
    }

    /// The user's cart with the prices and stock of now; with the last known ones, and nothing called available, while
    /// the catalog is away.
    pub async fn view(&self, user: UserId) -> Result<View, Error> {
        let contents = self.carts.find(user).await?;
        let products: Vec<_> = contents.cart.products().into_iter().collect();
        let quote = match self.quote(&products).await {
            Ok(quote) => quote,
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "a cart is shown from copies");
                QuoteResult::default()
            }
        };
        contents.view(&quote).map_err(Error::Refused)
    }

    /// Adds units of a product; the cart afterwards.
    pub async fn add(
        &self,
        user: UserId,
        product: ProductId,
        variant: Variant,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, Error> {
        let contents = self.carts.find(user).await?;
        match self.quote_with(product, &contents).await {
            Ok(quote) => {
                let line = NewLine { id: LineId::new(self.ids.next()), product, variant, quantity };
                Ok(self.carts.add(contents, &line, &quote, dedup_key).await?)
            }
            Err(error) => self.stored_or(dedup_key, error).await,
        }
    }

    /// Sets the units of a line; the cart afterwards. Fewer units need no catalog.
    pub async fn change(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, Error> {
        let contents = self.carts.find(user).await?;
        let Some(there) = contents.cart.lines.iter().find(|there| there.id == line) else {
            return self.stored_or(dedup_key, Error::NotFound).await;
        };
        match self.quote_with(there.product, &contents).await {
            Ok(quote) => Ok(self.carts.change(user, line, quantity, &quote, dedup_key).await?),
            Err(Error::CatalogUnavailable(_)) if quantity.get() <= there.quantity.get() => {
                Ok(self.carts.lower(user, line, quantity, dedup_key).await?)
            }
            Err(error) => self.stored_or(dedup_key, error).await,
        }
    }

    /// What a request was answered that was done before, whatever has become of the cart and the catalog since; else why
    /// it cannot be done.
    async fn stored_or(&self, dedup_key: &DedupKey, error: Error) -> Result<Outcome<View>, Error> {
        self.carts.stored_view(dedup_key).await?.map(Outcome::Duplicate).ok_or(error)
    }

    /// Removes a line.
    pub async fn remove(&self, user: UserId, line: LineId, dedup_key: &DedupKey) -> Result<Outcome<()>, Error> {
        Ok(self.carts.remove(user, line, dedup_key).await?)
    }

    /// Moves the lines of a user's cart to an order.
    pub async fn begin_checkout(&self, order: OrderId, user: UserId, dedup_key: &DedupKey) -> Result<Checkout, Error> {
        Ok(self.carts.begin_checkout(order, user, dedup_key).await?.into_inner())
    }

    /// Undoes a taking; its state afterwards.
    pub async fn cancel_checkout(&self, order: OrderId, dedup_key: &DedupKey) -> Result<CheckoutState, Error> {
        Ok(self.carts.cancel_checkout(order, dedup_key).await?.into_inner())
    }

    /// Notes that an order stands.
    pub async fn complete_checkout(&self, order: OrderId, dedup_key: &DedupKey) -> Result<(), Error> {
        self.carts.complete_checkout(order, dedup_key).await?;
        Ok(())
    }

    /// Keeps a copy of a product; carts lose one that left the catalog.
    pub async fn store_copy(&self, copy: &ProductCopy, dedup_key: &DedupKey) -> Result<(), Error> {
        self.carts.store_copy(copy, dedup_key).await?;
        // Also when the copy is no news: the process may have ended between the two.
        while copy.deleted && self.carts.drop_product(copy.product).await? > 0 {}
        Ok(())
    }

    /// Forgets takings that ended long ago.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            match self.carts.sweep().await? {
                0 => return Ok(forgotten),
                some => forgotten += some,
            }
        }
    }

    /// What the catalog says about a product that must exist, and about the others in the cart.
    async fn quote_with(&self, product: ProductId, contents: &Contents) -> Result<QuoteResult, Error> {
        let mut products = contents.cart.products();
        products.remove(&product);
        let asked: Vec<_> = std::iter::once(product).chain(products).take(LINES_MAX).collect();
        let quote = self.quote(&asked).await?;
        quote.of(product).ok_or(Error::Refused(Refused::UnknownProduct))?;
        Ok(quote)
    }

    async fn quote(&self, products: &[ProductId]) -> Result<QuoteResult, CatalogUnavailable> {
        if products.is_empty() { Ok(QuoteResult::default()) } else { self.catalog.quote(products).await }
    }
}

impl From<CartError> for Error {
    fn from(error: CartError) -> Self {
        match error {
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
