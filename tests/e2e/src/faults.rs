//! Faults of one machine: processes of pods that die at once, and a broker that stops answering.
//!
//! Signals only processes of pods in the namespace under test, and the broker that `cargo xtask up` started.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use serde_json::Value;
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

/// The broker goes quiet for a while: sockets stay open and nobody answers.
pub async fn pause_broker(settings: &Settings, quiet: Duration) -> anyhow::Result<()> {
    let pid = broker(settings)?;
    signal("STOP", pid).await?;
    tokio::time::sleep(quiet).await;
    signal("CONT", pid).await
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

fn broker(settings: &Settings) -> anyhow::Result<u32> {
    let file = settings.state.join("run/kafka.pid.json");
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?)?;
    let pid = record["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).context("the record has no pid")?;
    let command = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("cmdline"))?;
    if !command.contains("kafka") {
        bail!("process {pid} is no broker");
    }
    Ok(pid)
}

async fn signal(name: &str, pid: u32) -> anyhow::Result<()> {
    let done = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().await?;
    if !done.success() {
        bail!("kill -{name} {pid} failed");
    }
    Ok(())
}
