//! Measures the latency of `POST /orders` under open-loop load. Orders are not paid but cancelled, so that their units are
//! free again.

use anyhow::Context as _;
use serde_json::json;

use crate::{
    Shop, Summary,
    client::Call,
    history::History,
    journey::Purpose,
    load::{AdminLogin, LoadGenerator, LoadProfile, log_in, products},
};

/// Places orders with a load profile; each visitor cancels theirs. The summary does not include the cancellations.
pub async fn place(shop: &Shop, load: &LoadProfile) -> anyhow::Result<Summary> {
    load.checked()?;
    // Without duplicates: a repeated response is cheaper than a new order and would distort the latency.
    let (generator, visitors) = LoadGenerator::prepare(shop, load.shoppers).await?;
    let summary = generator.visit(load, &visitors, |_| Purpose::Order).await;
    Ok(summary.of(&generator.history.records()))
}

/// Adds stock until each product has at least `at_least` units free; returns the number of added units.
pub async fn restock(shop: &Shop, admin: &AdminLogin, at_least: i64) -> anyhow::Result<i64> {
    let token = log_in(shop, &History::default(), &admin.email, admin.password.expose()).await?.token;
    let mut booked = 0;
    for product in products(shop).await? {
        let missing = at_least - product.stock;
        if missing <= 0 {
            continue;
        }
        let call = Call::put(format!("/products/{}/inventory", product.id), json!({ "delta": missing })).bearer(&token);
        let reply = shop.send(&call).await;
        reply.success::<serde_json::Value>().with_context(|| format!("adding stock: {}", reply.describe()))?;
        booked += missing;
    }
    Ok(booked)
}
