//! What can be asked of the catalog. Knows ports and domain; neither HTTP nor SQL.

use std::sync::Arc;

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Ids, ProductId, SellerId};
use time::OffsetDateTime;

use crate::{
    domain::{
        Adjustment, Change, Details, Expected, Found, Hold, HoldState, Lines, Listed, Listing, Product, Reservation,
        Seconds, Shortage, StockLocation,
    },
    ports::{AdjustError, ProductError, Products, Stock, StoreError},
};

/// The catalog. Clones share it.
#[derive(Clone, Debug)]
pub struct CatalogService {
    products: Arc<dyn Products>,
    stock: Arc<dyn Stock>,
    ids: Arc<dyn Ids>,
}

/// Which products exist and which do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteResult {
    /// Those that exist, in the order asked for.
    pub known: Vec<Listed>,
    /// Those that do not, or no more.
    pub unknown: Vec<ProductId>,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The product is unknown or deleted.
    #[error("there is no such product")]
    NotFound,
    /// The writer did not say which version he saw.
    #[error("the version is needed")]
    VersionNeeded,
    /// Some lines cannot be held; at least one is named.
    #[error("the stock does not suffice")]
    Short(Vec<Shortage>),
    /// The hold was undone, or ran out, before it was asked for.
    #[error("the hold was cancelled before it came")]
    Cancelled,
    /// The product was not written.
    #[error(transparent)]
    Product(ProductError),
    /// The stock was not adjusted.
    #[error(transparent)]
    Adjust(AdjustError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CatalogService {
    /// A catalog over these stores.
    pub fn new(products: Arc<dyn Products>, stock: Arc<dyn Stock>, ids: Arc<dyn Ids>) -> Self {
        Self { products, stock, ids }
    }

    /// A page of products.
    pub async fn list(&self, listing: &Listing) -> Result<Found, Error> {
        Ok(self.products.page(listing).await?)
    }

    /// A product.
    pub async fn get(&self, id: ProductId) -> Result<Listed, Error> {
        self.products.find(id).await?.ok_or(Error::NotFound)
    }

    /// Which of these products exist, with price and stock.
    pub async fn quote(&self, ids: &[ProductId]) -> Result<QuoteResult, Error> {
        let mut found = self.products.many(ids).await?;
        let position = |id: ProductId| ids.iter().position(|asked| *asked == id);
        found.sort_by_key(|listed| position(listed.product.id));
        let unknown = ids.iter().filter(|id| found.iter().all(|listed| listed.product.id != **id)).copied().collect();
        Ok(QuoteResult { known: found, unknown })
    }

    /// Brings a product into the catalog, with units in the main warehouse.
    pub async fn create(&self, details: Details, units: i64, dedup_key: &DedupKey) -> Result<Outcome<Listed>, Error> {
        let product = Product {
            id: ProductId::new(self.ids.next()),
            seller: SellerId::HOUSE,
            version: 1,
            details,
            // The store writes its own times.
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        };
        self.products.add(&product, units, dedup_key).await.map_err(Error::from)
    }

    /// Changes fields of a product; the writer must say which version he saw.
    pub async fn change(
        &self,
        id: ProductId,
        expected: &Expected,
        change: &Change,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, Error> {
        if !expected.is_given() {
            return Err(Error::VersionNeeded);
        }
        self.products.change(id, expected, change, dedup_key).await.map_err(Error::from)
    }

    /// Takes a product out of the catalog.
    pub async fn delete(&self, id: ProductId, expected: &Expected, dedup_key: &DedupKey) -> Result<Outcome<()>, Error> {
        self.products.remove(id, expected, dedup_key).await.map_err(Error::from)
    }

    /// Sets or adds units on hand at one place.
    pub async fn adjust(
        &self,
        location: &StockLocation,
        by: Adjustment,
        actor: &str,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, Error> {
        self.stock.adjust(location, by, actor, dedup_key).await.map_err(Error::from)
    }

    /// Holds every line or none; when the hold ends.
    pub async fn reserve(
        &self,
        hold: Hold,
        lines: &Lines,
        seconds: Seconds,
        dedup_key: &DedupKey,
    ) -> Result<OffsetDateTime, Error> {
        match self.stock.reserve(hold, lines, seconds, dedup_key).await?.into_inner() {
            Reservation::Held(until) => Ok(until),
            Reservation::Short(shortages) => Err(Error::Short(shortages)),
            Reservation::Cancelled => Err(Error::Cancelled),
        }
    }

    /// Sells what a hold holds; its state afterwards.
    pub async fn commit(&self, hold: Hold, dedup_key: &DedupKey) -> Result<HoldState, Error> {
        Ok(self.stock.commit(hold, dedup_key).await?.into_inner())
    }

    /// Undoes a hold; its state afterwards.
    pub async fn release(&self, hold: Hold, dedup_key: &DedupKey) -> Result<HoldState, Error> {
        Ok(self.stock.release(hold, dedup_key).await?.into_inner())
    }

    /// Ends every hold that has run out, one transaction each; how many.
    pub async fn expire(&self) -> Result<u32, Error> {
        let mut ended = 0;
        while let Some(hold) = self.stock.expire_one().await? {
            tracing::info!(order.id = %hold.order, hold = hold.number, "a hold ran out");
            ended += 1;
        }
        Ok(ended)
    }

    /// Forgets holds that ended long ago without a sale; how many.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            match self.stock.sweep().await? {
                0 => return Ok(forgotten),
                some => forgotten += some,
            }
        }
    }
}

impl From<ProductError> for Error {
    fn from(error: ProductError) -> Self {
        match error {
            ProductError::NotFound => Self::NotFound,
            ProductError::Store(error) => Self::Store(error),
            error => Self::Product(error),
        }
    }
}

impl From<AdjustError> for Error {
    fn from(error: AdjustError) -> Self {
        match error {
            AdjustError::NotFound => Self::NotFound,
            AdjustError::Store(error) => Self::Store(error),
            error => Self::Adjust(error),
        }
    }
}
