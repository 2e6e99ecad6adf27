//! HTTP client of the catalog's internal quote route. Depends on wire types; the use cases handle an unavailable catalog.

use agora_api::catalog as api;
use agora_outbound::Client;
use agora_vocab::ProductId;
use async_trait::async_trait;

use crate::{
    domain::{ProductCopy, QuoteResult, QuotedLine},
    ports::{Catalog, CatalogUnavailable},
};

/// The [`Catalog`] port over HTTP.
#[derive(Clone, Debug)]
pub struct CatalogClient(pub Client);

#[async_trait]
impl Catalog for CatalogClient {
    async fn quote(&self, products: &[ProductId]) -> Result<QuoteResult, CatalogUnavailable> {
        let body = api::QuoteRequest { product_ids: products.to_vec() };
        let quote: api::Quote =
            self.0.post(api::routes::QUOTE.path, &body).await.map_err(|error| CatalogUnavailable(error.into()))?;
        let known = quote.items.into_iter().map(|product| (product.id, Some(quoted(product))));
        let unknown = quote.unknown.into_iter().map(|id| (id, None));
        Ok(QuoteResult(known.chain(unknown).collect()))
    }
}

fn quoted(product: api::Product) -> QuotedLine {
    let api::Product { id, name, price, stock, image_url, version, .. } = product;
    let copy = ProductCopy { product: id, version, name, image_url, price: Some(price), deleted: false };
    QuotedLine { copy, price, stock }
}
