//! Fault injection: kills processes of pods, and causes outages of the local data services.
//!
//! Signals only processes of pods in the namespace under test; `cargo xtask fault` signals the data services.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::{
    cluster::{POD, name, uid},
    market::Market,
    settings::Settings,
};

/// Name of the service process in a pod.
const PROGRAM: &str = "agora";

/// Sends SIGKILL to the processes of all pods of a service, like the kernel's OOM killer. Returns the number of killed
/// processes.
pub async fn kill_pods(market: &Market, service: &str) -> anyhow::Result<usize> {
    let selector = format!("app.kubernetes.io/instance={},app.kubernetes.io/name={service}", market.name);
    let mut killed = 0;
    let all = market.cluster.list(POD, &selector).await?;
    for pod in all.iter().filter(|pod| pod["status"]["phase"] == "Running") {
        let pids = processes(uid(pod))?;
        if pids.is_empty() {
            bail!("no process of pod {} on this machine", name(pod));
        }
        for pid in pids {
            killed += usize::from(signal("KILL", pid).await.is_ok());
        }
    }
    Ok(killed)
}

/// Kind of outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The process ends and is restarted: connections are closed and refused.
    Down,
    /// The process is suspended: connections stay open, requests get no response.
    Unresponsive,
}

/// Causes an outage of a data service (`postgres`, `kafka`, `redis`) and returns when the service is back.
pub async fn outage(settings: &Settings, service: &str, how: Outage, time: Duration) -> anyhow::Result<()> {
    let mut xtask = Command::new(settings.programs.join("xtask"));
    xtask.args(["fault", service, "--seconds", &time.as_secs().to_string()]).current_dir(&settings.repo);
    if how == Outage::Unresponsive {
        xtask.arg("--quiet");
    }
    let done = xtask.output().await.context("running xtask")?;
    if !done.status.success() {
        bail!("xtask fault {service} failed: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

/// Pids of service processes whose control group contains the pod's uid; excludes the sandbox process.
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
