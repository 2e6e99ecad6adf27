//! Stops the local cluster and restores the host. Pods are deleted while kubelet still runs; remaining objects are
//! removed afterwards. Idempotent, and safe on a host without a cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::cluster::network::{self, Host};
use crate::cluster::{kubectl, node, processes};
use crate::command::{command, output, run, succeeds, until};
use crate::environment::Paths;
use crate::progress::{note, step};

const GRACE: Duration = Duration::from_secs(20);
/// Stopped in this order, after kubelet and kube-proxy.
const REST: [&str; 10] = [
    "prometheus",
    "collector",
    "containerd",
    "scheduler",
    "controller-manager",
    "apiserver",
    "etcd",
    "kafka",
    "redis",
    "postgres",
];
/// Entries of the state folder that `--keep-data` keeps, so that the next `up` continues with the same data.
const DATA: [&str; 7] = ["etcd", "pki", "kubeconfig", "postgres", "kafka", "redis", "before.json"];

pub fn down(paths: &Paths, keep_data: bool) -> Result<()> {
    if !keep_data && processes::alive(paths, "apiserver").is_some() {
        step("delete workloads and pods", || {
            delete_workloads(paths);
            Ok(())
        })?;
    }
    step("stop kubelet and kube-proxy", || stop_all(paths, &["kubelet", "proxy"]))?;
    step("remove remaining containers", || {
        remove_tasks(paths);
        Ok(())
    })?;
    step("stop containerd, control plane and data services", || stop_all(paths, &REST))?;
    step("remove mounts, network namespaces and cgroups", || remove_leftovers(paths))?;
    if let Some(host) = network::recorded(paths) {
        step("restore iptables, interfaces and kernel settings", || restore(paths, &host))?;
    }
    step("remove the state folder", || remove_state(paths, keep_data))?;
    if keep_data {
        note(&format!("data kept in {}", paths.state.display()));
    }
    Ok(())
}

/// Removes runtime state that references mounts and namespaces of an earlier boot of the machine.
pub fn remove_state_of_other_boot(paths: &Paths) -> Result<()> {
    for folder in ["containerd", "kubelet", "ipam", "pods", "run"] {
        remove(&paths.state.join(folder))?;
    }
    Ok(())
}

fn delete_workloads(paths: &Paths) {
    // Errors are ignored: `remove_tasks` removes what remains.
    let kinds = "deploy,job,cronjob,statefulset,daemonset,replicaset";
    let _ = run(&mut kubectl(paths, ["delete", kinds, "-A", "--all", "--wait=false", "--request-timeout=10s"]));
    let _ = run(&mut kubectl(paths, ["delete", "pod", "-A", "--all", "--grace-period=1", "--timeout=30s"]));
    until(Duration::from_secs(10), || {
        output(node::ctr(paths).args(["tasks", "ls", "-q"])).is_ok_and(|ids| ids.is_empty())
    });
}

fn stop_all(paths: &Paths, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| processes::stop(paths, name, GRACE))
}

fn remove_tasks(paths: &Paths) {
    if processes::alive(paths, "containerd").is_none() {
        return kill_shims(paths);
    }
    let list = |what: &str| output(node::ctr(paths).args([what, "ls", "-q"])).unwrap_or_default();
    for id in list("tasks").lines() {
        let _ = run(node::ctr(paths).args(["tasks", "kill", "-s", "SIGKILL", id]));
    }
    for id in list("containers").lines() {
        succeeds(node::ctr(paths).args(["tasks", "rm", "-f", id]));
        succeeds(node::ctr(paths).args(["containers", "rm", id]));
    }
    kill_shims(paths);
}

/// Kills containerd shims, which outlive containerd, and their containers. Those of this cluster have its socket in
/// their command line.
fn kill_shims(paths: &Paths) {
    let socket = paths.containerd_socket();
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

/// Processes whose command line matches `wanted`.
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

fn remove_leftovers(paths: &Paths) -> Result<()> {
    unmount_below(&paths.state)?;
    for namespace in named("/run/netns", "cni-") {
        let name = namespace.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A stale namespace is a regular file.
        if !succeeds(&mut command("ip", ["netns", "del", &name])) {
            let _ = std::fs::remove_file(&namespace);
        }
    }
    for file in named("/var/lib/cni/results", node::CNI_NETWORK).into_iter().chain(own_loopbacks(paths)) {
        let _ = std::fs::remove_file(file);
    }
    for link in named("/var/log/containers", "") {
        if std::fs::read_link(&link).is_ok_and(|target| target.starts_with(&paths.state)) {
            let _ = std::fs::remove_file(link);
        }
    }
    let groups = ["/sys/fs/cgroup", "-depth", "-path", "*/kubepods*", "-type", "d", "-exec", "rmdir", "{}", "+"];
    until(Duration::from_secs(5), || succeeds(&mut command("find", groups)));
    Ok(())
}

/// Results of the loopback plugin that are newer than this cluster; they do not contain the name of their network.
fn own_loopbacks(paths: &Paths) -> Vec<PathBuf> {
    let written = |file: &Path| file.metadata().and_then(|data| data.modified()).ok();
    let Some(started) = written(&paths.state.join("before.json")) else { return Vec::new() };
    let mut files = named("/var/lib/cni/results", "cni-loopback-");
    files.retain(|file| written(file).is_some_and(|at| at >= started));
    files
}

fn restore(paths: &Paths, host: &Host) -> Result<()> {
    succeeds(&mut command(paths.bin.join("kube-proxy"), ["--cleanup"]));
    network::restore(paths, host)
}

/// Unmounts everything below the folder, deepest first.
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

fn remove_state(paths: &Paths, keep_data: bool) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(&paths.state) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !(keep_data && DATA.contains(&name.as_str())) {
            remove(&entry.path())?;
        }
    }
    if !keep_data {
        std::fs::remove_dir(&paths.state)?;
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
