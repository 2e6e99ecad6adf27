//! Preconditions of the local cluster. The error lists every violation with its remedy. Changes nothing.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::cluster::{network, processes, tools, versions};
use crate::command::{command, output, succeeds, until};
use crate::environment::{Paths, which};

const MEMORY_FREE_MIB_MIN: u64 = 6 * 1024;
const SETTLING_TIME_MAX: Duration = Duration::from_secs(3);
const DISK_FREE_MIB_MIN: u64 = 15 * 1024;
/// Address ranges of pods and of Services.
const RANGES: [&str; 2] = ["10.244.0.0/24", "10.96.0.0/16"];
/// Required ports, and the local cluster's process that uses each.
const PORTS: [(u16, &str); 18] = [
    (2379, "etcd"),
    (2380, "etcd"),
    (6443, "apiserver"),
    (10248, "kubelet"),
    (10249, "proxy"),
    (10250, "kubelet"),
    (10256, "proxy"),
    (10257, "controller-manager"),
    (10259, "scheduler"),
    (15432, "postgres"),
    (16379, "redis"),
    (16380, "redis"),
    (19092, "kafka"),
    (19093, "kafka"),
    (19192, "kafka"),
    (19193, "kafka"),
    (30080, "proxy"),
    (30081, "proxy"),
];

pub fn check(paths: &Paths) -> Result<()> {
    let mut faults = Vec::new();
    // A process that was just killed holds its port for a moment.
    let fine = until(SETTLING_TIME_MAX, || {
        faults = [machine(paths), programs(paths), ports(paths), foreign_cluster(paths)].concat();
        faults.is_empty()
    });
    if fine {
        return Ok(());
    }
    bail!("the local cluster cannot run on this machine:\n- {}", faults.join("\n- "));
}

fn machine(paths: &Paths) -> Vec<String> {
    let mut faults = Vec::new();
    if !tools::is_root() {
        faults.push("not root: the cluster creates namespaces, mounts and iptables rules; run as root, or use an existing cluster: cargo xtask up --context NAME".to_owned());
    }
    if paths.state.to_string_lossy().contains(char::is_whitespace) {
        faults.push(format!(
            "the path of the state folder contains white space: {}; set AGORA_STATE to another folder",
            paths.state.display()
        ));
    }
    let free = memory_free_mib(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default());
    if free < MEMORY_FREE_MIB_MIN && processes::names(paths).is_empty() {
        faults.push(format!(
            "{free} MiB of memory are free, {MEMORY_FREE_MIB_MIN} MiB are required; stop other programs"
        ));
    }
    let disk = disk_free_mib(&paths.state);
    if disk.is_some_and(|free| free < DISK_FREE_MIB_MIN) {
        let free = disk.unwrap_or_default();
        faults.push(format!("{free} MiB of disk are free at {}, {DISK_FREE_MIB_MIN} MiB are required; delete files, or set AGORA_STATE and XDG_CACHE_HOME", paths.state.display()));
    }
    faults
}

fn programs(paths: &Paths) -> Vec<String> {
    let mut faults = Vec::new();
    let missing = tools::missing(&[&tools::CLUSTER_NEEDS[..], &tools::BUILD_NEEDS[..]].concat());
    if !tools::may_install() {
        faults
            .extend(missing.iter().map(|(file, package)| format!("{file} is missing; install the package {package}")));
    }
    faults.extend(versions::go_fault(paths));
    // A missing Java is among the packages.
    faults.extend(which("java").and_then(|_| versions::java_fault()));
    faults
}

fn ports(paths: &Paths) -> Vec<String> {
    let ours = |name: &str| processes::alive(paths, name).is_some();
    let taken = PORTS.iter().filter(|(port, owner)| !ours(owner) && TcpListener::bind(("0.0.0.0", *port)).is_err());
    taken
        .map(|(port, owner)| {
            format!("port {port} is in use, {owner} needs it; find the process: ss -ltnp 'sport = :{port}'")
        })
        .collect()
}

/// Signs of another cluster on this host, which the local cluster would disturb.
fn foreign_cluster(paths: &Paths) -> Vec<String> {
    let instead = "the local cluster would disturb it; use that cluster: cargo xtask up --context NAME";
    let mut faults = Vec::new();
    for pid in kubelets() {
        if processes::alive(paths, "kubelet") != Some(pid) {
            faults.push(format!("another kubelet runs on this host (pid {pid}): {instead}"));
        }
    }
    if network::recorded(paths).is_some() {
        return faults;
    }
    if which("iptables-save").is_some() && network::has_service_chains() {
        faults.push(format!("the iptables chain KUBE-SERVICES belongs to another cluster: {instead}"));
    }
    if which("ip").is_some() {
        if succeeds(&mut command("ip", ["link", "show", network::BRIDGE])) {
            faults.push(format!("the interface {} belongs to another cluster: {instead}", network::BRIDGE));
        }
        let routes = output(&mut command("ip", ["-4", "route", "show", "table", "all"])).unwrap_or_default();
        for range in RANGES {
            if let Some(route) = routes.lines().find(|route| overlaps(range, route)) {
                faults.push(format!(
                    "the address range {range} is in use by route `{}`; remove the route, or if it belongs to another cluster: {instead}",
                    route.trim()
                ));
            }
        }
    }
    faults
}

fn kubelets() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    pids.filter(|pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "kubelet")
    })
    .collect()
}

fn memory_free_mib(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib / 1024)
}

/// Free disk space at the nearest existing parent folder.
fn disk_free_mib(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let text = output(command("df", ["--output=avail", "-BM"]).arg(there)).ok()?;
    text.lines().last()?.trim().trim_end_matches('M').parse().ok()
}

/// Whether the route's destination (its first address) overlaps the range; the default route does not count.
fn overlaps(range: &str, route: &str) -> bool {
    let destination = route.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    match (destination.and_then(network_of), network_of(range)) {
        (Some((a, a_length)), Some((b, b_length))) => {
            let shared = a_length.min(b_length);
            shared > 0 && a >> (32 - shared) == b >> (32 - shared)
        }
        _ => false,
    }
}

fn network_of(text: &str) -> Option<(u32, u32)> {
    let (address, length) = text.split_once('/').unwrap_or((text, "32"));
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    Some((address.into(), length.parse().ok().filter(|length| *length <= 32)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_inside_or_around_the_range_overlaps() {
        assert!(overlaps("10.96.0.0/16", "10.96.5.0/24 dev eth1 scope link"));
        assert!(overlaps("10.96.0.0/16", "10.0.0.0/8 via 10.0.0.1 dev tun0"));
        assert!(overlaps("10.244.0.0/24", "broadcast 10.244.0.255 dev cni0 table local"));
    }

    #[test]
    fn other_routes_and_the_default_route_do_not_overlap() {
        assert!(!overlaps("10.96.0.0/16", "default via 192.0.2.1 dev eth0"));
        assert!(!overlaps("10.96.0.0/16", "192.0.2.0/24 dev eth0 proto kernel"));
        assert!(!overlaps("10.244.0.0/24", "10.244.1.0/24 dev eth0"));
    }

    #[test]
    fn free_memory_is_read_from_mem_available() {
        assert_eq!(memory_free_mib("MemTotal: 9 kB\nMemAvailable:    2097152 kB\n"), 2048);
    }
}
