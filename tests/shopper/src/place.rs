//! Measures the latency of `POST /orders` under open-loop load. Orders are not paid, and are cancelled afterwards, so
//! that their units are free again.

use std::collections::BTreeMap;

use agora_vocab::{OrderId, UserId};
use anyhow::{Context, bail};
use futures::StreamExt as _;
use serde_json::json;

use crate::{
    Shop, Summary,
    client::Call,
    history::{Action, History, Outcome},
    journey::Purpose,
    load::{AdminLogin, LoadGenerator, LoadProfile, log_in, products},
};

const CANCELS_AT_ONCE: usize = 4;

/// Places orders with a load profile, then cancels them. The summary does not include the cancellations.
pub async fn place(shop: &Shop, load: &LoadProfile) -> anyhow::Result<Summary> {
    load.checked()?;
    // Without duplicates: a repeated response is cheaper than a new order and would distort the latency.
    let (generator, visitors) = LoadGenerator::prepare(shop, load.shoppers).await?;
    let summary = generator.visit(load, &visitors, |_| Purpose::Order).await;
    let records = generator.history.records();
    let tokens: BTreeMap<UserId, &str> =
        visitors.iter().map(|visitor| (visitor.user, visitor.token.as_str())).collect();
    let made = records.iter().filter(|record| record.action == Action::Order && record.outcome == Outcome::Ok);
    let made = made.filter_map(|record| Some((record.order?, *tokens.get(&record.user?)?)));
    let refused = futures::stream::iter(made.map(|(order, token)| cancel(shop, order, token)));
    let refused = refused.buffer_unordered(CANCELS_AT_ONCE);
    let refused = refused.filter(|done| std::future::ready(!done)).count().await;
    if refused > 0 {
        bail!("{refused} orders could not be cancelled; they expire after their payment deadline");
    }
    Ok(summary.of(&records))
}

async fn cancel(shop: &Shop, order: OrderId, token: &str) -> bool {
    shop.send(&Call::delete(format!("/orders/{order}")).bearer(token)).await.status() == Some(200)
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
