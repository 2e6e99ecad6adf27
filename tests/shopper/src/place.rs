//! Orders alone, at a rate that does not wait for the shop: how long `POST /orders` takes. Nothing is paid, and every
//! order is cancelled afterwards, so that its units are free and no expiry comes later.

use std::collections::BTreeMap;

use agora_vocab::{OrderId, UserId};
use anyhow::{Context, bail};
use futures::StreamExt as _;
use serde_json::json;

use crate::{
    Shop, Summary,
    buy::nonce,
    client::Call,
    history::{Action, History, Outcome},
    journey::{Purpose, choices},
    load::{AdminLogin, Crowd, Load, enter_all, log_in, products},
};

const CANCELS_AT_ONCE: usize = 4;

/// Places orders as the load says, and cancels them; the summary is of the time before the first cancel.
pub async fn place(shop: &Shop, load: &Load) -> anyhow::Result<Summary> {
    load.checked()?;
    let (history, name) = (History::default(), nonce());
    let products = choices(&products(shop).await?);
    if products.is_empty() {
        bail!("no product has stock; fill the shop with `agora seed` first");
    }
    let visitors = enter_all(shop, &history, &name, load.shoppers).await?;
    let crowd = Crowd {
        shop: shop.clone(),
        history: history.clone(),
        products: products.into(),
        admin: None,
        // An answer given again costs less than a new one.
        nervous_percent: 0,
        name,
    };
    let summary = crowd.visit(load, &visitors, |_| Purpose::Order).await;
    let records = history.records();
    let tokens: BTreeMap<UserId, &str> =
        visitors.iter().map(|visitor| (visitor.user, visitor.token.as_str())).collect();
    let made = records.iter().filter(|record| record.action == Action::Order && record.outcome == Outcome::Ok);
    let made = made.filter_map(|record| Some((record.order?, *tokens.get(&record.user?)?)));
    let refused = futures::stream::iter(made.map(|(order, token)| cancel(shop, order, token)));
    let refused = refused.buffer_unordered(CANCELS_AT_ONCE);
    let refused = refused.filter(|done| std::future::ready(!done)).count().await;
    if refused > 0 {
        bail!("{refused} orders could not be cancelled; they expire in their time");
    }
    Ok(summary.of(&records))
}

async fn cancel(shop: &Shop, order: OrderId, token: &str) -> bool {
    shop.send(&Call::delete(format!("/orders/{order}")).by(token)).await.status() == Some(200)
}

/// Books units in until each product has at least so many free; how many were booked.
pub async fn restock(shop: &Shop, admin: &AdminLogin, at_least: i64) -> anyhow::Result<i64> {
    let token = log_in(shop, &History::default(), &admin.email, admin.password.expose()).await?.token;
    let mut booked = 0;
    for product in products(shop).await? {
        let missing = at_least - product.stock;
        if missing <= 0 {
            continue;
        }
        let call = Call::put(format!("/products/{}/inventory", product.id), json!({ "delta": missing })).by(&token);
        let reply = shop.send(&call).await;
        reply.success::<serde_json::Value>().with_context(|| format!("booking stock in: {}", reply.describe()))?;
        booked += missing;
    }
    Ok(booked)
}
