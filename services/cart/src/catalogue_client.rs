//! The catalogue's quotes over HTTP. Knows its wire types; what an absent catalogue means is for the use cases to say.

use agora_api::catalog as api;
use agora_outbound::Client;
use agora_vocab::ProductId;
use async_trait::async_trait;

use crate::{
    domain::{Copy, Offer, Offers},
    ports::{Catalogue, CatalogueAway},
};

/// The catalogue's internal port.
#[derive(Clone, Debug)]
pub struct CatalogueClient(pub Client);

#[async_trait]
impl Catalogue for CatalogueClient {
    async fn offers(&self, products: &[ProductId]) -> Result<Offers, CatalogueAway> {
        let body = api::QuoteRequest { product_ids: products.to_vec() };
        let quote: api::Quote =
            self.0.post("/internal/v1/quote", &body).await.map_err(|error| CatalogueAway(error.into()))?;
        let known = quote.items.into_iter().map(|product| (product.id, Some(offer(product))));
        let unknown = quote.unknown.into_iter().map(|id| (id, None));
        Ok(Offers(known.chain(unknown).collect()))
    }
}

fn offer(product: api::Product) -> Offer {
    let api::Product { id, name, price, stock, image_url, version, .. } = product;
    let copy = Copy { product: id, version, name, image_url, price: Some(price), deleted: false };
    Offer { copy, price, stock }
}
