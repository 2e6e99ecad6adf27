//! A rush: many buyers order few units at the same moment. Counts sales and rejections and measures the time until the
//! last final response.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use agora_api::{catalog::Product, order::Order};
use agora_vocab::ProductId;
use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::json;
use tokio::{sync::Barrier, task::JoinSet};

use crate::{
    Shop,
    buy::{address, nonce},
    client::{Call, Reply},
    history::History,
    journey::Visitor,
    load::{AdminLogin, SHOPPERS_MAX, log_in, register_all},
};

/// Time limit per buyer; later responses count as `other`.
const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
const SHORT: &str = "INSUFFICIENT_QUANTITY";

/// Result of a rush.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RushResult {
    /// Number of buyers; each orders one unit.
    pub buyers: u32,
    /// Units in stock before the rush.
    pub units: u32,
    /// Orders that ended `paid`.
    pub sold: usize,
    /// Buyers who were rejected with 409 `INSUFFICIENT_QUANTITY` or whose order ended `rejected`.
    pub too_late: usize,
    /// Counts of all other outcomes, by description.
    pub other: BTreeMap<String, usize>,
    /// Milliseconds from the common start until half of the buyers had a final response.
    pub p50_ms: f64,
    /// Milliseconds until the last buyer had a final response.
    pub last_ms: f64,
    /// Units in stock after the rush; -1 if the product could not be read.
    pub left: i64,
}

impl RushResult {
    /// Whether exactly `units` orders were paid and every other buyer was rejected as sold out.
    pub fn is_correct(&self) -> bool {
        let (buyers, units) = (self.buyers as usize, self.units as usize);
        self.sold == units.min(buyers) && self.sold + self.too_late == buyers && self.left == 0 && self.other.is_empty()
    }
}

/// Final outcome for one buyer.
pub(crate) enum BuyerOutcome {
    Paid,
    TooLate,
    Other(String),
}

/// Registers the buyers, creates a product with `units` units, starts all orders at once, and deletes the product.
pub async fn rush(shop: &Shop, admin: &AdminLogin, buyers: u32, units: u32) -> anyhow::Result<RushResult> {
    if buyers == 0 || buyers > SHOPPERS_MAX {
        bail!("--buyers must be between 1 and {SHOPPERS_MAX}");
    }
    let (history, name) = (History::default(), nonce());
    let visitors = register_all(shop, &history, &name, buyers).await?;
    let admin = log_in(shop, &history, &admin.email, admin.password.expose()).await?;
    let price = json!({ "amount": 999, "currency": "EUR" });
    let new = json!({ "name": "Rush", "sku": format!("RUSH-{}", &name[..8]), "price": price, "stock": units });
    let reply = shop.send(&Call::post("/products", new).bearer(&admin.token).idempotency_key(name.clone())).await;
    let product: Product = reply.success().with_context(|| format!("creating the product: {}", reply.describe()))?;
    let ends = all_at_once(shop, visitors, product.id, &name).await;
    let left = shop.send(&Call::get(format!("/products/{}", product.id))).await.success::<Product>();
    let gone = Call::delete(format!("/products/{}", product.id)).bearer(&admin.token).if_match_any();
    let gone = shop.send(&gone).await;
    if gone.status() != Some(204) {
        eprintln!("the product could not be deleted and stays on sale: {}", gone.describe());
    }
    let left = left.map_or(-1, |product| product.stock);
    Ok(summed(ends, RushResult { buyers, units, left, ..RushResult::default() }))
}

async fn all_at_once(
    shop: &Shop,
    visitors: Vec<Visitor>,
    product: ProductId,
    name: &str,
) -> Vec<(Duration, BuyerOutcome)> {
    let buyers = visitors.into_iter().enumerate().map(|(nth, visitor)| {
        let (shop, key) = (shop.clone(), format!("{name}-{nth}"));
        async move { buy(&shop, &visitor, product, &key).await }
    });
    start_together(buyers.collect(), TIMEOUT).await
}

