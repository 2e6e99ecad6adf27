//! Seeds a catalog through the public API only, as an admin. Idempotent: adds the products that are missing.

mod catalog;

use std::io::{IsTerminal as _, Write as _, stderr};

use agora_api::{Problem, catalog::NewProduct};
use agora_vocab::{Currency, Money};
use anyhow::{Context as _, bail};
use catalog::{PRODUCTS, Row};
use reqwest::{Method, StatusCode};

use crate::admin_client::{AdminClient, describe};

/// Error code of the catalog for a product whose SKU exists.
const THERE_ALREADY: &str = "SKU_TAKEN";

/// Adds every product that does not exist at `url`.
pub async fn run(url: &str) -> anyhow::Result<()> {
    let client = AdminClient::log_in(url).await?;
    let mut new = 0;
    for (done, row) in PRODUCTS.iter().enumerate() {
        new += usize::from(add(&client, row).await.with_context(|| format!("adding {} ({})", row.name, row.sku))?);
        progress(done + 1);
    }
    println!("{} products: {new} new, {} were there already", PRODUCTS.len(), PRODUCTS.len() - new);
    Ok(())
}

/// Prints progress on a single line if stderr is a terminal.
fn progress(done: usize) {
    if stderr().is_terminal() {
        let end = if done == PRODUCTS.len() { "\n" } else { "" };
        eprint!("\r{done}/{} products{end}", PRODUCTS.len());
        // Progress output is optional, so an error is ignored.
        let _ = stderr().flush();
    }
}

/// Adds a product; `false` if its SKU exists.
async fn add(client: &AdminClient, row: &Row) -> anyhow::Result<bool> {
    let product = product(row)?;
    let answer = client.send(Method::POST, "/api/v1/products", |request| request.json(&product)).await?;
    match answer.status() {
        StatusCode::CREATED => Ok(true),
        StatusCode::CONFLICT => {
            let problem: Problem = answer.json().await.context("could not parse the error response")?;
            if problem.code == THERE_ALREADY { Ok(false) } else { bail!("rejected: {}", problem.title) }
        }
        _ => bail!("{}", describe(answer).await),
    }
}

fn product(row: &Row) -> anyhow::Result<NewProduct> {
    let Row { sku, name, description, cents, stock, category, brand, supplier } = *row;
    Ok(NewProduct {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        sku: Some(sku.to_owned()),
        price: Money::new(cents, Currency::EUR)?,
        stock: Some(stock),
        category: Some(category.to_owned()),
        brand: Some(brand.to_owned()),
        supplier: Some(supplier.to_owned()),
        image_url: None,
    })
}
