//! The data services quiet, away or crashed while a crowd shops: what shoppers see, and that nothing is lost.

use std::time::Duration;

use agora_e2e::{
    cluster::MARKETPLACE,
    faults::{Outage, outage},
    market::holds,
    wait::{until, when},
    world::World,
};
use agora_shopper::load;
use anyhow::ensure;

use crate::install::{crowd, settles};

const BROKER_QUIET: Duration = Duration::from_secs(20);
const BROKER_AWAY: Duration = Duration::from_mins(1);
const REDIS_AWAY: Duration = Duration::from_secs(20);
const POSTGRES_AWAY: Duration = Duration::from_secs(5);
/// Before the fault, so that it hits a crowd that shops.
const LEAD: Duration = Duration::from_secs(5);
/// Databases and topics are compared every 60 s.
const NOTICED_SECONDS_MAX: u64 = 150;

pub async fn a_broker_that_goes_quiet_stops_no_order(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let load = crowd(world, 40).await?;
    let fault = after_lead(outage(&world.settings, "kafka", Outage::Quiet, BROKER_QUIET));
    let (run, fault) = tokio::join!(load::run(&shop, &load), fault);
    fault?;
    unharmed(world, &shop, &run?).await
}

pub async fn a_broker_that_is_away_for_a_minute_stops_no_order_and_no_repair(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let load = crowd(world, 75).await?;
    let fault = after_lead(outage(&world.settings, "kafka", Outage::Away, BROKER_AWAY));
    let repair = async {
        tokio::time::sleep(LEAD * 2).await;
        crate::damage::a_deleted_deployment_comes_back(world).await
    };
    let (run, fault, repair) = tokio::join!(load::run(&shop, &load), fault, repair);
    fault?;
    repair?;
    unharmed(world, &shop, &run?).await?;
    heals(world, "KafkaReady").await
}

pub async fn redis_that_is_away_stops_no_order(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let load = crowd(world, 30).await?;
    let fault = after_lead(outage(&world.settings, "redis", Outage::Away, REDIS_AWAY));
    let (run, fault) = tokio::join!(load::run(&shop, &load), fault);
    fault?;
    unharmed(world, &shop, &run?).await?;
    heals(world, "RedisReady").await
}

pub async fn a_database_server_that_crashes_loses_no_order(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let load = crowd(world, 30).await?;
    let fault = after_lead(outage(&world.settings, "postgres", Outage::Away, POSTGRES_AWAY));
    let (run, fault) = tokio::join!(load::run(&shop, &load), fault);
    fault?;
    let run = run?;
    println!("    PostgreSQL away for {} s\n{}", POSTGRES_AWAY.as_secs(), run.summary);
    ensure!(run.summary.bought > 0, "nobody bought anything");
    // Requests that met no database have no final answer; what was promised to any shopper still holds.
    settles(world, &shop, &run).await?;
    agora_shopper::buy_one(&shop).await?;
    heals(world, "DatabaseReady").await
}

async fn after_lead(fault: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::time::sleep(LEAD).await;
    fault.await
}

/// The whole crowd got final answers, and every promise holds.
async fn unharmed(world: &World, shop: &agora_shopper::Shop, run: &load::Run) -> anyhow::Result<()> {
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
