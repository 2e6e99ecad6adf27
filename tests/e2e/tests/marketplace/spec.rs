//! Changes of the resource: what they move, and what they leave alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use agora_e2e::{
    cluster::{AUTOSCALER, DEPLOYMENT, POD},
    wait::{until, when},
    world::{World, is_rolled_out},
};
use agora_topology::ALL;
use anyhow::ensure;
use serde_json::{Value, json};

const SCALE_SECONDS_MAX: u64 = 120;
const ROLL_SECONDS_MAX: u64 = 120;
/// Reconciles of one Marketplace are at least 250 ms apart.
const RECONCILES: u32 = 20;
const RECONCILE_APART: Duration = Duration::from_millis(400);

pub async fn a_raised_minimum_of_replicas_stays(world: &World) -> anyhow::Result<()> {
    let raised = json!([{ "name": "catalog", "scaling": { "minReplicas": 2 } }]);
    world.market.change(&json!({ "spec": { "services": raised } })).await?;
    let catalog = world.market.child("catalog");
    until("the catalogue has 2 replicas", Duration::from_secs(SCALE_SECONDS_MAX), async || {
        let scaler = world.cluster.get(AUTOSCALER, &catalog).await?.unwrap_or_default();
        let deployment = world.cluster.get(DEPLOYMENT, &catalog).await?.unwrap_or_default();
        let wide = scaler["spec"]["minReplicas"] == 2 && at_least_two(&deployment);
        Ok(when(wide && is_rolled_out(&deployment)))
    })
    .await?;
    for turn in 0..RECONCILES {
        let touched = json!({ "metadata": { "annotations": { "agora-e2e/turn": turn.to_string() } } });
        world.market.change(&touched).await?;
        tokio::time::sleep(RECONCILE_APART).await;
        let deployment = world.cluster.get(DEPLOYMENT, &catalog).await?.unwrap_or_default();
        ensure!(at_least_two(&deployment), "replicas are {} after reconcile {turn}", deployment["spec"]["replicas"]);
    }
    println!("    2 replicas over {RECONCILES} reconciles");
    world.market.ready().await
}

/// Load may have called for more than the minimum.
fn at_least_two(deployment: &Value) -> bool {
    deployment["spec"]["replicas"].as_u64().is_some_and(|replicas| replicas >= 2)
}

pub async fn a_changed_setting_rolls_only_its_service(world: &World) -> anyhow::Result<()> {
    let before = pods(world).await?;
    let cart = world.market.child("cart");
    let services = json!([
        { "name": "catalog", "scaling": { "minReplicas": 2 } },
        { "name": "cart", "env": [{ "name": "RUST_LOG", "value": "info" }] },
    ]);
    let old = world.cluster.get(DEPLOYMENT, &cart).await?.unwrap_or_default();
    world.market.change(&json!({ "spec": { "services": services } })).await?;
    until("the cart has rolled", Duration::from_secs(ROLL_SECONDS_MAX), async || {
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
    println!("    only the cart's pods are new");
    Ok(())
}

/// Templates that the running pods were made from, by service: load may change how many there are.
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
