//! Host changes: a snapshot of everything that a cluster could leave on a host. Compares the snapshots before `up` and
//! after `down`; changes nothing.

use std::collections::BTreeSet;

use crate::cluster::network;
use crate::command::{command, output};
use crate::environment::Paths;

/// Parts of names of settings that the kernel changes by itself.
const VOLATILE: [&str; 8] =
    ["random", "ns_last_pid", "pid_max_used", "nf_conntrack_count", "pty", "osrelease", "seq", "stat"];

/// Parts of paths of control groups that a kubelet or a container runtime creates; other control groups are not
/// compared.
const GROUPS: [&str; 4] = ["kubepods", "containerd", "k8s.io", "runc"];
/// First ephemeral port (net.ipv4.ip_local_port_range); the cluster's ports are lower.
const EPHEMERAL_PORT_MIN: u16 = 32_768;

/// One line per iptables rule, mount, interface, runtime file, setting, control group, listening port and process that
/// names the state folder.
pub fn snapshot(paths: &Paths) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for family in ["iptables-save", "ip6tables-save"] {
        let rules = output(&mut command::<&str>(family, [])).unwrap_or_default();
        lines.extend(rules.lines().filter_map(rule).map(|rule| format!("{family}: {rule}")));
    }
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    lines.extend(mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(|point| format!("mount: {point}")));
    let interfaces = output(&mut command("ip", ["-o", "link"])).unwrap_or_default();
    lines
        .extend(interfaces.lines().filter_map(|line| line.split(": ").nth(1)).map(|name| format!("interface: {name}")));
    for folder in [
        "/run/netns",
        "/run/containerd",
        "/var/lib/cni",
        "/var/lib/kubelet",
        "/var/log/pods",
        "/var/log/containers",
        "/opt/containerd",
    ] {
        lines.extend(below(folder, None).map(|path| format!("file: {path}")));
    }
    let groups = below("/sys/fs/cgroup", Some("d")).filter(|path| GROUPS.iter().any(|name| path.contains(name)));
    lines.extend(groups.map(|path| format!("control group: {path}")));
    let settings = network::settings().into_iter().filter(|(name, _)| !VOLATILE.iter().any(|word| name.contains(word)));
    lines.extend(settings.map(|(name, value)| format!("setting: {name} = {value}")));
    let ports = output(&mut command("ss", ["-Hltn"])).unwrap_or_default();
    lines.extend(ports.lines().filter_map(fixed_port).map(|port| format!("port: {port}")));
    let state = paths.state.display().to_string();
    let processes = output(&mut command("ps", ["-eo", "args"])).unwrap_or_default();
    lines.extend(processes.lines().filter(|line| line.contains(&state)).map(|line| format!("process: {line}")));
    lines
}

/// Added lines with `+`, removed lines with `-`.
pub fn differences(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    let more = after.difference(before).map(|line| format!("+ {line}"));
    let less = before.difference(after).map(|line| format!("- {line}"));
    more.chain(less).collect()
}

/// A rule or a user-defined chain without counters; None for built-in chains and comments.
fn rule(line: &str) -> Option<String> {
    let plain = line.split(" [").next().unwrap_or_default();
    let chain = plain.starts_with(':') && plain.ends_with(" -");
    (chain || plain.starts_with("-A")).then(|| plain.to_owned())
}

/// The address in a line of `ss -Hltn`; None for an ephemeral port.
fn fixed_port(line: &str) -> Option<&str> {
    let address = line.split_whitespace().nth(3)?;
    let port: u16 = address.rsplit(':').next()?.parse().ok()?;
    (port < EPHEMERAL_PORT_MIN).then_some(address)
}

fn below(folder: &str, kind: Option<&str>) -> impl Iterator<Item = String> {
    let mut find = command("find", [folder, "-mindepth", "1"]);
    if let Some(kind) = kind {
        find.args(["-type", kind]);
    }
    let text = output(&mut find).unwrap_or_default();
    text.lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_built_in_chains_are_ignored() {
        assert_eq!(rule(":INPUT ACCEPT [12:880]"), None);
        assert_eq!(rule("# Completed"), None);
        assert_eq!(rule(":KUBE-SERVICES - [0:0]").as_deref(), Some(":KUBE-SERVICES -"));
        assert_eq!(rule("-A FORWARD -j ACCEPT").as_deref(), Some("-A FORWARD -j ACCEPT"));
    }

    #[test]
    fn an_ephemeral_port_is_ignored() {
        assert_eq!(fixed_port("LISTEN 0 128 127.0.0.1:6443 0.0.0.0:*"), Some("127.0.0.1:6443"));
        assert_eq!(fixed_port("LISTEN 0 128 [::ffff:127.0.0.1]:40869 *:*"), None);
    }

    #[test]
    fn added_and_removed_lines_are_reported() {
        let before = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let after = BTreeSet::from(["b".to_owned(), "c".to_owned()]);
        assert_eq!(differences(&before, &after), ["+ c", "- a"]);
    }
}
