//! Use cases of the search. Depends on the domain and the ports, never on HTTP or SQL.

mod browse_facets;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use agora_vocab::{AssetBase, Ids, ProductId};
use tokio::sync::Notify;
use uuid::Uuid;

use self::browse_facets::BrowseFacets;
use crate::{
    domain::{
        Completion, Cursor, Found, Matches, Product, ProductChange, Progress, QueryText, Search, Start, StockChange,
        Term, correct,
    },
    ports::{Catalog, CatalogUnavailable, Exported, SearchStore, StoreError, Target},
};

/// Runs the use cases. Clones share the same store.
#[derive(Clone, Debug)]
pub struct SearchService {
    store: Arc<dyn SearchStore>,
    catalog: Arc<dyn Catalog>,
    browse_facets: Arc<BrowseFacets>,
    requested: Arc<Notify>,
    /// Whether the index is known to be complete, which it then remains.
    is_complete: Arc<AtomicBool>,
    /// Id of this builder of the index.
    builder: Uuid,
    assets: AssetBase,
}

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The index was never built from the catalog: it would miss products.
    #[error("the index is not built yet")]
    NotBuilt,
    /// The catalog is unavailable, so the index cannot be built.
    #[error(transparent)]
    CatalogUnavailable(#[from] CatalogUnavailable),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SearchService {
    /// Creates the service on these ports; `ids` generates the id by which this process leases builds.
    pub fn new(store: Arc<dyn SearchStore>, catalog: Arc<dyn Catalog>, ids: &dyn Ids) -> Self {
        let (browse_facets, requested, is_complete) = (Arc::default(), Arc::default(), Arc::default());
        Self {
            store,
            catalog,
            browse_facets,
            requested,
            is_complete,
            builder: ids.next(),
            assets: AssetBase::default(),
        }
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

    /// Finds one page of products. Words that no product has are replaced by similar ones. [`Error::NotBuilt`] until the index
    /// was built from the catalog once.
    pub async fn search(&self, search: &Search) -> Result<Found, Error> {
        if !self.is_complete.load(Ordering::Relaxed) {
            if !self.progress().await?.is_complete {
                return Err(Error::NotBuilt);
            }
            self.is_complete.store(true, Ordering::Relaxed);
        }
        match &search.text {
            None => self.browse(search).await,
            Some(text) if text.words().is_empty() => Ok(Found { total: Some(0), ..Found::default() }),
            Some(text) => self.find(text, search).await,
        }
    }

    async fn find(&self, text: &QueryText, search: &Search) -> Result<Found, Error> {
        let terms: Vec<Term> = text.words().iter().map(|word| Term::of(word)).collect();
        let corrections = correct(self.store.check_words(&terms).await?);
        let Matches { total, is_cut, page, facets } = self.store.matches(&text.matching(&corrections), search).await?;
        let ids: Vec<ProductId> = page.iter().map(|(id, _)| *id).collect();
        let mut products = if ids.is_empty() { Vec::new() } else { self.store.find(&ids).await? };
        products.sort_by_key(|product| ids.iter().position(|id| *id == product.id));
        let limit = usize::from(search.limit.get());
        let more = page.len() > limit;
        products.truncate(limit);
        let last = products.last().filter(|_| more);
        let next = last.map(|last| {
            let rank = page.iter().find(|(id, _)| *id == last.id).map_or(0, |(_, rank)| *rank);
            Cursor::after(last, rank, search.sort)
        });
        Ok(Found { products, total: Some(total), is_cut, next, facets, corrected: text.corrected(&corrections) })
    }

    async fn browse(&self, search: &Search) -> Result<Found, Error> {
        let counted = search.facets || matches!(search.start, Start::Offset(_));
        let all = if counted { Some(self.browse_facets.get(&search.filter, &*self.store).await?) } else { None };
        let mut products = self.store.browse(search).await?;
        let limit = usize::from(search.limit.get());
        let more = products.len() > limit;
        products.truncate(limit);
        let next = products.last().filter(|_| more).map(|last: &Product| Cursor::after(last, 0, search.sort));
        let (total, facets) = match all {
            Some(Matches { total, facets, .. }) => (Some(total), if search.facets { facets } else { Vec::new() }),
            None => (None, Vec::new()),
        };
        Ok(Found { products, total, is_cut: false, next, facets, corrected: None })
    }

    /// Returns at most `limit` completions of each kind for a text that is being typed.
    pub async fn complete(&self, text: &QueryText, limit: u16) -> Result<Vec<Completion>, Error> {
        if text.words().is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.store.complete(&text.completing(), limit).await?)
    }

    /// Stores changes in the index; older ones than the stored have no effect. Idempotent.
    pub async fn store(&self, products: &[ProductChange], stock: &[StockChange]) -> Result<(), Error> {
        if !products.is_empty() {
            self.store.store_products(products, Target::Current).await?;
        }
        if !stock.is_empty() {
            self.store.store_stock(stock, Target::Current).await?;
        }
        Ok(())
    }

    /// Begins to build the index from the catalog, unless it is being built, and returns the progress. The worker builds;
    /// searches read the present index meanwhile.
    pub async fn request_rebuild(&self) -> Result<Progress, Error> {
        self.store.begin().await?;
        self.requested.notify_one();
        self.progress().await
    }

    /// Returns how far the newest generation of the index is built.
    pub async fn progress(&self) -> Result<Progress, Error> {
        Ok(self.store.progress().await?)
    }

    /// Waits until this process is asked to rebuild the index.
    pub async fn rebuild_requested(&self) {
        self.requested.notified().await;
    }

    /// Begins a build if the index was never built from the catalog.
    pub async fn ensure_built(&self) -> Result<(), Error> {
        if !self.progress().await?.is_complete {
            self.store.begin().await?;
        }
        Ok(())
    }

    /// Builds the generation that is under way, if no other process does: stores every product of the catalog in it and then
    /// makes it the one that searches read. Returns whether it did.
    ///
    /// Events are stored in both generations from the beginning of the build on, and the catalog is read after it: the new
    /// generation has at its end, of each product, at least the version that the present one has.
    pub async fn build(&self) -> Result<bool, Error> {
        let Some(mut build) = self.store.lease(self.builder).await? else { return Ok(false) };
        let target = Target::Generation(build.generation);
        loop {
            let exported = self.catalog.export(build.last).await?;
            let Some(last) = exported.last().map(|exported| exported.product.id) else { break };
            let count = exported.len();
            let (products, stock): (Vec<_>, Vec<_>) = exported
                .into_iter()
                .map(|Exported { product, stock }| (ProductChange::Stored(Box::new(product)), stock))
                .unzip();
            self.store.store_products(&products, target).await?;
            self.store.store_stock(&stock.concat(), target).await?;
            if !self.store.save(build, self.builder, count, last).await? {
                return Ok(false);
            }
            build.last = Some(last);
        }
        let finished = self.store.finish(build, self.builder).await?;
        if finished {
            self.browse_facets.clear();
        }
        Ok(finished)
    }

    /// Deletes what searches no longer read. Returns how many rows were deleted.
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
