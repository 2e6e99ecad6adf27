//! Scenarios of changes to the spec: they take effect on the affected services and only on these.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use agora_e2e::{
    cluster::{AUTOSCALER, DEPLOYMENT, POD},
    wait::{until, when},
    world::{World, is_rolled_out},
};
use agora_shopper::load;
use agora_topology::ALL;
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::install::{invariants_hold_at_rest, load_profile};

const SCALE_SECONDS_MAX: u64 = 120;
const ROLL_SECONDS_MAX: u64 = 120;
/// Of all services, each with its migrations, while shoppers use both cores.
const ROLL_ALL_SECONDS_MAX: u64 = 600;
/// Time from the start of the load to the rollout.
const LEAD: Duration = Duration::from_secs(5);
const ROLLOUT_LOAD_SECONDS: u32 = 20;

pub async fn a_raised_minimum_of_replicas_takes_effect(world: &World) -> anyhow::Result<()> {
    let user = world.market.child("user");
    let now = world.cluster.get(DEPLOYMENT, &user).await?.unwrap_or_default();
    // The autoscaler may have raised the replicas above the minimum.
    let desired = now["spec"]["replicas"].as_u64().context("user has no replicas")? + 1;
    let raised = json!([{ "name": "user", "scaling": { "minReplicas": desired, "maxReplicas": desired + 1 } }]);
    world.market.change(&json!({ "spec": { "services": raised } })).await?;
    until(&format!("user has {desired} replicas"), Duration::from_secs(SCALE_SECONDS_MAX), async || {
        let scaler = world.cluster.get(AUTOSCALER, &user).await?.unwrap_or_default();
        let deployment = world.cluster.get(DEPLOYMENT, &user).await?.unwrap_or_default();
        let wide = scaler["spec"]["minReplicas"] == desired && deployment["spec"]["replicas"].as_u64() >= Some(desired);
        Ok(when(wide && is_rolled_out(&deployment)))
    })
    .await?;
    println!("    user has {desired} replicas");
    world.market.ready().await
}

pub async fn a_changed_setting_rolls_only_its_service(world: &World) -> anyhow::Result<()> {
    let before = pods(world).await?;
    let cart = world.market.child("cart");
    let services = json!([{ "name": "cart", "env": [{ "name": "RUST_LOG", "value": "info" }] }]);
    let old = world.cluster.get(DEPLOYMENT, &cart).await?.unwrap_or_default();
    world.market.change(&json!({ "spec": { "services": services } })).await?;
    until("the Deployment of cart is rolled out", Duration::from_secs(ROLL_SECONDS_MAX), async || {
        let new = world.cluster.get(DEPLOYMENT, &cart).await?.unwrap_or_default();
        Ok(when(new["spec"]["template"] != old["spec"]["template"] && is_rolled_out(&new)))
    })
    .await?;
    world.market.ready().await?;
    let after = pods(world).await?;
    for service in ALL.iter().map(|service| service.name) {
        let same = before.get(service) == after.get(service);
        ensure!(
            same == (service != "cart"),
            "{service}: pods {:?} became {:?}",
            before.get(service),
            after.get(service)
        );
    }
    println!("    only the pods of cart were replaced");
    Ok(())
}

/// Pod template hashes of the running pods by service; the number of pods may change with the load.
async fn pods(world: &World) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut by_service: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let selector = format!("app.kubernetes.io/instance={}", world.market.name);
    for pod in world.cluster.list(POD, &selector).await? {
        let service = label(&pod, "app.kubernetes.io/name");
        let ending = !pod["metadata"]["deletionTimestamp"].is_null();
        if pod["status"]["phase"] == "Running" && !ending && ALL.iter().any(|known| known.name == service) {
            by_service.entry(service).or_default().insert(label(&pod, "pod-template-hash"));
        }
    }
    Ok(by_service)
}

fn label(object: &Value, key: &str) -> String {
    object["metadata"]["labels"][key].as_str().unwrap_or_default().to_owned()
}

/// Deploys the same image with another tag: like an upgrade, it rolls every Deployment and runs every migration again.
/// Loads follow each other until the rollout has ended.
pub async fn a_new_image_under_load_fails_no_request(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let next = format!("{}.next", world.settings.tag);
    world.tag_image(&next).await?;
    let (load, done) = (load_profile(world, ROLLOUT_LOAD_SECONDS).await?, AtomicBool::new(false));
    let loads = async {
        let mut runs = Vec::new();
        while !done.load(Ordering::Relaxed) {
            runs.push(load::run(&shop, &load).await?);
        }
        anyhow::Ok(runs)
    };
    let rollout = async {
        tokio::time::sleep(LEAD).await;
        let took = roll_out(world, &next).await;
        done.store(true, Ordering::Relaxed);
        took
    };
    let (runs, took) = tokio::join!(Box::pin(loads), rollout);
    let (runs, took) = (runs?, took?);
    println!("    all services rolled out in {:.1} s during {} loads", took.as_secs_f64(), runs.len());
    for run in runs {
        println!("{}", run.summary);
        ensure!(run.summary.bought > 0, "no order was paid");
        let unanswered: usize = run.summary.requests.values().map(|requests| requests.unknown).sum();
        ensure!(unanswered == 0, "{unanswered} requests failed: {:?}", run.summary.refusals);
        invariants_hold_at_rest(world, &shop, &run).await?;
    }
    Ok(())
}

/// Changes the release to `version` and returns the time until every service runs it.
async fn roll_out(world: &World, version: &str) -> anyhow::Result<Duration> {
    let started = Instant::now();
    world.market.change(&json!({ "spec": { "release": { "version": version } } })).await?;
    let image = format!("{}/agora:{version}", world.settings.registry);
    until("every service runs the new image", Duration::from_secs(ROLL_ALL_SECONDS_MAX), async || {
        for service in ALL {
            let deployment =
                world.cluster.get(DEPLOYMENT, &world.market.child(service.name)).await?.unwrap_or_default();
            let new = deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image;
            if !new || !is_rolled_out(&deployment) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await?;
    let took = started.elapsed();
    world.market.ready().await?;
    Ok(took)
}