/// Starts all buyers at the same moment; returns the outcome of each and its time from the start. A buyer without a
/// final response within `limit` counts as `Other`.
pub(crate) async fn start_together<F>(buyers: Vec<F>, limit: Duration) -> Vec<(Duration, BuyerOutcome)>
where
    F: Future<Output = BuyerOutcome> + Send + 'static,
{
    let (barrier, mut all) = (Arc::new(Barrier::new(buyers.len())), JoinSet::new());
    for buyer in buyers {
        let barrier = Arc::clone(&barrier);
        all.spawn(async move {
            barrier.wait().await;
            let started = Instant::now();
            let end = tokio::time::timeout(limit, buyer).await;
            (started.elapsed(), end.unwrap_or_else(|_| BuyerOutcome::Other("no final response".to_owned())))
        });
    }
    all.join_all().await
}

/// Orders one unit with payment in the same request; retries until the response is final.
async fn buy(shop: &Shop, visitor: &Visitor, product: ProductId, key: &str) -> BuyerOutcome {
    let body = json!({
        "items": [{ "productId": product, "quantity": 1 }],
        "shippingAddress": address(),
        "payment": { "method": "card", "token": "tok_ok" },
    });
    let call = Call::post("/orders", body).bearer(&visitor.token).idempotency_key(key);
    let mut reply = shop.send(&call).await;
    while reply.is_retryable() {
        tokio::time::sleep(PAUSE).await;
        reply = shop.send(&call).await;
    }
    match reply.success::<Order>() {
        Some(order) => await_final_state(shop, visitor, order).await,
        None => refused(&reply),
    }
}

/// Polls an order whose response was provisional until it is paid or rejected.
async fn await_final_state(shop: &Shop, visitor: &Visitor, mut order: Order) -> BuyerOutcome {
    loop {
        match order.status.as_str() {
            "paid" => return BuyerOutcome::Paid,
            "rejected" => return BuyerOutcome::TooLate,
            "created" | "pending" => tokio::time::sleep(PAUSE).await,
            other => return BuyerOutcome::Other(format!("the order is {other}")),
        }
        let call = Call::get(format!("/orders/{}", order.id)).bearer(&visitor.token);
        if let Some(now) = shop.send(&call).await.success() {
            order = now;
        }
    }
}

fn refused(reply: &Reply) -> BuyerOutcome {
    match (reply.status(), reply.code().as_deref()) {
        (Some(409), Some(SHORT)) => BuyerOutcome::TooLate,
        (status, code) => BuyerOutcome::Other(format!("{} {}", status.unwrap_or_default(), code.unwrap_or_default())),
    }
}

pub(crate) fn summed(mut ends: Vec<(Duration, BuyerOutcome)>, mut sum: RushResult) -> RushResult {
    ends.sort_by_key(|(took, _)| *took);
    let ms = |nth: usize| ends.get(nth).map_or(0.0, |(took, _)| took.as_secs_f64() * 1_000.0);
    (sum.p50_ms, sum.last_ms) = (ms(ends.len() / 2), ms(ends.len().saturating_sub(1)));
    for (_, end) in ends {
        match end {
            BuyerOutcome::Paid => sum.sold += 1,
            BuyerOutcome::TooLate => sum.too_late += 1,
            BuyerOutcome::Other(what) => *sum.other.entry(what).or_default() += 1,
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(paid: usize, too_late: usize) -> Vec<(Duration, BuyerOutcome)> {
        let rejected = (0..too_late).map(|nth| (Duration::from_millis(nth as u64), BuyerOutcome::TooLate));
        rejected.chain((0..paid).map(|_| (Duration::from_millis(7), BuyerOutcome::Paid))).collect()
    }

    #[test]
    fn a_rush_is_correct_only_if_all_units_are_sold_and_all_other_buyers_rejected() {
        let result = RushResult { buyers: 20, units: 2, ..RushResult::default() };
        let right = summed(ends(2, 18), result.clone());
        assert!(right.is_correct());
        assert!((right.last_ms - 17.0).abs() < 1e-9);
        assert!(!summed(ends(3, 17), result.clone()).is_correct());
        assert!(!summed(ends(1, 19), result.clone()).is_correct());
        assert!(!summed(ends(2, 17), result.clone()).is_correct());
        assert!(!RushResult { left: 1, ..right }.is_correct());
    }
}
