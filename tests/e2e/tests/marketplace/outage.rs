//! The data services quiet, away or crashed while a crowd shops: what shoppers see, and that nothing is lost.

use std::time::Duration;

use agora_e2e::{
    cluster::MARKETPLACE,
    faults::{Outage, outage},
    market::holds,
    wait::{until, when},
    world::World,
};
use agora_shopper::{Shop, load};
use anyhow::ensure;

use crate::install::{crowd, settles};

/// A data service that a shopping crowd has to do without.
struct Fault {
    service: &'static str,
    how: Outage,
    time: Duration,
    /// How long the crowd shops: the lead, the fault and some time after it.
    shopping_seconds: u32,
}

const BROKER_QUIET: Fault =
    Fault { service: "kafka", how: Outage::Quiet, time: Duration::from_secs(20), shopping_seconds: 40 };
const BROKER_AWAY: Fault =
    Fault { service: "kafka", how: Outage::Away, time: Duration::from_mins(1), shopping_seconds: 75 };
const REDIS_AWAY: Fault =
    Fault { service: "redis", how: Outage::Away, time: Duration::from_secs(20), shopping_seconds: 30 };
const POSTGRES_AWAY: Fault =
    Fault { service: "postgres", how: Outage::Away, time: Duration::from_secs(5), shopping_seconds: 30 };
/// Before the fault, so that it hits a crowd that shops.
const LEAD: Duration = Duration::from_secs(5);
/// Databases and topics are compared every 60 s.
const NOTICED_SECONDS_MAX: u64 = 150;

pub async fn a_broker_that_goes_quiet_stops_no_order(world: &World) -> anyhow::Result<()> {
    let (shop, run) = shopped_through(world, &BROKER_QUIET).await?;
    unharmed(world, &shop, &run).await
}

pub async fn a_broker_that_is_away_for_a_minute_stops_no_order_and_no_repair(world: &World) -> anyhow::Result<()> {
    let repair = crate::damage::a_deleted_deployment_comes_back(world);
    let (shop, run) = shopped_through_while(world, &BROKER_AWAY, repair).await?;
    unharmed(world, &shop, &run).await?;
    heals(world, "KafkaReady").await
}

pub async fn redis_that_is_away_stops_no_order(world: &World) -> anyhow::Result<()> {
    let (shop, run) = shopped_through(world, &REDIS_AWAY).await?;
    unharmed(world, &shop, &run).await?;
    heals(world, "RedisReady").await
}

pub async fn a_database_server_that_crashes_loses_no_order(world: &World) -> anyhow::Result<()> {
    let (shop, run) = shopped_through(world, &POSTGRES_AWAY).await?;
    println!("    PostgreSQL away for {} s\n{}", POSTGRES_AWAY.time.as_secs(), run.summary);
    ensure!(run.summary.bought > 0, "nobody bought anything");
    // Requests that met no database have no final answer; what was promised to any shopper still holds.
    settles(world, &shop, &run).await?;
    agora_shopper::buy_one(&shop).await?;
    heals(world, "DatabaseReady").await
}

/// A crowd shops, and the fault comes and goes meanwhile.
async fn shopped_through(world: &World, fault: &Fault) -> anyhow::Result<(Shop, load::Run)> {
    shopped_through_while(world, fault, std::future::ready(Ok(()))).await
}

/// The same, with something that must succeed while the fault lasts.
async fn shopped_through_while(
    world: &World,
    fault: &Fault,
    during: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<(Shop, load::Run)> {
    let shop = world.filled_shop().await?;
    let load = crowd(world, fault.shopping_seconds).await?;
    let struck = async {
        tokio::time::sleep(LEAD).await;
        outage(&world.settings, fault.service, fault.how, fault.time).await
    };
    let during = async {
        tokio::time::sleep(LEAD * 2).await;
        during.await
    };
    let (run, struck, during) = tokio::join!(Box::pin(load::run(&shop, &load)), struck, Box::pin(during));
    struck?;
    during?;
    Ok((shop, run?))
}

/// The whole crowd got final answers, and every promise holds.
async fn unharmed(world: &World, shop: &Shop, run: &load::Run) -> anyhow::Result<()> {
    println!("{}", run.summary);
    ensure!(run.summary.unknown() == 0, "{} requests got no final answer", run.summary.unknown());
    ensure!(run.summary.bought > 0, "nobody bought anything");
    settles(world, shop, run).await
}

/// The operator sees by itself that a data service is there again.
async fn heals(world: &World, condition: &str) -> anyhow::Result<()> {
    until(&format!("condition {condition} is True"), Duration::from_secs(NOTICED_SECONDS_MAX), async || {
        let market = world.cluster.get(MARKETPLACE, &world.market.name).await?.unwrap_or_default();
        Ok(when(holds(&market, condition)))
    })
    .await?;
    world.market.ready().await
}
