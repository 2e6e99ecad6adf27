//! Scenario of autoscaling: load raises the replicas, and the operator does not reset them.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use agora_e2e::{
    cluster::{AUTOSCALER, DEPLOYMENT, text},
    wait::{until, when},
    world::{OPERATOR_NAMESPACE, World},
};
use agora_shopper::{Shop, client::Call};
use anyhow::{Context, ensure};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::process::Command;

const SERVICE: &str = "catalog";
const BROWSERS: usize = 4;
/// Time limit of scaling: metrics are up to 15 s old and the autoscaler runs every 15 s; the rest allows for pod
/// starts.
const SCALE_SECONDS_MAX: u64 = 120;
const RECONCILES: u64 = 100;
/// Interval of changes; reconciles of one Marketplace are at least 250 ms apart.
const RECONCILE_INTERVAL: Duration = Duration::from_millis(260);
const RECONCILES_SECONDS_MAX: u64 = 120;
const METRIC: &str = "operator_reconcile_seconds_count";

pub async fn da10_load_scales_a_service_and_reconciles_keep_its_replicas(world: &World) -> anyhow::Result<()> {
    let (shop, enough, answered) = (world.filled_shop().await?, AtomicBool::new(false), AtomicU64::new(0));
    let before = replicas(world).await?;
    // Earlier scenarios may have scaled the service to its maximum; raise it.
    let room = json!([{ "name": SERVICE, "scaling": { "maxReplicas": before + 2 } }]);
    world.market.change(&json!({ "spec": { "services": room } })).await?;
    let browsing = join_all((0..BROWSERS).map(|_| browse(&shop, &enough, &answered)));
    let scaling = async {
        let scaled = scaled_beyond(world, before).await;
        enough.store(true, Ordering::Relaxed);
        scaled
    };
    let (_, scaled) = tokio::join!(browsing, scaling);
    println!("    {} product pages scaled {SERVICE} from {before} to {} replicas", answered.into_inner(), scaled?);
    stays_scaled(world, before).await
}

async fn browse(shop: &Shop, enough: &AtomicBool, answered: &AtomicU64) {
    while !enough.load(Ordering::Relaxed) {
        let reply = shop.send(&Call::get("/products?limit=50")).await;
        answered.fetch_add(u64::from(reply.status() == Some(200)), Ordering::Relaxed);
    }
}

async fn scaled_beyond(world: &World, before: u64) -> anyhow::Result<u64> {
    until(&format!("load scales {SERVICE}"), Duration::from_secs(SCALE_SECONDS_MAX), async || {
        let deployment = deployment(world).await?;
        let available = deployment["status"]["availableReplicas"].as_u64().unwrap_or_default();
        Ok((available > before).then_some(available))
    })
    .await
}

/// Triggers reconciles and checks that the replicas stay: only the autoscaler may lower them, minutes after the load.
async fn stays_scaled(world: &World, before: u64) -> anyhow::Result<()> {
    let (started, mut turn) = (reconciles(world).await?, 0_u64);
    until(&format!("{RECONCILES} reconciles are done"), Duration::from_secs(RECONCILES_SECONDS_MAX), async || {
        turn += 1;
        let touched = json!({ "metadata": { "annotations": { "agora-e2e/turn": turn.to_string() } } });
        world.market.change(&touched).await?;
        tokio::time::sleep(RECONCILE_INTERVAL).await;
        Ok(when(turn.is_multiple_of(10) && reconciles(world).await? >= started + RECONCILES))
    })
    .await?;
    let (deployment, scaler) = (deployment(world).await?, autoscaler(world).await?);
    let (now, desired) = (&deployment["spec"]["replicas"], &scaler["status"]["desiredReplicas"]);
    ensure!(
        now.as_u64().is_some_and(|now| now > before),
        "{now} replicas after the reconciles, {desired} desired by the autoscaler"
    );
    let owners = owners_of_replicas(&deployment);
    ensure!(!owners.iter().any(|owner| owner.contains("agora")), "field spec.replicas is owned by {owners:?}");
    println!("    {now} replicas after {} reconciles, owned by {owners:?}", reconciles(world).await? - started);
    world.market.ready().await
}

async fn replicas(world: &World) -> anyhow::Result<u64> {
    deployment(world).await?["spec"]["replicas"].as_u64().context("the Deployment has no replicas")
}

async fn deployment(world: &World) -> anyhow::Result<Value> {
    Ok(world.cluster.get(DEPLOYMENT, &world.market.child(SERVICE)).await?.unwrap_or_default())
}

async fn autoscaler(world: &World) -> anyhow::Result<Value> {
    Ok(world.cluster.get(AUTOSCALER, &world.market.child(SERVICE)).await?.unwrap_or_default())
}

/// Field managers that own `spec.replicas`.
fn owners_of_replicas(deployment: &Value) -> Vec<String> {
    let entries = deployment["metadata"]["managedFields"].as_array().into_iter().flatten();
    let owning = entries.filter(|entry| !entry["fieldsV1"]["f:spec"]["f:replicas"].is_null());
    owning.map(|entry| text(&entry["manager"]).to_owned()).collect()
}

/// Number of reconciles, from the metrics of the operator under test.
async fn reconciles(world: &World) -> anyhow::Result<u64> {
    let pods = world.cluster.of(OPERATOR_NAMESPACE).list(agora_e2e::cluster::POD, "").await?;
    let pod = pods.first().map(agora_e2e::cluster::name).context("the operator has no pod")?;
    let path = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod}:9090/proxy/metrics");
    let kubeconfig = world.settings.kubeconfig.display().to_string();
    let kubectl = world.settings.bin.join("kubectl");
    let read = Command::new(kubectl).args(["--kubeconfig", &kubeconfig, "get", "--raw", &path]).output().await?;
    let text = String::from_utf8_lossy(&read.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(METRIC));
    let line = line.with_context(|| format!("no {METRIC}: {}", String::from_utf8_lossy(&read.stderr)))?;
    line.trim().parse().with_context(|| format!("{METRIC}{line}"))
}
