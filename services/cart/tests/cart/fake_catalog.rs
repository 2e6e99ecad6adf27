//! The catalog as the cart sees it, in memory. Must not depend on the cart's store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agora_cart::{
    domain::{ProductCopy, QuoteResult, QuotedLine, QuotedVariant},
    ports::{Catalog, CatalogUnavailable},
};
use agora_vocab::{Epoch, Money, ProductId, Variant};
use async_trait::async_trait;

/// Products that the catalog quotes at once.
const PRODUCTS_MAX: usize = 100;

/// A catalog that quotes the products added by [`FakeCatalog::list_product`].
#[derive(Clone, Debug, Default)]
pub struct FakeCatalog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    products: BTreeMap<ProductId, QuotedLine>,
    unavailable: bool,
}

impl FakeCatalog {
    /// Adds a product or replaces it; its name contains the version.
    pub fn list_product(&self, product: ProductId, version: i64, price: Money, stock: i64) {
        let copy = ProductCopy {
            product,
            epoch: Epoch(0),
            version,
            name: format!("Chair {version}"),
            image_url: Some("https://example.com/chair.png".into()),
            price: Some(price),
            variant_prices: BTreeMap::new(),
            deleted: false,
        };
        self.lock().products.insert(product, QuotedLine { copy, price, stock, variants: BTreeMap::new() });
    }

    /// Adds a variant with this stock, out of the product's stock, and with its own price or none, or replaces it.
    pub fn list_variant(&self, product: ProductId, variant: &str, stock: i64, price: Option<Money>) {
        if let Some(quoted) = self.lock().products.get_mut(&product) {
            let listed = QuotedVariant { stock, price };
            quoted.variants.insert(Variant::stored(variant.to_owned()), listed);
            quoted.copy.variant_prices = QuotedVariant::own_prices(&quoted.variants);
        }
    }

    /// The price of a listed product.
    pub fn price_of(&self, product: ProductId) -> Money {
        self.lock().products[&product].price
    }

    /// Removes a product.
    pub fn withdraw(&self, product: ProductId) {
        self.lock().products.remove(&product);
    }

    /// Rejects every quote from now on.
    pub fn stop(&self) {
        self.lock().unavailable = true;
    }

    /// Answers every quote from now on.
    pub fn resume(&self) {
        self.lock().unavailable = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Catalog for FakeCatalog {
    async fn quote(&self, products: &[ProductId]) -> Result<QuoteResult, CatalogUnavailable> {
        assert!(products.len() <= PRODUCTS_MAX, "{} products", products.len());
        let State { products: known, unavailable } = &*self.lock();
        if *unavailable {
            return Err(CatalogUnavailable("the fake catalog is stopped".into()));
        }
        Ok(QuoteResult(products.iter().map(|id| (*id, known.get(id).cloned())).collect()))
    }
}
