//! The local cluster: a real Kubernetes with its data services as processes of this host, from preflight to teardown.
//! Knows nothing of Agora's own images and manifests.

use std::fs::File;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{command, write};
use crate::environment::Places;
use crate::progress::{note, step};

pub mod addons;
pub mod control_plane;
pub mod data;
pub mod fault;
pub mod footprint;
pub mod jars;
pub mod kafka;
pub mod network;
pub mod node;
pub mod pki;
pub mod postgres;
pub mod preflight;
pub mod processes;
pub mod teardown;
pub mod tools;

/// Starts what does not run, repairs what is broken, and returns when all add-ons are ready.
pub fn up(places: &Places) -> Result<()> {
    let _lock = lock(places)?;
    if network::recorded(places).is_none() && places.run().exists() {
        step("forget the runtime state of an earlier boot", || teardown::forget_other_boot(places))?;
    }
    step("preflight", || preflight::check(places))?;
    tools::install(&[&tools::CLUSTER_NEEDS[..], &tools::BUILD_NEEDS[..]].concat())?;
    tools::build(places)?;
    let jars = jars::ensure(places)?;
    if network::recorded(places).is_none() {
        let before = footprint::take(places);
        write(&places.state.join("before.json"), &serde_json::to_string(&before)?)?;
    }
    step("certificates", || pki::ensure(places))?;
    step("bridge and forwarding", || network::ensure(places))?;
    step("start etcd and API server", || control_plane::start(places))?;
    step("start PostgreSQL, Kafka and Redis", || data::start(places, &jars))?;
    step("API server answers", || control_plane::wait(places))?;
    step("controllers and scheduler", || control_plane::control(places))?;
    step("containerd", || node::containerd(places))?;
    step("images of the node", || addons::load_images(places))?;
    step("kubelet and kube-proxy", || node::join(places))?;
    step("CoreDNS and metrics-server", || addons::apply(places).and_then(|()| addons::wait(places)))?;
    step("PostgreSQL, Kafka and Redis answer", || data::wait(places))
}

/// Ends the local cluster; says what differs from the host before `up`.
pub fn down(places: &Places, keep_data: bool) -> Result<Vec<String>> {
    if !places.state.exists() {
        note("no local cluster here");
        return Ok(Vec::new());
    }
    let lock = lock(places)?;
    let before = std::fs::read_to_string(places.state.join("before.json")).ok();
    teardown::down(places, keep_data)?;
    drop(lock);
    let Some(before) = before.and_then(|text| serde_json::from_str(&text).ok()) else { return Ok(Vec::new()) };
    Ok(footprint::differences(&before, &footprint::take(places)))
}

/// Whether the local cluster's parts all run.
pub fn is_up(places: &Places) -> bool {
    let parts = [
        "etcd",
        "apiserver",
        "controller-manager",
        "scheduler",
        "containerd",
        "kubelet",
        "proxy",
        "postgres",
        "kafka",
        "redis",
    ];
    parts.iter().all(|name| processes::alive(places, name).is_some())
}

/// The kubectl of the local cluster.
pub fn kubectl<'a>(places: &Places, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut kubectl = command(places.bin.join("kubectl"), ["--kubeconfig"]);
    kubectl.arg(places.kubeconfig("admin")).args(arguments);
    kubectl
}

/// One `up` or `down` at a time; the lock ends with this process.
fn lock(places: &Places) -> Result<File> {
    std::fs::create_dir_all(&places.cache)?;
    let path = places.cache.join("cluster.lock");
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => bail!("another `cargo xtask up` or `down` runs; wait for its end"),
        Err(std::fs::TryLockError::Error(error)) => Err(error).context("locking"),
    }
}
