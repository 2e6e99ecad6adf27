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

/// Units that a load needs of each product besides its share.
const FREE_UNITS_MIN: i64 = 100;

/// The units that each product has free before a load.
#[derive(Clone, Copy, Debug)]
pub enum FreeUnits {
    /// At least so many.
    Each(i64),
    /// Enough for one unit in each of the visits that start at `rate` per second for so many seconds. They choose at random:
    /// a product gets twice its share.
    ForLoad { rate: u32, seconds: u32 },
}

impl FreeUnits {
    /// The units of each of so many products.
    fn of_each(self, products: usize) -> i64 {
        match self {
            Self::Each(units) => units,
            Self::ForLoad { rate, seconds } => {
                let products = i64::try_from(products).unwrap_or(i64::MAX).max(1);
                let visits = i64::from(rate).saturating_mul(i64::from(seconds));
                (visits.saturating_mul(2) / products).saturating_add(FREE_UNITS_MIN)
            }
        }
    }
}

/// Adds stock until each product has these units free; returns the number of added units.
pub async fn restock(shop: &Shop, admin: &AdminLogin, units: FreeUnits) -> anyhow::Result<i64> {
    let token = log_in(shop, &History::default(), &admin.email, admin.password.expose()).await?.token;
    let products = products(shop).await?;
    let at_least = units.of_each(products.len());
    let mut booked = 0;
    for product in products {
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

#[cfg(test)]
mod tests {
    use super::{FREE_UNITS_MIN, FreeUnits};

    #[test]
    fn a_load_finds_twice_its_share_of_each_product_however_many_there_are() {
        let load = FreeUnits::ForLoad { rate: 80, seconds: 180 };
        for products in [1_usize, 60, 500] {
            let share = 80 * 180 / i64::try_from(products).unwrap();
            assert!(load.of_each(products) >= 2 * share + FREE_UNITS_MIN, "{products}");
        }
        let all = FreeUnits::ForLoad { rate: u32::MAX, seconds: u32::MAX }.of_each(0);
        assert!(all > 0, "a shop without products, and the greatest load");
        assert_eq!(FreeUnits::Each(7).of_each(500), 7);
    }
}
