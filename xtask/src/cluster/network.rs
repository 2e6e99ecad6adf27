//! The host's side of the pod network: the bridge that is the node's address, forwarding, and what to put back at the
//! end. Knows the host's tables, not Kubernetes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cluster::processes::boot_id;
use crate::command::{command, feed, output, run, succeeds, write};
use crate::environment::Places;

pub const BRIDGE: &str = "cni0";
/// Marks the rules in FORWARD that are ours.
const COMMENT: &str = "agora local cluster";
/// Folders of kernel settings that a node changes (kubelet: vm and kernel; kube-proxy and CNI: net).
const SETTINGS: [&str; 7] =
    ["vm", "kernel", "kernel/keys", "net/ipv4", "net/ipv4/conf/all", "net/ipv4/conf/default", "net/netfilter"];
const FORWARDING: &str = "net/ipv4/ip_forward";
/// Folders that a container runtime makes outside the state folder, whichever state folder it has.
const FOLDERS: [&str; 6] =
    ["/run/containerd", "/run/netns", "/var/lib/cni", "/var/log/containers", "/var/log/pods", "/var/lib/kubelet"];

/// The host as it was before `up` touched it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Host {
    pub boot: String,
    settings: BTreeMap<String, String>,
    /// Those of `FOLDERS` that were there.
    folders: Vec<String>,
}

/// What was recorded at the first `up` of this boot; None where no cluster of ours touched this host.
pub fn recorded(places: &Places) -> Option<Host> {
    let host: Host = serde_json::from_str(&std::fs::read_to_string(file(places)).ok()?).ok()?;
    (host.boot == boot_id()).then_some(host)
}

pub fn ensure(places: &Places) -> Result<()> {
    if recorded(places).is_none() {
        write(&file(places), &serde_json::to_string_pretty(&observe())?)?;
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

/// Removes the bridge, the rules and the chains, and puts the kernel's settings back.
pub fn restore(places: &Places, host: &Host) -> Result<()> {
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
    let _ = std::fs::remove_file(file(places));
    Ok(())
}

/// Whether kube-proxy's chains are there, whoever made them.
pub fn has_service_chains() -> bool {
    output(&mut command("iptables-save", ["-t", "nat"])).is_ok_and(|rules| rules.contains(":KUBE-SERVICES"))
}

fn observe() -> Host {
    let folders = FOLDERS.iter().filter(|folder| Path::new(folder).exists()).map(|folder| (*folder).to_owned());
    Host { boot: boot_id(), settings: settings(), folders: folders.collect() }
}

/// Every readable, plain setting in `SETTINGS`, by its path below /proc/sys.
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
        // Values that only the kernel changes cannot be written; that is no failure.
        let _ = std::fs::write(Path::new("/proc/sys").join(name), value);
    };
    // Forwarding first: the kernel resets others of conf/ when it changes.
    if let Some(old) = host.settings.get(FORWARDING).filter(|old| differs(FORWARDING, old)) {
        set(FORWARDING, old);
    }
    for (name, old) in host.settings.iter().filter(|(name, old)| name.as_str() != FORWARDING && differs(name, old)) {
        set(name, old);
    }
}

fn remove_folders(host: &Host) {
    for folder in FOLDERS.iter().filter(|folder| !host.folders.iter().any(|had| had == *folder)) {
        // Deepest first, and only sockets, CNI's notes of loopbacks, and what is empty: what others keep there by
        // now stays.
        for kind in [&["-type", "s"][..], &["-name", "cni-loopback-*"], &["-type", "d", "-empty"]] {
            let _ = run(command("find", [folder, "-depth"]).args(kind).arg("-delete"));
        }
    }
}

/// Writes the table back without the chains of kube-proxy, kubelet and CNI, and without the rules that name them.
fn without_our_chains(family: &str, table: &str) -> Result<()> {
    let Ok(rules) = output(&mut command(format!("{family}-save"), ["-t", table])) else { return Ok(()) };
    let ours = |line: &&str| line.contains("KUBE-") || line.contains("CNI-");
    if !rules.lines().any(|line| ours(&line)) {
        return Ok(());
    }
    let kept: Vec<&str> = rules.lines().filter(|line| !ours(line)).collect();
    feed(&mut command(format!("{family}-restore"), ["-T", table]), &format!("{}\n", kept.join("\n"))).map(drop)
}

/// The last is the first to be looked at. While a Service gets its first endpoint back, kube-proxy has for a moment neither
/// its REJECT nor its DNAT; what was sent to the Service then must not leave the machine, where anybody may answer.
fn forward_rules() -> [[&'static str; 8]; 3] {
    let [inward, outward] =
        ["-i", "-o"].map(|side| [side, BRIDGE, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"]);
    [inward, outward, ["-d", "10.96.0.0/16", "-m", "comment", "--comment", COMMENT, "-j", "REJECT"]]
}

fn iptables(action: &str, rule: &[&str]) -> std::process::Command {
    command("iptables", [&["-w", action, "FORWARD"], rule].concat())
}

fn file(places: &Places) -> PathBuf {
    places.run().join("host.json")
}
