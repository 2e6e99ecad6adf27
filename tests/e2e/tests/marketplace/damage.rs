//! Scenarios of damage: deleted and edited child objects, killed pods. The operator must repair them in time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use agora_e2e::{
    cluster::{
        AUTOSCALER, BUDGET, CHILDREN, CONFIG_MAP, Cluster, DEPLOYMENT, INGRESS, Kind, NETWORK_POLICY, SECRET, SERVICE,
        SERVICE_ACCOUNT, name, uid,
    },
    faults,
    market::replaced,
    wait::{until, when},
    world::World,
};
use agora_shopper::load;
use agora_topology::ALL;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{
    install::{invariants_hold_at_rest, load_profile},
    production,
};

/// Time limit of a repair. The target is 1 s at p99; the limit allows for a busy machine.
const REPAIR_SECONDS_MAX: u64 = 10;
/// Kinds of child objects that the Marketplace of the production sample has and the minimal one has not.
const OF_PRODUCTION: [Kind; 2] = [BUDGET, INGRESS];
const TAMPERED: &str = "tampered";
const LOAD_SECONDS: u32 = 40;
const BETWEEN_KILLS: Duration = Duration::from_secs(5);

pub async fn deleted_children_of_every_kind_are_recreated(world: &World) -> anyhow::Result<()> {
    for kind in CHILDREN.into_iter().filter(|kind| !OF_PRODUCTION.contains(kind)) {
        deleted(world, kind).await?;
    }
    world.market.ready().await?;
    let shop = world.shop().await?;
    agora_shopper::buy_one(&shop).await?;
    Ok(())
}

/// Requires the Marketplace of the production scenario.
pub async fn deleted_and_edited_budgets_and_ingresses_are_restored(world: &World) -> anyhow::Result<()> {
    let world = &world.with_marketplace(production::NAME);
    world.market.ready().await?;
    for kind in OF_PRODUCTION {
        deleted(world, kind).await?;
        relabelled(world, kind).await?;
    }
    edited(world, BUDGET, "/spec/maxUnavailable", &json!({ "spec": { "maxUnavailable": 2 } })).await?;
    edited(world, INGRESS, "/spec/ingressClassName", &json!({ "spec": { "ingressClassName": TAMPERED } })).await?;
    world.market.ready().await
}

/// Deletes a child object of this kind, and waits until the operator has created it again. Among the Secrets one of a
/// database: the deletion of other generated credentials is a rotation.
async fn deleted(world: &World, kind: Kind) -> anyhow::Result<()> {
    let children = world.market.children_of(kind).await?;
    let child = children.iter().find(|child| kind != SECRET || name(child).ends_with("-database"));
    let child = child.with_context(|| format!("{} has no {}", world.market.name, kind.word))?;
    let (child, old, started) = (name(child).to_owned(), uid(child).to_owned(), Instant::now());
    world.cluster.delete(kind, &child).await?;
    replaced(&world.cluster, kind, &child, &old, Duration::from_secs(REPAIR_SECONDS_MAX)).await?;
    println!("    {:<24} {child} recreated after {} ms", kind.word, started.elapsed().as_millis());
    Ok(())
}

/// Deletes one Deployment; an outage of a data service must not prevent its repair.
pub async fn a_deleted_deployment_is_recreated(world: &World) -> anyhow::Result<()> {
    let child = world.market.child("user");
    let before =
        world.cluster.get(DEPLOYMENT, &child).await?.context("the Deployment of service user does not exist")?;
    let started = Instant::now();
    world.cluster.delete(DEPLOYMENT, &child).await?;
    replaced(&world.cluster, DEPLOYMENT, &child, uid(&before), Duration::from_secs(REPAIR_SECONDS_MAX)).await?;
    println!("    Deployment {child} recreated after {} ms", started.elapsed().as_millis());
    Ok(())
}

pub async fn edited_children_of_every_kind_are_repaired(world: &World) -> anyhow::Result<()> {
    for kind in [SERVICE_ACCOUNT, CONFIG_MAP, SECRET, NETWORK_POLICY, SERVICE, DEPLOYMENT, AUTOSCALER] {
        relabelled(world, kind).await?;
    }
    let limit = json!({ "spec": { "progressDeadlineSeconds": 599 } });
    edited(world, DEPLOYMENT, "/spec/progressDeadlineSeconds", &limit).await?;
    edited(world, AUTOSCALER, "/spec/maxReplicas", &json!({ "spec": { "maxReplicas": 9 } })).await?;
    let settings = world.market.children_of(CONFIG_MAP).await?;
    let key = settings
        .first()
        .and_then(|map| map["data"].as_object()?.keys().next().cloned())
        .context("no ConfigMap has a setting")?;
    let pointer = format!("/data/{}", key.replace('~', "~0").replace('/', "~1"));
    edited(world, CONFIG_MAP, &pointer, &json!({ "data": { key: TAMPERED } })).await?;
    world.market.ready().await
}

/// Changes a label of a child object, and waits until the operator has restored it.
async fn relabelled(world: &World, kind: Kind) -> anyhow::Result<()> {
    let label = json!({ "metadata": { "labels": { "app.kubernetes.io/part-of": TAMPERED } } });
    edited(world, kind, "/metadata/labels/app.kubernetes.io~1part-of", &label).await
}

/// Changes a field of the first child object that has it, and waits until the operator has restored it. It is an error if
/// no child object has the field.
async fn edited(world: &World, kind: Kind, pointer: &str, change: &Value) -> anyhow::Result<()> {
    let children = world.market.children_of(kind).await?;
    let child = children.iter().find(|child| child.pointer(pointer).is_some());
    let child = child.with_context(|| format!("no {} of {} has {pointer}", kind.word, world.market.name))?;
    let (child, before) = (name(child).to_owned(), child.pointer(pointer).cloned());
    ensure!(
        before != change.pointer(pointer).cloned(),
        "{} {child}: the field has the changed value already",
        kind.word
    );
    world.cluster.merge(kind, &child, change).await?;
    let started = Instant::now();
    let what = format!("{} {child} has its previous {pointer}", kind.word);
    until(&what, Duration::from_secs(REPAIR_SECONDS_MAX), async || {
        let now = read(&world.cluster, kind, &child).await?;
        Ok(when(now.pointer(pointer).cloned() == before))
    })
    .await?;
    println!("    {:<24} {child} {pointer} restored after {} ms", kind.word, started.elapsed().as_millis());
    Ok(())
}

async fn read(cluster: &Cluster, kind: Kind, child: &str) -> anyhow::Result<Value> {
    Ok(cluster.get(kind, child).await?.unwrap_or_default())
}

pub async fn killed_pods_lose_no_order(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let load = load_profile(world, LOAD_SECONDS).await?;
    let kills = async {
        let mut killed = BTreeMap::new();
        for service in ALL.iter().map(|service| service.name) {
            tokio::time::sleep(BETWEEN_KILLS).await;
            killed.insert(service, faults::kill_pods(&world.market, service).await?);
        }
        anyhow::Ok(killed)
    };
    let (run, killed) = tokio::join!(load::run(&shop, &load), kills);
    let (run, killed) = (run?, killed?);
    println!("    killed processes by service: {killed:?}\n{}", run.summary);
    ensure!(killed.values().all(|&count| count > 0), "a service had no process to kill: {killed:?}");
    world.market.ready().await?;
    invariants_hold_at_rest(world, &shop, &run).await
}
