//! Scenarios of installation and use: the minimal sample, one order, a load. Also the invariant checks for other
//! scenarios.

use std::time::{Duration, Instant};

use agora_e2e::{
    at_rest,
    cluster::{AUTOSCALER, DEPLOYMENT, JOB, NETWORK_POLICY, SERVICE, SERVICE_ACCOUNT},
    mailbox,
    world::World,
};
use agora_shopper::{
    Shop, buy_one,
    checker::{Evidence, check},
    collect,
    load::{self, LoadProfile, Run, products},
};
use agora_topology::ALL;
use anyhow::{bail, ensure};

/// Time limit after the last request or fault until all invariants hold.
pub const SETTLE_SECONDS_MAX: u64 = 120;

pub async fn the_minimal_sample_becomes_a_running_shop(world: &World) -> anyhow::Result<()> {
    let started = Instant::now();
    world.market.apply(&world.market.manifest(&world.settings)?).await?;
    world.market.ready().await?;
    println!("    Available and Ready {:.1} s after apply", started.elapsed().as_secs_f64());
    let children = world.market.children().await?;
    for service in ALL {
        let name = world.market.child(service.name);
        for kind in [SERVICE_ACCOUNT, SERVICE, DEPLOYMENT, AUTOSCALER, NETWORK_POLICY] {
            ensure!(children.contains_key(&(kind.word, name.clone())), "no {} {name}", kind.word);
        }
        if service.database {
            let prefix = format!("{name}-migrate-");
            let migrated = |(key, job): (&(&str, String), &serde_json::Value)| {
                key.0 == JOB.word && key.1.starts_with(&prefix) && job["status"]["succeeded"] == 1
            };
            ensure!(children.iter().any(migrated), "no completed migration Job of {name}");
        }
    }
    restricted(&children)?;
    let databases = world.tables.databases().await?;
    ensure!(databases.len() == ALL.iter().filter(|service| service.database).count(), "databases: {databases:?}");
    let topics = agora_e2e::broker::topics(&world.market.isolation_key()).await?;
    // One more marks the owner of the isolation key.
    ensure!(topics.len() == agora_topology::all_topics().len() + 1, "topics: {topics:?}");
    Ok(())
}

/// Checks the security context of all Deployments: no token, no root, no fixed user, a memory limit, probes.
fn restricted(children: &std::collections::BTreeMap<(&str, String), serde_json::Value>) -> anyhow::Result<()> {
    for ((_, name), deployment) in children.iter().filter(|((kind, _), _)| *kind == DEPLOYMENT.word) {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        ensure!(pod["automountServiceAccountToken"] == false, "{name} mounts a token");
        ensure!(pod["securityContext"]["runAsNonRoot"] == true, "{name} may run as root");
        ensure!(pod["securityContext"]["runAsUser"].is_null(), "{name} has a fixed user");
        ensure!(!container["resources"]["limits"]["memory"].is_null(), "{name} has no memory limit");
        ensure!(
            !container["readinessProbe"].is_null() && !container["livenessProbe"].is_null(),
            "{name} lacks a probe"
        );
    }
    Ok(())
}

pub async fn an_order_is_paid_through_the_gateway(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let before = units(&shop).await?;
    let bought = buy_one(&shop).await?;
    println!("    order {} is {}", bought.number, bought.status);
    ensure!(bought.status == "paid", "the order is {}", bought.status);
    ensure!(bought.number.starts_with("A-"), "its number is {}", bought.number);
    let after = units(&shop).await?;
    ensure!(before - after == 1, "stock changed from {before} to {after}");
    let evidence =
        Evidence { ledger: world.tables.ledger().await?, stock: world.tables.stock().await?, ..Evidence::default() };
    ensure!(!evidence.ledger.is_empty(), "the ledger is empty");
    check_invariants(&[], &evidence)?;
    let subjects = [format!("We received order {}", bought.number), format!("Order {} is paid", bought.number)];
    mailbox::arrived(&world.cluster, &subjects).await
}

async fn units(shop: &Shop) -> anyhow::Result<i64> {
    Ok(products(shop).await?.iter().map(|product| product.stock).sum())
}

pub async fn load_violates_no_invariant(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let run = load::run(&shop, &load_profile(world, 20).await?).await?;
    println!("{}", run.summary);
    ensure!(run.summary.bought > 0, "no order was paid");
    ensure!(run.summary.unknown() == 0, "{} requests without a final response", run.summary.unknown());
    invariants_hold_at_rest(world, &shop, &run).await
}

/// A small load: 5 visits per second of 20 shoppers.
pub async fn load_profile(world: &World, seconds: u32) -> anyhow::Result<LoadProfile> {
    let admin = Some(world.admin().await?);
    Ok(LoadProfile { rate: 5, seconds, shoppers: 20, seed: 20_260, only_buy: false, registrations: false, admin })
}

/// Waits until all orders are finished and checks all invariants on API responses, tables and topics.
pub async fn invariants_hold_at_rest(world: &World, shop: &Shop, run: &Run) -> anyhow::Result<()> {
    let timeout = Duration::from_secs(SETTLE_SECONDS_MAX);
    let (by_api, violations) = collect::at_rest(shop, run, timeout).await?;
    fail_on(&violations)?;
    let evidence = at_rest::complete(&world.tables, by_api, timeout).await?;
    check_invariants(&run.history.records(), &evidence)?;
    println!(
        "    {} orders, {} events on order-events: all invariants hold",
        evidence.orders.len(),
        evidence.topics.len()
    );
    Ok(())
}

/// Fails with the violations of all invariants on this evidence.
pub fn check_invariants(history: &[agora_shopper::history::Record], evidence: &Evidence) -> anyhow::Result<()> {
    fail_on(&check(history, evidence))
}

fn fail_on(violations: &[agora_shopper::checker::Violation]) -> anyhow::Result<()> {
    const SHOWN_MAX: usize = 20;
    if violations.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = violations.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    bail!("{} invariant violation(s):\n{}", violations.len(), lines.join("\n"))
}
