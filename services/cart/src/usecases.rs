//! What can be asked of carts. Knows ports and domain; neither HTTP nor SQL.

use std::sync::Arc;

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Ids, LineId, OrderId, ProductId, Quantity, UserId};

use crate::{
    domain::{Contents, Copy, LINES_MAX, Offers, Refused, Taking, TakingState, Variant, View},
    ports::{CartError, Carts, Catalogue, CatalogueAway, NewLine, StoreError, TakeError},
};

/// Shopping with a cart. Clones share it.
#[derive(Clone, Debug)]
pub struct Shopping {
    carts: Arc<dyn Carts>,
    catalogue: Arc<dyn Catalogue>,
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
    CatalogueAway(#[from] CatalogueAway),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Shopping {
    /// Shopping over these carts and that catalogue.
    pub fn new(carts: Arc<dyn Carts>, catalogue: Arc<dyn Catalogue>, ids: Arc<dyn Ids>) -> Self {
        Self { carts, catalogue, ids }
    }

    /// The user's cart with the prices and stock of now; with the last known ones, and nothing called available, while
    /// the catalogue is away.
    pub async fn view(&self, user: UserId) -> Result<View, Error> {
        let contents = self.carts.find(user).await?;
        let products: Vec<_> = contents.cart.products().into_iter().collect();
        let offers = match self.offers(&products).await {
            Ok(offers) => offers,
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "a cart is shown from copies");
                Offers::default()
            }
        };
        contents.view(&offers).map_err(Error::Refused)
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
        match self.offers_with(product, &contents).await {
            Ok(offers) => {
                let line = NewLine { id: LineId::new(self.ids.next()), product, variant, quantity };
                Ok(self.carts.add(contents, &line, &offers, dedup_key).await?)
            }
            Err(error) => self.answered_or(dedup_key, error).await,
        }
    }

    /// Sets the units of a line; the cart afterwards. Fewer units need no catalogue.
    pub async fn change(
        &self,
        user: UserId,
        line: LineId,
        quantity: Quantity,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<View>, Error> {
        let contents = self.carts.find(user).await?;
        let Some(there) = contents.cart.lines.iter().find(|there| there.id == line) else {
            return self.answered_or(dedup_key, Error::NotFound).await;
        };
        match self.offers_with(there.product, &contents).await {
            Ok(offers) => Ok(self.carts.change(user, line, quantity, &offers, dedup_key).await?),
            Err(Error::CatalogueAway(_)) if quantity.get() <= there.quantity.get() => {
                Ok(self.carts.lower(user, line, quantity, dedup_key).await?)
            }
            Err(error) => self.answered_or(dedup_key, error).await,
        }
    }

    /// What a request was answered that was done before, whatever has become of the cart and the catalogue since; else why
    /// it cannot be done.
    async fn answered_or(&self, dedup_key: &DedupKey, error: Error) -> Result<Outcome<View>, Error> {
        self.carts.answered(dedup_key).await?.map(Outcome::Duplicate).ok_or(error)
    }

    /// Removes a line.
    pub async fn remove(&self, user: UserId, line: LineId, dedup_key: &DedupKey) -> Result<Outcome<()>, Error> {
        Ok(self.carts.remove(user, line, dedup_key).await?)
    }

    /// Moves the lines of a user's cart to an order.
    pub async fn take(&self, order: OrderId, user: UserId, dedup_key: &DedupKey) -> Result<Taking, Error> {
        Ok(self.carts.take(order, user, dedup_key).await?.into_inner())
    }

    /// Undoes a taking; its state afterwards.
    pub async fn give_back(&self, order: OrderId, dedup_key: &DedupKey) -> Result<TakingState, Error> {
        Ok(self.carts.give_back(order, dedup_key).await?.into_inner())
    }

    /// Notes that an order stands.
    pub async fn settle(&self, order: OrderId, dedup_key: &DedupKey) -> Result<(), Error> {
        self.carts.settle(order, dedup_key).await?;
        Ok(())
    }

    /// Keeps a copy of a product; carts lose one that left the catalogue.
    pub async fn learn(&self, copy: &Copy, dedup_key: &DedupKey) -> Result<(), Error> {
        self.carts.learn(copy, dedup_key).await?;
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

    /// What the catalogue says about a product that must exist, and about the others in the cart.
    async fn offers_with(&self, product: ProductId, contents: &Contents) -> Result<Offers, Error> {
        let mut products = contents.cart.products();
        products.remove(&product);
        let asked: Vec<_> = std::iter::once(product).chain(products).take(LINES_MAX).collect();
        let offers = self.offers(&asked).await?;
        offers.of(product).ok_or(Error::Refused(Refused::UnknownProduct))?;
        Ok(offers)
    }

    async fn offers(&self, products: &[ProductId]) -> Result<Offers, CatalogueAway> {
        if products.is_empty() { Ok(Offers::default()) } else { self.catalogue.offers(products).await }
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

impl From<TakeError> for Error {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Empty => Self::Empty,
            TakeError::Cancelled => Self::Cancelled,
            TakeError::Store(error) => Self::Store(error),
        }
    }
}
