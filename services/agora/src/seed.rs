//! Seeds a catalog through the public API only, as an admin. Idempotent: adds the products and variants that are missing.

mod products;
mod words;

use std::{collections::BTreeMap, time::Duration};

use agora_api::{
    Problem,
    catalog::{Import, NewVariant, ProductLine, SetInventory, routes},
};
use agora_chassis::SystemIds;
use agora_vocab::{Currency, Ids as _, ProductId};
use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use products::{Sample, samples};
use reqwest::{Method, StatusCode, header};

use crate::admin_client::{AdminClient, describe};

/// Error codes of the catalog for a variant that exists.
const THERE_ALREADY: [&str; 2] = ["SKU_TAKEN", "NAME_TAKEN"];
/// Error codes of an import that goes on, or can go on, and the pause before it is sent again.
const UNFINISHED: [&str; 2] = ["IMPORT_UNFINISHED", "IMPORT_IN_PROGRESS"];
const TRY_PAUSE: Duration = Duration::from_secs(5);
const TRIES_MAX: u32 = 20;
/// Variants that are added at the same time.
const VARIANTS_AT_ONCE: usize = 8;

/// Adds every sample that does not exist at `url`, as the admin `email` or that of the environment.
pub async fn run(url: &str, email: Option<&str>) -> anyhow::Result<()> {
    let client = AdminClient::log_in(url, email).await?;
    let samples = samples("USD".parse::<Currency>()?)?;
    let ids = ids_by_sku(&client).await?;
    let is_missing = |sample: &&Sample| sample.product.sku.as_ref().is_some_and(|sku| !ids.contains_key(sku));
    let missing: Vec<&ProductLine> = samples.iter().filter(is_missing).map(|sample| &sample.product).collect();
    if !missing.is_empty() {
        import(&client, &missing).await?;
    }
    let ids = if missing.is_empty() { ids } else { ids_by_sku(&client).await? };
    let variants = add_variants(&client, &samples, &ids).await?;
    let (all, new) = (samples.len(), missing.len());
    println!("{all} products: {new} new, {} were there already; {variants} new variants", all - new);
    Ok(())
}

/// The ids of all products that have a stock keeping unit.
async fn ids_by_sku(client: &AdminClient) -> anyhow::Result<BTreeMap<String, ProductId>> {
    let path = format!("{}?format=ndjson", routes::EXPORT_PRODUCTS.path);
    let answer = client.send(Method::GET, &path, |request| request).await?;
    if answer.status() != StatusCode::OK {
        bail!("the export of products failed: {}", describe(answer).await);
    }
    let text = answer.text().await.context("could not read the exported products")?;
    let mut ids = BTreeMap::new();
    for line in text.lines() {
        let ProductLine { id, sku, .. } = serde_json::from_str(line).context("could not parse an exported product")?;
        ids.extend(sku.zip(id));
    }
    Ok(ids)
}

/// Imports products; continues an import that broke off.
async fn import(client: &AdminClient, products: &[&ProductLine]) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for product in products {
        serde_json::to_writer(&mut lines, product)?;
        lines.push(b'\n');
    }
    let path = format!("{}?format=ndjson&importId={}", routes::IMPORT.path, SystemIds.next());
    for _ in 0..TRIES_MAX {
        let send = |request: reqwest::RequestBuilder| {
            request.header(header::CONTENT_TYPE, "application/x-ndjson").body(lines.clone())
        };
        let answer = client.send(Method::POST, &path, send).await?;
        if answer.status() == StatusCode::OK {
            let done: Import = answer.json().await.context("could not parse the result of the import")?;
            return match done.errors.first() {
                None => Ok(()),
                Some(error) => bail!("{} products were rejected, the first one: {}", done.failed, error.reason),
            };
        }
        let problem: Problem = answer.json().await.context("could not parse the error response")?;
        if !UNFINISHED.contains(&problem.code.as_str()) {
            bail!("the import was rejected: {}", problem.detail.unwrap_or(problem.title));
        }
        tokio::time::sleep(TRY_PAUSE).await;
    }
    bail!("the import did not end: try again in a minute")
}

/// Adds the variants that are missing, with their units. Returns how many.
async fn add_variants(
    client: &AdminClient,
    samples: &[Sample],
    ids: &BTreeMap<String, ProductId>,
) -> anyhow::Result<usize> {
    let mut variants = Vec::new();
    for Sample { product, variants: of_product } in samples {
        let id = product.sku.as_ref().and_then(|sku| ids.get(sku));
        let id = id.context("an imported product is not in the export: another admin has removed it")?;
        variants.extend(of_product.iter().map(|(variant, units)| (*id, variant, *units)));
    }
    let add = |(id, variant, units)| add_variant(client, id, variant, units);
    let added: Vec<bool> = stream::iter(variants).map(add).buffer_unordered(VARIANTS_AT_ONCE).try_collect().await?;
    Ok(added.into_iter().filter(|new| *new).count())
}

/// Adds a variant with its units; `false` if it exists.
async fn add_variant(client: &AdminClient, id: ProductId, variant: &NewVariant, units: i64) -> anyhow::Result<bool> {
    let path = routes::CREATE_VARIANT.path_of([&id]);
    let answer = client.send(Method::POST, &path, |request| request.json(variant)).await?;
    match answer.status() {
        StatusCode::CREATED => {}
        StatusCode::CONFLICT => {
            let problem: Problem = answer.json().await.context("could not parse the error response")?;
            if THERE_ALREADY.contains(&problem.code.as_str()) {
                return Ok(false);
            }
            bail!("the variant {} was rejected: {}", variant.name, problem.title);
        }
        _ => bail!("the variant {} was rejected: {}", variant.name, describe(answer).await),
    }
    let body = SetInventory { quantity: Some(units), variant: Some(variant.name.clone()), ..SetInventory::default() };
    let path = routes::ADJUST_STOCK.path_of([&id]);
    let answer = client.send(Method::PUT, &path, |request| request.json(&body)).await?;
    if answer.status() != StatusCode::OK {
        bail!("the stock of the variant {} was rejected: {}", variant.name, describe(answer).await);
    }
    Ok(true)
}
