//! The local cluster: Kubernetes and the data services as processes of this host, from preflight to teardown. Must not
//! depend on Agora's images and manifests.

use std::fs::File;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{command, write};
use crate::environment::Paths;
use crate::progress::{note, step};

pub mod addons;
pub mod control_plane;
pub mod data;
pub mod fault;
pub mod host_changes;
pub mod jars;
pub mod kafka;
pub mod network;
pub mod node;
pub mod observability;
pub mod pki;
pub mod postgres;
pub mod preflight;
pub mod processes;
pub mod teardown;
pub mod tools;
pub mod versions;

/// Starts every process that does not run and returns when all add-ons and data services are ready. Idempotent.
pub fn up(paths: &Paths) -> Result<()> {
    let _lock = lock(paths)?;
    if network::recorded(paths).is_none() && paths.run().exists() {
        step("remove runtime state of an earlier boot", || teardown::remove_state_of_other_boot(paths))?;
    }
    step("preflight checks", || preflight::check(paths))?;
    tools::install(&[&tools::CLUSTER_NEEDS[..], &tools::BUILD_NEEDS[..]].concat())?;
    tools::build(paths)?;
    let jars = jars::ensure(paths)?;
    if network::recorded(paths).is_none() {
        let before = host_changes::snapshot(paths);
        write(&paths.state.join("before.json"), &serde_json::to_string(&before)?)?;
    }
    step("create certificates", || pki::ensure(paths))?;
    step("configure bridge and forwarding", || network::ensure(paths))?;
    step("start etcd and API server", || control_plane::start(paths))?;
    step("start PostgreSQL, Kafka and Redis", || data::start(paths, &jars))?;
    step("wait for the API server", || control_plane::wait(paths))?;
    step("start controller-manager and scheduler", || control_plane::control(paths))?;
    step("start containerd", || node::containerd(paths))?;
    step("load images of the node", || addons::load_images(paths))?;
    step("start kubelet and kube-proxy", || node::join(paths))?;
    step("deploy CoreDNS and metrics-server", || addons::apply(paths).and_then(|()| addons::wait(paths)))?;
    step("wait for PostgreSQL, Kafka and Redis", || data::wait(paths))
}

/// Stops the local cluster and returns the differences between the host now and before `up`. Idempotent.
pub fn down(paths: &Paths, keep_data: bool) -> Result<Vec<String>> {
    if !paths.state.exists() {
        note("the local cluster does not run");
        return Ok(Vec::new());
    }
    let lock = lock(paths)?;
    let before = std::fs::read_to_string(paths.state.join("before.json")).ok();
    teardown::down(paths, keep_data)?;
    drop(lock);
    let Some(before) = before.and_then(|text| serde_json::from_str(&text).ok()) else { return Ok(Vec::new()) };
    Ok(host_changes::differences(&before, &host_changes::snapshot(paths)))
}

/// Whether all processes of the local cluster run.
pub fn is_up(paths: &Paths) -> bool {
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
    parts.iter().all(|name| processes::alive(paths, name).is_some())
}

/// A kubectl command with admin credentials of the local cluster.
pub fn kubectl<'a>(paths: &Paths, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut kubectl = command(paths.bin.join("kubectl"), ["--kubeconfig"]);
    kubectl.arg(paths.kubeconfig("admin")).args(arguments);
    kubectl
}

/// Prevents concurrent runs of `up` and `down`. The operating system releases the lock when this process ends.
fn lock(paths: &Paths) -> Result<File> {
    std::fs::create_dir_all(&paths.cache)?;
    let path = paths.cache.join("cluster.lock");
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => bail!("another `cargo xtask up` or `down` runs; wait until it ends"),
        Err(std::fs::TryLockError::Error(error)) => Err(error).context("locking"),
    }
}
