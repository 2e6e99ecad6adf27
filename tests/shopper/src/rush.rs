//! Many buyers of few units, all at the same moment: who gets one, who is told that there is none, and when the last
//! one knows.

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
    load::{AdminLogin, SHOPPERS_MAX, enter_all, log_in},
};

/// Who has no final answer by then is counted as not told.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
const SHORT: &str = "INSUFFICIENT_QUANTITY";

/// How a rush ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rushed {
    /// Who wanted one unit.
    pub buyers: u32,
    /// Units that there were.
    pub units: u32,
    /// Orders that ended `paid`.
    pub sold: usize,
    /// Buyers who were told 409 `INSUFFICIENT_QUANTITY`.
    pub too_late: usize,
    /// How often another end came, by its description.
    pub other: BTreeMap<String, usize>,
    /// Milliseconds from the common start until half of the buyers knew.
    pub p50_ms: f64,
    /// Until the last one knew.
    pub last_ms: f64,
    /// Units that the shop says are left.
    pub left: i64,
}

impl Rushed {
    /// Whether exactly the units were sold and everybody else was told that there are none left.
    pub fn is_right(&self) -> bool {
        let (buyers, units) = (self.buyers as usize, self.units as usize);
        self.sold == units.min(buyers) && self.sold + self.too_late == buyers && self.left == 0 && self.other.is_empty()
    }
}

/// What a buyer was told.
enum End {
    Paid,
    TooLate,
    Other(String),
}

/// Registers the buyers, puts a product with so many units on sale, lets all buy at once, and takes it off sale again.
pub async fn rush(shop: &Shop, admin: &AdminLogin, buyers: u32, units: u32) -> anyhow::Result<Rushed> {
    if buyers == 0 || buyers > SHOPPERS_MAX {
        bail!("--buyers must be between 1 and {SHOPPERS_MAX}");
    }
    let (history, name) = (History::default(), nonce());
    let visitors = enter_all(shop, &history, &name, buyers).await?;
    let admin = log_in(shop, &history, &admin.email, admin.password.expose()).await?;
    let price = json!({ "amount": 999, "currency": "EUR" });
    let new = json!({ "name": "Rush", "sku": format!("RUSH-{}", &name[..8]), "price": price, "stock": units });
    let reply = shop.send(&Call::post("/products", new).by(&admin.token).keyed(name.clone())).await;
    let product: Product = reply.success().with_context(|| format!("making the product: {}", reply.describe()))?;
    let ends = all_at_once(shop, visitors, product.id, &name).await;
    let left = shop.send(&Call::get(format!("/products/{}", product.id))).await.success::<Product>();
    let gone = Call::delete(format!("/products/{}", product.id)).by(&admin.token).of_any_version();
    let gone = shop.send(&gone).await;
    if gone.status() != Some(204) {
        eprintln!("the product stays on sale: {}", gone.describe());
    }
    let left = left.map_or(-1, |product| product.stock);
    Ok(summed(ends, Rushed { buyers, units, left, ..Rushed::default() }))
}

async fn all_at_once(shop: &Shop, visitors: Vec<Visitor>, product: ProductId, name: &str) -> Vec<(Duration, End)> {
    let (barrier, mut all) = (Arc::new(Barrier::new(visitors.len())), JoinSet::new());
    for (nth, visitor) in visitors.into_iter().enumerate() {
        let (shop, barrier, key) = (shop.clone(), Arc::clone(&barrier), format!("{name}-{nth}"));
        all.spawn(async move {
            barrier.wait().await;
            let begun = Instant::now();
            let end = tokio::time::timeout(PATIENCE, buy(&shop, &visitor, product, &key)).await;
            (begun.elapsed(), end.unwrap_or_else(|_| End::Other("no final answer".to_owned())))
        });
    }
    all.join_all().await
}

/// Orders one unit and pays in the same request; asks again until the answer is final.
async fn buy(shop: &Shop, visitor: &Visitor, product: ProductId, key: &str) -> End {
    let body = json!({
        "items": [{ "productId": product, "quantity": 1 }],
        "shippingAddress": address(),
        "payment": { "method": "card", "token": "tok_ok" },
    });
    let call = Call::post("/orders", body).by(&visitor.token).keyed(key);
    let mut reply = shop.send(&call).await;
    while reply.may_be_repeated() {
        tokio::time::sleep(PAUSE).await;
        reply = shop.send(&call).await;
    }
    match reply.success::<Order>() {
        Some(order) => settled(shop, visitor, order).await,
        None => refused(&reply),
    }
}

/// A provisional answer says neither yes nor no: the order itself does, in the end.
async fn settled(shop: &Shop, visitor: &Visitor, mut order: Order) -> End {
    loop {
        match order.status.as_str() {
            "paid" => return End::Paid,
            "rejected" => return End::TooLate,
            "created" | "pending" => tokio::time::sleep(PAUSE).await,
            other => return End::Other(format!("the order is {other}")),
        }
        let call = Call::get(format!("/orders/{}", order.id)).by(&visitor.token);
        if let Some(now) = shop.send(&call).await.success() {
            order = now;
        }
    }
}

fn refused(reply: &Reply) -> End {
    match (reply.status(), reply.code().as_deref()) {
        (Some(409), Some(SHORT)) => End::TooLate,
        (status, code) => End::Other(format!("{} {}", status.unwrap_or_default(), code.unwrap_or_default())),
    }
}

fn summed(mut ends: Vec<(Duration, End)>, mut sum: Rushed) -> Rushed {
    ends.sort_by_key(|(took, _)| *took);
    let ms = |nth: usize| ends.get(nth).map_or(0.0, |(took, _)| took.as_secs_f64() * 1_000.0);
    (sum.p50_ms, sum.last_ms) = (ms(ends.len() / 2), ms(ends.len().saturating_sub(1)));
    for (_, end) in ends {
        match end {
            End::Paid => sum.sold += 1,
            End::TooLate => sum.too_late += 1,
            End::Other(what) => *sum.other.entry(what).or_default() += 1,
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(paid: usize, too_late: usize) -> Vec<(Duration, End)> {
        let told = (0..too_late).map(|nth| (Duration::from_millis(nth as u64), End::TooLate));
        told.chain((0..paid).map(|_| (Duration::from_millis(7), End::Paid))).collect()
    }

    #[test]
    fn a_rush_is_right_only_where_all_units_and_no_more_were_sold_and_all_others_were_told() {
        let rushed = Rushed { buyers: 20, units: 2, ..Rushed::default() };
        let right = summed(ends(2, 18), rushed.clone());
        assert!(right.is_right());
        assert!((right.last_ms - 17.0).abs() < 1e-9);
        assert!(!summed(ends(3, 17), rushed.clone()).is_right());
        assert!(!summed(ends(1, 19), rushed.clone()).is_right());
        assert!(!summed(ends(2, 17), rushed.clone()).is_right());
        assert!(!Rushed { left: 1, ..right }.is_right());
    }
}
