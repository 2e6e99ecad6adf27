//! Scenarios of outages: a data service is suspended, down or crashes under load. Orders must not be lost.

use std::{
    collections::BTreeSet,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use agora_e2e::{
    cluster::MARKETPLACE,
    faults::{Outage, outage},
    market::holds,
    wait::{until, when},
    world::World,
};
use agora_shopper::{
    Shop,
    history::{Action, Outcome},
    load,
};
use agora_vocab::OrderId;
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
/// Time limit from the injection of a fault until the service is away.
const DOWN_AFTER: Duration = Duration::from_secs(3);
/// Time limit until a condition recovers; the operator compares databases and topics every 60 s.
const NOTICED_SECONDS_MAX: u64 = 150;

pub async fn an_unresponsive_broker_stops_no_order(world: &World) -> anyhow::Result<()> {
    let load = run_load_with_outage(world, &BROKER_UNRESPONSIVE).await?;
    orders_were_paid_during_the_outage(&load)?;
    no_request_failed(world, &load).await
}

pub async fn a_broker_outage_of_a_minute_stops_no_order_and_no_repair(world: &World) -> anyhow::Result<()> {
    let repair = crate::damage::a_deleted_deployment_is_recreated(world);
    let load = run_load_with_outage_and(world, &BROKER_DOWN, repair).await?;
    ensure!(load.away_us.contains(&load.work_ended_us), "the broker was back before the Deployment was recreated");
    orders_were_paid_during_the_outage(&load)?;
    no_request_failed(world, &load).await?;
    condition_recovers(world, "KafkaReady").await
}

pub async fn a_redis_outage_stops_no_order(world: &World) -> anyhow::Result<()> {
    let load = run_load_with_outage(world, &REDIS_DOWN).await?;
    orders_were_paid_during_the_outage(&load)?;
    no_request_failed(world, &load).await?;
    condition_recovers(world, "RedisReady").await
}

pub async fn a_database_server_crash_loses_no_order(world: &World) -> anyhow::Result<()> {
    let LoadWithOutage { shop, run, .. } = run_load_with_outage(world, &POSTGRES_DOWN).await?;
    println!("    PostgreSQL was down for {} s\n{}", POSTGRES_DOWN.time.as_secs(), run.summary);
    ensure!(run.summary.bought > 0, "no order was paid");
    // Requests during the outage have no final response; the invariants must hold for all acknowledged ones.
    invariants_hold_at_rest(world, &shop, &run).await?;
    agora_shopper::buy_one(&shop).await?;
    condition_recovers(world, "DatabaseReady").await
}

/// A load, and the time in which the data service was away.
struct LoadWithOutage {
    shop: Shop,
    run: load::Run,
    /// In microseconds from the start of the load, as in its history.
    away_us: RangeInclusive<u64>,
    /// End of the work during the outage, in microseconds from the start of the load.
    work_ended_us: u64,
}

/// Runs a load with an outage.
async fn run_load_with_outage(world: &World, fault: &Fault) -> anyhow::Result<LoadWithOutage> {
    run_load_with_outage_and(world, fault, std::future::ready(Ok(()))).await
}

/// Runs a load with an outage, and `during`, which starts during the outage and must succeed.
async fn run_load_with_outage_and(
    world: &World,
    fault: &Fault,
    during: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<LoadWithOutage> {
    let shop = world.filled_shop().await?;
    let load = load_profile(world, fault.load_seconds).await?;
    let started = Instant::now();
    let injected = async {
        tokio::time::sleep(LEAD).await;
        let begun = started.elapsed();
        outage(&world.settings, fault.service, fault.how, fault.time).await?;
        anyhow::Ok(micros(begun + DOWN_AFTER)..=micros(begun + fault.time))
    };
    let during = async {
        tokio::time::sleep(LEAD * 2).await;
        during.await?;
        anyhow::Ok(micros(started.elapsed()))
    };
    let (run, away_us, work_ended_us) = tokio::join!(Box::pin(load::run(&shop, &load)), injected, Box::pin(during));
    Ok(LoadWithOutage { shop, run: run?, away_us: away_us?, work_ended_us: work_ended_us? })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Checks that orders were placed and paid from their first request to their last while the service was away.
fn orders_were_paid_during_the_outage(load: &LoadWithOutage) -> anyhow::Result<()> {
    let records = load.run.history.records();
    let during = || {
        let ok = records.iter().filter(|record| record.outcome == Outcome::Ok);
        ok.filter(|record| load.away_us.contains(&record.started_us) && load.away_us.contains(&record.ended_us()))
    };
    let placed: BTreeSet<OrderId> =
        during().filter(|record| record.action == Action::Order).filter_map(|record| record.order).collect();
    let paid: BTreeSet<OrderId> = during()
        .filter(|record| record.order_status.as_deref() == Some("paid"))
        .filter_map(|record| record.order)
        .filter(|order| placed.contains(order))
        .collect();
    println!("    {} orders were placed and {} of them paid during the outage", placed.len(), paid.len());
    ensure!(!paid.is_empty(), "no order was placed and paid during the outage");
    Ok(())
}

/// Checks that every request got a final response and that all invariants hold.
async fn no_request_failed(world: &World, load: &LoadWithOutage) -> anyhow::Result<()> {
    let LoadWithOutage { shop, run, .. } = load;
    println!("{}", run.summary);
    ensure!(run.summary.unknown() == 0, "{} requests without a final response", run.summary.unknown());
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
