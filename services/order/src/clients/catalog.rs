//! HTTP client of the catalog service's internal API. Must not contain order logic.

use std::collections::BTreeMap;

use agora_api::catalog as api;
use agora_outbound::{CallError, Client};
use agora_vocab::{CommandId, Money, OrderId, ProductId, Variant};
use async_trait::async_trait;
use serde_json::Value;

use crate::{
    domain::{Product, RequestedLine, Shortage},
    ports::{CallFailed, Catalog, NewHold, Reserving, ReturnedUnits},
};

const CALLEE: &str = "catalog";

/// Calls the catalog service over HTTP; each call has a timeout and retries.
#[derive(Clone, Debug)]
pub struct CatalogClient(pub Client);

#[async_trait]
impl Catalog for CatalogClient {
    async fn quote(&self, products: &[ProductId]) -> Result<Vec<Product>, CallFailed> {
        let body = api::QuoteRequest { product_ids: products.to_vec() };
        let quote: api::Quote = self.0.post(api::routes::QUOTE.path, &body).await.map_err(failed)?;
        let mut variants: BTreeMap<ProductId, BTreeMap<Variant, Option<Money>>> = BTreeMap::new();
        for api::VariantStock { product_id, variant, stock: _, price } in quote.variants {
            variants.entry(product_id).or_default().insert(Variant::stored(variant), price);
        }
        let quoted = |item: api::Product| {
            let variants = variants.remove(&item.id).unwrap_or_default();
            product(item, variants)
        };
        Ok(quote.items.into_iter().map(quoted).collect())
    }

    async fn reserve(&self, command: CommandId, hold: &NewHold) -> Result<Reserving, CallFailed> {
        let NewHold { order, hold, lines, seconds } = hold;
        let lines = lines.iter().map(line).collect();
        let body = api::Reserve { order_id: *order, hold: *hold, lines, seconds: *seconds };
        match self.0.command::<_, api::Reserved>(api::routes::RESERVE.path, command.uuid(), &body).await {
            Ok(_) => Ok(Reserving::Held),
            Err(error) => refused(&error).map(Reserving::Short).ok_or_else(|| failed(error)),
        }
    }

    async fn commit(&self, command: CommandId, order: OrderId, hold: i32) -> Result<bool, CallFailed> {
        let body = api::Hold { order_id: order, hold };
        let answer: Result<api::HoldState, _> = self.0.command(api::routes::COMMIT.path, command.uuid(), &body).await;
        // Only a state says that the reservation is gone: catalog never refuses to commit one.
        Ok(answer.map_err(failed)?.state == "committed")
    }

    async fn take_back(&self, command: CommandId, units: &ReturnedUnits) -> Result<(), CallFailed> {
        let ReturnedUnits { order, hold, id, lines } = units;
        let lines = lines.iter().map(line).collect();
        let body = api::TakeBack { order_id: *order, hold: *hold, return_id: *id, lines };
        let taken: Result<api::TakenBack, _> = self.0.command(api::routes::TAKE_BACK.path, command.uuid(), &body).await;
        taken.map(drop).map_err(failed)
    }

    async fn release(&self, command: CommandId, order: OrderId, hold: i32) -> Result<(), CallFailed> {
        let body = api::Hold { order_id: order, hold };
        let state: Result<api::HoldState, _> = self.0.command(api::routes::RELEASE.path, command.uuid(), &body).await;
        state.map(drop).map_err(failed)
    }
}

/// The shortage that a rejected reservation reports. A released reservation or a deleted product has no available units.
/// `None` if catalog has not decided.
fn refused(error: &CallError) -> Option<Shortage> {
    let CallError::Refused { problem, retry_after: None, .. } = error else { return None };
    if !matches!(problem.code.as_str(), "INSUFFICIENT_QUANTITY" | "CANCELLED" | "VALIDATION_FAILED") {
        return None;
    }
    let number =
        |name| problem.extra.get(name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let product = problem.extra.get("productId").and_then(Value::as_str).and_then(|id| id.parse().ok());
    Some(Shortage { product, requested: number("requested"), available: number("available") })
}

fn product(product: api::Product, variants: BTreeMap<Variant, Option<Money>>) -> Product {
    let api::Product { id, name, price, category, brand, supplier, seller_id, .. } = product;
    Product { id, name, price, brand, category, supplier, seller: seller_id, variants }
}

fn line(RequestedLine { product, variant, quantity }: &RequestedLine) -> api::Line {
    api::Line { product_id: *product, variant: variant.as_str().to_owned(), quantity: quantity.get() }
}

fn failed(error: CallError) -> CallFailed {
    CallFailed { callee: CALLEE, source: error.into() }
}
