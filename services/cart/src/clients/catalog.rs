//! HTTP client of the catalog's internal quote route. Depends on wire types; the use cases handle an unavailable catalog.

use std::collections::BTreeMap;

use agora_api::catalog as api;
use agora_outbound::Client;
use agora_vocab::{Epoch, ProductId, Variant};
use async_trait::async_trait;

use crate::{
    domain::{ProductCopy, QuoteResult, QuotedLine, QuotedVariant},
    ports::{Catalog, CatalogUnavailable},
};

/// The [`Catalog`] port over HTTP.
#[derive(Clone, Debug)]
pub struct CatalogClient {
    pub client: Client,
    /// The recovery epoch of the shop, and so of what the catalog answers.
    pub epoch: Epoch,
}

#[async_trait]
impl Catalog for CatalogClient {
    async fn quote(&self, products: &[ProductId]) -> Result<QuoteResult, CatalogUnavailable> {
        let body = api::QuoteRequest { product_ids: products.to_vec() };
        let quote: api::Quote =
            self.client.post(api::routes::QUOTE.path, &body).await.map_err(|error| CatalogUnavailable(error.into()))?;
        let mut variants: BTreeMap<ProductId, BTreeMap<Variant, QuotedVariant>> = BTreeMap::new();
        for api::VariantStock { product_id, variant, stock, price } in quote.variants {
            let quoted = QuotedVariant { stock, price };
            variants.entry(product_id).or_default().insert(Variant::stored(variant), quoted);
        }
        let known = quote.items.into_iter().map(|product| {
            let variants = variants.remove(&product.id).unwrap_or_default();
            (product.id, Some(quoted(product, self.epoch, variants)))
        });
        let unknown = quote.unknown.into_iter().map(|id| (id, None));
        Ok(QuoteResult(known.chain(unknown).collect()))
    }
}

fn quoted(product: api::Product, epoch: Epoch, variants: BTreeMap<Variant, QuotedVariant>) -> QuotedLine {
    let api::Product { id, name, price, stock, image_url, version, .. } = product;
    let copy = ProductCopy {
        product: id,
        epoch,
        version,
        name,
        image_url,
        price: Some(price),
        variant_prices: QuotedVariant::own_prices(&variants),
        deleted: false,
    };
    QuotedLine { copy, price, stock, variants }
}
