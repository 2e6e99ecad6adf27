//! Use cases of the catalog. Depends on the domain and the ports, never on HTTP or SQL.

mod imports;
mod terms;
mod variants;

use std::{collections::BTreeMap, sync::Arc};

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{AssetBase, Currency, Ids, ProductId, PromotionId, ReturnId, SellerId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{
        Adjustment, Campaign, Change, Details, Expected, Exported, Hold, HoldState, Language, Languages, Lines, Listed,
        Listing, Product, ProductPage, Quoted, Reservation, Seconds, Shortage, StockLocation,
    },
    ports::{AdjustError, CatalogStore, NamedError, ProductCache, ProductError, StoreError},
};

pub use self::imports::ImportError;

/// Runs the use cases. Clones share the same store.
#[derive(Clone, Debug)]
pub struct CatalogService {
    store: Arc<dyn CatalogStore>,
    ids: Arc<dyn Ids>,
    cache: Option<Arc<dyn ProductCache>>,
    /// The language of the products' own names and descriptions.
    language: Language,
    assets: AssetBase,
}

/// The result of a quote for a list of product ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteResult {
    /// Products that exist, in the order of the requested ids.
    pub known: Vec<Quoted>,
    /// Ids of products that do not exist or are deleted.
    pub unknown: Vec<ProductId>,
}

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the request names does not exist or is deleted.
    #[error("not found")]
    NotFound,
    /// The request carries neither `If-Match` nor a version.
    #[error("version required")]
    VersionNeeded,
    /// Stock is insufficient for at least one line; every such line is listed.
    #[error("insufficient stock")]
    Short(Vec<Shortage>),
    /// The hold was released or expired before the reserve command arrived.
    #[error("hold already released or expired")]
    Cancelled,
    /// The store rejected the change of the product.
    #[error(transparent)]
    Product(ProductError),
    /// The store rejected the stock adjustment.
    #[error(transparent)]
    Adjust(AdjustError),
    /// The store rejected the change of the term, the warehouse or the variant.
    #[error(transparent)]
    Named(NamedError),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CatalogService {
    /// Creates the service on this store; `ids` generates the ids of new products.
    pub fn new(store: Arc<dyn CatalogStore>, ids: Arc<dyn Ids>) -> Self {
        Self { store, ids, cache: None, language: Language::default(), assets: AssetBase::default() }
    }

    /// Reads single products through a cache, from which the store must drop what it changes.
    #[must_use]
    pub fn with_cache(self, cache: Arc<dyn ProductCache>) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// Sets the language of the products' own names and descriptions; English by default.
    #[must_use]
    pub fn with_language(self, language: Language) -> Self {
        Self { language, ..self }
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

    /// The language of the products' own names and descriptions.
    pub const fn language(&self) -> &Language {
        &self.language
    }

    /// Drops everything that is cached if some changed products could not be dropped.
    pub async fn flush_cache(&self) {
        if let Some(cache) = &self.cache {
            cache.flush().await;
        }
    }

    /// Returns one page of products, with the translations among which a client with these languages chooses, and the prices
    /// in its currency.
    pub async fn list(
        &self,
        listing: &Listing,
        languages: &Languages,
        currency: Option<Currency>,
    ) -> Result<ProductPage, Error> {
        let mut page = self.store.page(listing).await?;
        self.add_localized(&mut page.items, languages, currency).await?;
        Ok(page)
    }

    /// Returns the existing products among `ids`, in the order of the ids, as one page like those of [`list`](Self::list).
    pub async fn list_by_ids(
        &self,
        ids: &[ProductId],
        languages: &Languages,
        currency: Option<Currency>,
    ) -> Result<ProductPage, Error> {
        let mut items = self.many(ids).await?;
        self.add_localized(&mut items, languages, currency).await?;
        Ok(ProductPage { items, total: None, next: None, terms: BTreeMap::new() })
    }

    /// Reads the translations among which a client with these languages chooses, and the prices in its currency.
    async fn add_localized(
        &self,
        items: &mut [Listed],
        languages: &Languages,
        currency: Option<Currency>,
    ) -> Result<(), Error> {
        if items.is_empty() {
            return Ok(());
        }
        let ids: Vec<ProductId> = items.iter().map(|listed| listed.product.id).collect();
        let wanted = languages.wanted(&self.language);
        if !wanted.is_empty() {
            let mut translations = self.store.translations(&ids, &wanted).await?;
            for Listed { product, .. } in &mut *items {
                product.details.translations = translations.remove(&product.id).unwrap_or_default();
            }
        }
        if let Some(currency) = currency {
            let mut prices = self.store.prices(&ids, currency).await?;
            for Listed { product, .. } in items {
                product.details.prices = prices.remove(&product.id).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Returns a product, or [`Error::NotFound`] if it does not exist or is deleted.
    pub async fn get(&self, id: ProductId) -> Result<Listed, Error> {
        let found = match &self.cache {
            Some(cache) => cache.get_or_load(id, self.store.find(id)).await?,
            None => self.store.find(id).await?,
        };
        found.ok_or(Error::NotFound)
    }

    /// Returns the existing products among `ids`, in the order of the ids.
    pub async fn many(&self, ids: &[ProductId]) -> Result<Vec<Listed>, Error> {
        let mut found = self.store.many(ids).await?;
        found.sort_by_key(|listed| position(ids, listed.product.id));
        Ok(found)
    }

    /// Returns some hundreds of the existing products in the order of their ids after `after`; none at the end.
    pub async fn export(&self, after: Option<ProductId>) -> Result<Vec<Exported>, Error> {
        Ok(self.store.export(after).await?)
    }

    /// Splits `ids` into existing products, with price, stock and variants, and unknown ids.
    pub async fn quote(&self, ids: &[ProductId]) -> Result<QuoteResult, Error> {
        let mut known = self.store.quote(ids).await?;
        known.sort_by_key(|quoted| position(ids, quoted.listed.product.id));
        let is_known = |id: ProductId| known.iter().any(|quoted| quoted.listed.product.id == id);
        let unknown = ids.iter().copied().filter(|id| !is_known(*id)).collect();
        Ok(QuoteResult { known, unknown })
    }

    /// Creates a product with `units` in the main warehouse. A duplicate of `dedup_key` returns the first result.
    pub async fn create(&self, details: Details, units: i64, dedup_key: &DedupKey) -> Result<Outcome<Listed>, Error> {
        let product = Product {
            id: ProductId::new(self.ids.next()),
            seller: SellerId::HOUSE,
            version: 1,
            details,
            // The store replaces both times with the database's clock.
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        };
        self.store.add(&product, units, dedup_key).await.map_err(Error::from)
    }

    /// Changes fields of a product. Requires the version that the client has read.
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
        self.store.change(id, expected, change, dedup_key).await.map_err(Error::from)
    }

    /// Deletes a product; existing orders and holds keep it.
    pub async fn delete(&self, id: ProductId, expected: &Expected, dedup_key: &DedupKey) -> Result<Outcome<()>, Error> {
        self.store.remove(id, expected, dedup_key).await.map_err(Error::from)
    }

    /// Sets or adds units on hand at one stock location; `actor` is written to the ledger.
    pub async fn adjust(
        &self,
        location: &StockLocation,
        by: Adjustment,
        actor: &str,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Listed>, Error> {
        self.store.adjust(location, by, actor, dedup_key).await.map_err(Error::from)
    }

    /// Reserves every line or none. Returns when the hold expires. `message`: id of the command, the same in a duplicate.
    pub async fn reserve(
        &self,
        hold: Hold,
        lines: &Lines,
        seconds: Seconds,
        message: Uuid,
    ) -> Result<OffsetDateTime, Error> {
        match self.store.reserve(hold, lines, seconds, message).await?.into_inner() {
            Reservation::Held(until) => Ok(until),
            Reservation::Short(shortages) => Err(Error::Short(shortages)),
            Reservation::Cancelled => Err(Error::Cancelled),
        }
    }

    /// Commits a hold: its units are sold. Returns the hold's state afterwards; a no-op unless it is held.
    pub async fn commit(&self, hold: Hold, message: Uuid) -> Result<HoldState, Error> {
        Ok(self.store.commit(hold, message).await?.into_inner())
    }

    /// Releases a hold and returns its state afterwards. Idempotent; an unknown hold becomes a tombstone.
    pub async fn release(&self, hold: Hold, message: Uuid) -> Result<HoldState, Error> {
        Ok(self.store.release(hold, message).await?.into_inner())
    }

    /// Puts returned units of a committed hold back into stock; idempotent by return. Returns their number.
    pub async fn take_back(&self, hold: Hold, id: ReturnId, lines: &Lines) -> Result<i64, Error> {
        Ok(self.store.take_back(hold, id, lines).await?.into_inner())
    }

    /// Returns the states of the existing holds among `holds`.
    pub async fn hold_states(&self, holds: &[Hold]) -> Result<BTreeMap<Hold, HoldState>, Error> {
        Ok(self.store.hold_states(holds).await?)
    }

    /// Ends every expired hold, one transaction each. Returns how many were ended.
    pub async fn expire(&self) -> Result<u32, Error> {
        let mut ended = 0;
        while let Some(hold) = self.store.expire_one().await? {
            tracing::info!(order.id = %hold.order, hold = hold.number, "hold expired, its units are available again");
            ended += 1;
        }
        Ok(ended)
    }

    /// Starts the next promotion if it is due. Returns the number of its products; 0 if none was started.
    pub async fn start_promotion(&self, campaign: &Campaign) -> Result<usize, Error> {
        let started = self.store.start_promotion(PromotionId::new(self.ids.next()), campaign).await;
        match &started {
            Ok(0) => {}
            Ok(products) => {
                let products = u32::try_from(*products).unwrap_or(u32::MAX);
                metrics::counter!("promotional_events_total").increment(1);
                metrics::histogram!("promotional_events_batch_size").record(f64::from(products));
            }
            Err(_) => metrics::counter!("promotional_events_errors_total").increment(1),
        }
        Ok(started?)
    }

    /// Deletes holds that ended without a sale more than 30 days ago. Returns how many were deleted.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            match self.store.sweep().await? {
                0 => return Ok(deleted),
                batch => deleted += batch,
            }
        }
    }
}

fn position(ids: &[ProductId], id: ProductId) -> Option<usize> {
    ids.iter().position(|asked| *asked == id)
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

impl From<NamedError> for Error {
    fn from(error: NamedError) -> Self {
        match error {
            NamedError::NotFound => Self::NotFound,
            NamedError::Store(error) => Self::Store(error),
            error => Self::Named(error),
        }
    }
}
