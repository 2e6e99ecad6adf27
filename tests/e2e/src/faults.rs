//! Faults of one machine: processes of pods that die at once, and data services of the local cluster that go away.
//!
//! Signals only processes of pods in the namespace under test; the data services are `cargo xtask fault`'s.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::{
    cluster::{POD, name, uid},
    market::Market,
    settings::Settings,
};

/// What the services' image runs.
const PROGRAM: &str = "agora";

/// Kills every service process of a service's pods, as the kernel does when memory ends. Returns how many died.
pub async fn kill_pods(market: &Market, service: &str) -> anyhow::Result<usize> {
    let selector = format!("app.kubernetes.io/instance={},app.kubernetes.io/name={service}", market.name);
    let mut killed = 0;
    let all = market.cluster.list(POD, &selector).await?;
    for pod in all.iter().filter(|pod| pod["status"]["phase"] == "Running") {
        let pids = processes(uid(pod))?;
        if pids.is_empty() {
            bail!("pod {} has no process on this machine", name(pod));
        }
        for pid in pids {
            killed += usize::from(signal("KILL", pid).await.is_ok());
        }
    }
    Ok(killed)
}

/// How a data service fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// It ends without warning and is started again: connections are cut and refused.
    Away,
    /// Connections stay open, and nobody answers.
    Quiet,
}

/// A data service (`postgres`, `kafka`, `redis`) fails for a while.
pub async fn outage(settings: &Settings, service: &str, how: Outage, time: Duration) -> anyhow::Result<()> {
    let mut xtask = Command::new(settings.programs.join("xtask"));
    xtask.args(["fault", service, "--seconds", &time.as_secs().to_string()]).current_dir(&settings.repo);
    if how == Outage::Quiet {
        xtask.arg("--quiet");
    }
    let done = xtask.output().await.context("running xtask")?;
    if !done.status.success() {
        bail!("xtask fault {service}: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

/// Service processes whose control group names the pod; not those that hold its network.
fn processes(pod: &str) -> anyhow::Result<Vec<u32>> {
    let names = [format!("pod{pod}"), format!("pod{}", pod.replace('-', "_"))];
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let of_pod = names.iter().any(|name| read("cgroup").contains(name));
        if of_pod && read("comm").trim_end() == PROGRAM {
            found.push(pid);
        }
    }
    Ok(found)
}

async fn signal(name: &str, pid: u32) -> anyhow::Result<()> {
    let done = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().await?;
    if !done.success() {
        bail!("kill -{name} {pid} failed");
    }
    Ok(())
}
