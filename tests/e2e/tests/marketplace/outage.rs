//! Scenarios of outages: a data service is suspended, down or crashes under load. Orders must not be lost.

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

use crate::install::{invariants_hold_at_rest, load_profile};

/// An outage of a data service during a load.
struct Fault {
    service: &'static str,
    how: Outage,
    time: Duration,
    /// Duration of the load: `LEAD`, the outage and some time after it.
    load_seconds: u32,
}

const BROKER_UNRESPONSIVE: Fault =
    Fault { service: "kafka", how: Outage::Unresponsive, time: Duration::from_secs(20), load_seconds: 40 };
const BROKER_DOWN: Fault =
    Fault { service: "kafka", how: Outage::Down, time: Duration::from_mins(1), load_seconds: 75 };
const REDIS_DOWN: Fault =
    Fault { service: "redis", how: Outage::Down, time: Duration::from_secs(20), load_seconds: 30 };
const POSTGRES_DOWN: Fault =
    Fault { service: "postgres", how: Outage::Down, time: Duration::from_secs(5), load_seconds: 30 };
/// Time from the start of the load to the outage.
const LEAD: Duration = Duration::from_secs(5);
/// Time limit until a condition recovers; the operator compares databases and topics every 60 s.
const NOTICED_SECONDS_MAX: u64 = 150;

pub async fn an_unresponsive_broker_stops_no_order(world: &World) -> anyhow::Result<()> {
    let (shop, run) = run_load_with_outage(world, &BROKER_UNRESPONSIVE).await?;
    no_request_failed(world, &shop, &run).await
}

pub async fn a_broker_outage_of_a_minute_stops_no_order_and_no_repair(world: &World) -> anyhow::Result<()> {
    let repair = crate::damage::a_deleted_deployment_is_recreated(world);
    let (shop, run) = run_load_with_outage_and(world, &BROKER_DOWN, repair).await?;
    no_request_failed(world, &shop, &run).await?;
    condition_recovers(world, "KafkaReady").await
}

pub async fn a_redis_outage_stops_no_order(world: &World) -> anyhow::Result<()> {
    let (shop, run) = run_load_with_outage(world, &REDIS_DOWN).await?;
    no_request_failed(world, &shop, &run).await?;
    condition_recovers(world, "RedisReady").await
}

pub async fn a_database_server_crash_loses_no_order(world: &World) -> anyhow::Result<()> {
    let (shop, run) = run_load_with_outage(world, &POSTGRES_DOWN).await?;
    println!("    PostgreSQL was down for {} s\n{}", POSTGRES_DOWN.time.as_secs(), run.summary);
    ensure!(run.summary.bought > 0, "no order was paid");
    // Requests during the outage have no final response; the invariants must hold for all acknowledged ones.
    invariants_hold_at_rest(world, &shop, &run).await?;
    agora_shopper::buy_one(&shop).await?;
    condition_recovers(world, "DatabaseReady").await
}

/// Runs a load with an outage.
async fn run_load_with_outage(world: &World, fault: &Fault) -> anyhow::Result<(Shop, load::Run)> {
    run_load_with_outage_and(world, fault, std::future::ready(Ok(()))).await
}

/// Runs a load with an outage, and `during`, which must succeed while the outage lasts.
async fn run_load_with_outage_and(
    world: &World,
    fault: &Fault,
    during: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<(Shop, load::Run)> {
    let shop = world.filled_shop().await?;
    let load = load_profile(world, fault.load_seconds).await?;
    let injected = async {
        tokio::time::sleep(LEAD).await;
        outage(&world.settings, fault.service, fault.how, fault.time).await
    };
    let during = async {
        tokio::time::sleep(LEAD * 2).await;
        during.await
    };
    let (run, injected, during) = tokio::join!(Box::pin(load::run(&shop, &load)), injected, Box::pin(during));
    injected?;
    during?;
    Ok((shop, run?))
}

/// Checks that every request got a final response and that all invariants hold.
async fn no_request_failed(world: &World, shop: &Shop, run: &load::Run) -> anyhow::Result<()> {
    println!("{}", run.summary);
    ensure!(run.summary.unknown() == 0, "{} requests without a final response", run.summary.unknown());
    ensure!(run.summary.bought > 0, "no order was paid");
    invariants_hold_at_rest(world, shop, run).await
}

/// Waits until the operator has set the condition to True again.
async fn condition_recovers(world: &World, condition: &str) -> anyhow::Result<()> {
    until(&format!("condition {condition} is True"), Duration::from_secs(NOTICED_SECONDS_MAX), async || {
        let market = world.cluster.get(MARKETPLACE, &world.market.name).await?.unwrap_or_default();
        Ok(when(holds(&market, condition)))
    })
    .await?;
    world.market.ready().await
}
