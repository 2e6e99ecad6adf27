//! The pod network on the host: the bridge with the node's address, forwarding rules, and the recorded state that
//! `restore` puts back. Must not depend on Kubernetes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cluster::processes::boot_id;
use crate::command::{command, feed, output, run, succeeds, write};
use crate::environment::Paths;

pub const BRIDGE: &str = "cni0";
/// Comment that identifies the rules of this module in chain FORWARD.
const COMMENT: &str = "agora local cluster";
/// Folders below /proc/sys in which a node changes settings (kubelet: vm and kernel; kube-proxy and CNI: net).
const SETTINGS: [&str; 7] =
    ["vm", "kernel", "kernel/keys", "net/ipv4", "net/ipv4/conf/all", "net/ipv4/conf/default", "net/netfilter"];
const FORWARDING: &str = "net/ipv4/ip_forward";
/// Folders that a container runtime creates outside its state folder.
const FOLDERS: [&str; 6] =
    ["/run/containerd", "/run/netns", "/var/lib/cni", "/var/log/containers", "/var/log/pods", "/var/lib/kubelet"];

/// State of the host before `up` changed it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Host {
    pub boot: String,
    settings: BTreeMap<String, String>,
    /// Those of `FOLDERS` that existed.
    folders: Vec<String>,
}

/// The state recorded at the first `up` since the machine booted; None if there was none.
pub fn recorded(paths: &Paths) -> Option<Host> {
    let host: Host = serde_json::from_str(&std::fs::read_to_string(file(paths)).ok()?).ok()?;
    (host.boot == boot_id()).then_some(host)
}

pub fn ensure(paths: &Paths) -> Result<()> {
    if recorded(paths).is_none() {
        write(&file(paths), &serde_json::to_string_pretty(&observe())?)?;
    }
    run(&mut command("sysctl", ["-qw", "net.ipv4.ip_forward=1"]))?;
    if !succeeds(&mut command("ip", ["link", "show", BRIDGE])) {
        run(&mut command("ip", ["link", "add", BRIDGE, "type", "bridge"]))?;
    }
    if !output(&mut command("ip", ["-4", "addr", "show", "dev", BRIDGE]))?.contains("10.244.0.1/24") {
        run(&mut command("ip", ["addr", "add", "10.244.0.1/24", "dev", BRIDGE]))?;
    }
    run(&mut command("ip", ["link", "set", BRIDGE, "up"]))?;
    for rule in forward_rules() {
        if !succeeds(&mut iptables("-C", &rule)) {
            run(&mut iptables("-I", &rule))?;
        }
    }
    Ok(())
}

/// Removes the bridge, rules and chains, and restores the kernel's settings.
pub fn restore(paths: &Paths, host: &Host) -> Result<()> {
    for rule in forward_rules() {
        while succeeds(&mut iptables("-D", &rule)) {}
    }
    for family in ["iptables", "ip6tables"] {
        for table in ["nat", "filter", "mangle"] {
            without_our_chains(family, table)?;
        }
    }
    if succeeds(&mut command("ip", ["link", "show", BRIDGE])) {
        run(&mut command("ip", ["link", "del", BRIDGE]))?;
    }
    restore_settings(host);
    remove_folders(host);
    let _ = std::fs::remove_file(file(paths));
    Ok(())
}

/// Whether chains of any kube-proxy exist.
pub fn has_service_chains() -> bool {
    output(&mut command("iptables-save", ["-t", "nat"])).is_ok_and(|rules| rules.contains(":KUBE-SERVICES"))
}

fn observe() -> Host {
    let folders = FOLDERS.iter().filter(|folder| Path::new(folder).exists()).map(|folder| (*folder).to_owned());
    Host { boot: boot_id(), settings: settings(), folders: folders.collect() }
}

/// Every readable setting in `SETTINGS`, by its path below /proc/sys.
pub fn settings() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for folder in SETTINGS {
        let Ok(entries) = std::fs::read_dir(Path::new("/proc/sys").join(folder)) else { continue };
        for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if let Ok(value) = std::fs::read_to_string(entry.path()) {
                all.insert(name, value.trim_end().to_owned());
            }
        }
    }
    all
}

fn restore_settings(host: &Host) {
    let now = settings();
    let differs = |name: &str, old: &str| now.get(name).is_some_and(|value| value != old);
    let set = |name: &str, value: &str| {
        // Settings that only the kernel changes are read-only; such an error is ignored.
        let _ = std::fs::write(Path::new("/proc/sys").join(name), value);
    };
    // Forwarding first: changing it resets other settings in conf/.
    if let Some(old) = host.settings.get(FORWARDING).filter(|old| differs(FORWARDING, old)) {
        set(FORWARDING, old);
    }
    for (name, old) in host.settings.iter().filter(|(name, old)| name.as_str() != FORWARDING && differs(name, old)) {
        set(name, old);
    }
}

fn remove_folders(host: &Host) {
    for folder in FOLDERS.iter().filter(|folder| !host.folders.iter().any(|had| had == *folder)) {
        // Deepest first, and only sockets, CNI's loopback results and empty folders: files of other programs stay.
        for kind in [&["-type", "s"][..], &["-name", "cni-loopback-*"], &["-type", "d", "-empty"]] {
            let _ = run(command("find", [folder, "-depth"]).args(kind).arg("-delete"));
        }
    }
}

/// Rewrites the table without the chains of kube-proxy, kubelet and CNI and without rules that reference them.
fn without_our_chains(family: &str, table: &str) -> Result<()> {
    let Ok(rules) = output(&mut command(format!("{family}-save"), ["-t", table])) else { return Ok(()) };
    let ours = |line: &&str| line.contains("KUBE-") || line.contains("CNI-");
    if !rules.lines().any(|line| ours(&line)) {
        return Ok(());
    }
    let kept: Vec<&str> = rules.lines().filter(|line| !ours(line)).collect();
    feed(&mut command(format!("{family}-restore"), ["-T", table]), &format!("{}\n", kept.join("\n"))).map(drop)
}

/// Rules of chain FORWARD; each is inserted at the top, so the last one is evaluated first. When a Service gets its
/// first endpoint back, kube-proxy has for a moment neither a REJECT nor a DNAT rule; packets to the Service must not
/// leave the machine, where another host could answer.
fn forward_rules() -> [[&'static str; 8]; 3] {
    let [incoming, outgoing] =
        ["-i", "-o"].map(|side| [side, BRIDGE, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"]);
    [incoming, outgoing, ["-d", "10.96.0.0/16", "-m", "comment", "--comment", COMMENT, "-j", "REJECT"]]
}

fn iptables(action: &str, rule: &[&str]) -> std::process::Command {
    command("iptables", [&["-w", action, "FORWARD"], rule].concat())
}

fn file(paths: &Paths) -> PathBuf {
    paths.run().join("host.json")
}
