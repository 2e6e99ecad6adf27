//! Closed-loop load: every shopper makes one visit after the other, so that a shop receives as many visits as it
//! completes. The same visits run against Agora and against Vendure.

use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::task::JoinSet;

use crate::{
    Shop, Summary,
    journey::Purpose,
    load::{LoadGenerator, SECONDS_MAX, SHOPPERS_MAX, announce_start},
    random::Random,
    vendure::Vendure,
};

/// Time after a failed visit, so that a shop that rejects everything is not flooded.
const PAUSE: Duration = Duration::from_millis(100);

/// The amount of load; every visit is the shortest complete purchase.
#[derive(Clone, Copy, Debug)]
pub struct ClosedLoad {
    /// Shoppers that visit at the same time; they are registered before.
    pub shoppers: u32,
    /// Duration in seconds; visits that run at the end are completed.
    pub seconds: u32,
    /// Seed of the random choices.
    pub seed: u64,
}

impl ClosedLoad {
    fn checked(self) -> anyhow::Result<Self> {
        let Self { shoppers, seconds, .. } = self;
        if shoppers == 0 || shoppers > SHOPPERS_MAX || seconds == 0 || seconds > SECONDS_MAX {
            bail!("--shoppers must be between 1 and {SHOPPERS_MAX}, --seconds between 1 and {SECONDS_MAX}");
        }
        Ok(self)
    }
}

/// Runs the load against Agora.
pub async fn agora(shop: &Shop, load: ClosedLoad) -> anyhow::Result<Summary> {
    let load = load.checked()?;
    let (generator, visitors) = LoadGenerator::prepare(shop, load.shoppers).await?;
    let visits = visitors.into_iter().enumerate().map(|(shopper, visitor)| {
        let generator = generator.clone();
        move |nth: u64, seed: u64| {
            let (generator, visitor) = (generator.clone(), visitor.clone());
            // The tick is part of the idempotency keys and therefore unique per visit.
            let tick = u64::try_from(shopper).unwrap_or_default() << 32 | nth;
            async move { generator.run_visit(visitor, Purpose::BuyOne, seed, tick).await.1 }
        }
    });
    let summary = repeat(load, visits.collect()).await;
    Ok(summary.of(&generator.history.records()))
}

/// Runs the load against Vendure.
pub async fn vendure(shop: &Vendure, load: ClosedLoad) -> anyhow::Result<Summary> {
    let load = load.checked()?;
    let shoppers = shop.register_all(load.shoppers).await?;
    let visits = shoppers.into_iter().map(|shopper| {
        move |_: u64, seed: u64| {
            let shopper = shopper.clone();
            async move { shopper.visit(&mut Random::new(seed)).await }
        }
    });
    let mut summary = repeat(load, visits.collect()).await;
    summary.refusals = shop.failures();
    Ok(summary)
}

/// Lets every shopper repeat its visit until the time has passed.
async fn repeat<V, F>(load: ClosedLoad, shoppers: Vec<V>) -> Summary
where
    V: Fn(u64, u64) -> F + Send + 'static,
    F: Future<Output = bool> + Send,
{
    let (mut random, mut all) = (Random::new(load.seed), JoinSet::new());
    announce_start();
    let (started, limit) = (Instant::now(), Duration::from_secs(load.seconds.into()));
    for visit in shoppers {
        let mut random = Random::new(random.next());
        all.spawn(async move {
            let mut ended = Vec::new();
            while started.elapsed() < limit {
                let bought = visit(ended.len() as u64, random.next()).await;
                ended.push((bought, started.elapsed()));
                if !bought {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            ended
        });
    }
    let mut summary = Summary::default();
    for (bought, at) in all.join_all().await.into_iter().flatten() {
        summary.visits += 1;
        summary.add_visit(bought, at);
    }
    summary.seconds = started.elapsed().as_secs_f64();
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_shopper_repeats_its_visit_and_failures_are_no_purchases() {
        let load = ClosedLoad { shoppers: 2, seconds: 1, seed: 1 };
        let visit = |good: bool| {
            move |_: u64, _: u64| async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                good
            }
        };
        let summary = repeat(load, vec![visit(true), visit(false)]).await;
        assert!(summary.bought >= 2 && summary.visits > summary.bought, "{summary:?}");
        assert_eq!(summary.bought, summary.bought_in_second.iter().sum::<u64>());
    }

    #[test]
    fn a_load_without_shoppers_or_time_is_an_error() {
        let load = ClosedLoad { shoppers: 1, seconds: 1, seed: 0 };
        assert!(load.checked().is_ok());
        assert!(ClosedLoad { shoppers: 0, ..load }.checked().is_err());
        assert!(ClosedLoad { seconds: SECONDS_MAX + 1, ..load }.checked().is_err());
    }
}
