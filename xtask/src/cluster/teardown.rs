//! Ends the local cluster and puts the host back as it was. The order matters: sandboxes are torn down while kubelet is
//! still there, and what is left over is removed afterwards by force. Harmless on a host without a cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::cluster::network::{self, Host};
use crate::cluster::{kubectl, node, processes};
use crate::command::{command, output, run, succeeds, until};
use crate::environment::Places;
use crate::progress::{note, step};

const GRACE: Duration = Duration::from_secs(20);
/// Stopped in this order, after kubelet and kube-proxy.
const REST: [&str; 8] =
    ["containerd", "scheduler", "controller-manager", "apiserver", "etcd", "kafka", "redis", "postgres"];
/// What stays with `--keep-data`: the cluster goes on where it was at the next `up`.
const DATA: [&str; 7] = ["etcd", "pki", "kubeconfig", "postgres", "kafka", "redis", "before.json"];

pub fn down(places: &Places, keep_data: bool) -> Result<()> {
    if !keep_data && processes::alive(places, "apiserver").is_some() {
        step("delete workloads and pods", || {
            delete_workloads(places);
            Ok(())
        })?;
    }
    step("stop kubelet and kube-proxy", || stop_all(places, &["kubelet", "proxy"]))?;
    step("remove what is left of the pods", || {
        remove_tasks(places);
        Ok(())
    })?;
    step("stop containerd, control plane and data services", || stop_all(places, &REST))?;
    step("unmount, and remove network namespaces and cgroups", || remove_leftovers(places))?;
    if let Some(host) = network::recorded(places) {
        step("restore rules, interfaces and kernel settings", || restore(places, &host))?;
    }
    step("remove the state folder", || remove_state(places, keep_data))?;
    if keep_data {
        note(&format!("data kept in {}", places.state.display()));
    }
    Ok(())
}

/// Forgets what a boot of the machine has made void: runtime state that names mounts and namespaces that are gone.
pub fn forget_other_boot(places: &Places) -> Result<()> {
    for folder in ["containerd", "kubelet", "ipam", "pods", "run"] {
        remove(&places.state.join(folder))?;
    }
    Ok(())
}

fn delete_workloads(places: &Places) {
    // Best effort: whatever stays is removed by force below.
    let kinds = "deploy,job,cronjob,statefulset,daemonset,replicaset";
    let _ = run(&mut kubectl(places, ["delete", kinds, "-A", "--all", "--wait=false", "--request-timeout=10s"]));
    let _ = run(&mut kubectl(places, ["delete", "pod", "-A", "--all", "--grace-period=1", "--timeout=30s"]));
    until(Duration::from_secs(10), || {
        output(node::ctr(places).args(["tasks", "ls", "-q"])).is_ok_and(|ids| ids.is_empty())
    });
}

fn stop_all(places: &Places, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| processes::stop(places, name, GRACE))
}

fn remove_tasks(places: &Places) {
    if processes::alive(places, "containerd").is_none() {
        return kill_shims(places);
    }
    let list = |what: &str| output(node::ctr(places).args([what, "ls", "-q"])).unwrap_or_default();
    for id in list("tasks").lines() {
        let _ = run(node::ctr(places).args(["tasks", "kill", "-s", "SIGKILL", id]));
    }
    for id in list("containers").lines() {
        succeeds(node::ctr(places).args(["tasks", "rm", "-f", id]));
        succeeds(node::ctr(places).args(["containers", "rm", id]));
    }
    kill_shims(places);
}

/// Shims outlive containerd. Ours name our socket in their command line; each takes its container with it.
fn kill_shims(places: &Places) {
    let socket = places.containerd_socket();
    let shims =
        || matching(|words| words[0].contains("containerd-shim") && words.iter().any(|word| Path::new(word) == socket));
    for pid in shims() {
        for child in children(pid) {
            succeeds(&mut command("kill", ["-9", &child.to_string()]));
        }
        succeeds(&mut command("kill", ["-9", &pid.to_string()]));
    }
    until(Duration::from_secs(5), || shims().is_empty());
}

/// Processes whose command line fulfils the condition.
fn matching(wanted: impl Fn(&[&str]) -> bool) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let fulfils = |pid: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&str> = line.split('\0').collect();
        !line.is_empty() && wanted(&words)
    };
    pids.filter(fulfils).collect()
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn remove_leftovers(places: &Places) -> Result<()> {
    unmount_below(&places.state)?;
    for namespace in named("/run/netns", "cni-") {
        let name = namespace.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A stale name is a plain file.
        if !succeeds(&mut command("ip", ["netns", "del", &name])) {
            let _ = std::fs::remove_file(&namespace);
        }
    }
    for file in named("/var/lib/cni/results", node::CNI_NETWORK).into_iter().chain(own_loopbacks(places)) {
        let _ = std::fs::remove_file(file);
    }
    for link in named("/var/log/containers", "") {
        if std::fs::read_link(&link).is_ok_and(|target| target.starts_with(&places.state)) {
            let _ = std::fs::remove_file(link);
        }
    }
    let groups = ["/sys/fs/cgroup", "-depth", "-path", "*/kubepods*", "-type", "d", "-exec", "rmdir", "{}", "+"];
    until(Duration::from_secs(5), || succeeds(&mut command("find", groups)));
    Ok(())
}

/// Results of the loopback plugin do not name the network that they belong to; those before this cluster are not its own.
fn own_loopbacks(places: &Places) -> Vec<PathBuf> {
    let written = |file: &Path| file.metadata().and_then(|data| data.modified()).ok();
    let Some(begun) = written(&places.state.join("before.json")) else { return Vec::new() };
    let mut files = named("/var/lib/cni/results", "cni-loopback-");
    files.retain(|file| written(file).is_some_and(|at| at >= begun));
    files
}

fn restore(places: &Places, host: &Host) -> Result<()> {
    succeeds(&mut command(places.bin.join("kube-proxy"), ["--cleanup"]));
    network::restore(places, host)
}

/// Mounts that hang below the folder, deepest first.
fn unmount_below(folder: &Path) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    let mut points: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    points.retain(|point| Path::new(point).starts_with(folder) && Path::new(point) != folder);
    points.sort_unstable();
    points.iter().rev().try_for_each(|point| run(&mut command("umount", ["-l", point])))
}

fn named(folder: &str, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let wanted = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    wanted.map(|entry| entry.path()).collect()
}

fn remove_state(places: &Places, keep_data: bool) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(&places.state) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !(keep_data && DATA.contains(&name.as_str())) {
            remove(&entry.path())?;
        }
    }
    if !keep_data {
        std::fs::remove_dir(&places.state)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    if path.is_dir() && !path.is_symlink() {
        run(command("rm", ["-rf", "--one-file-system"]).arg(path))
    } else if path.exists() {
        Ok(std::fs::remove_file(path)?)
    } else {
        Ok(())
    }
}
