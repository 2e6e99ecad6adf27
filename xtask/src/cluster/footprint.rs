//! What a cluster could leave behind on a host, read before `up` and after `down` and compared line by line.

use std::collections::BTreeSet;

use crate::cluster::network;
use crate::command::{command, output};
use crate::environment::Places;

/// Settings that the kernel itself changes.
const VOLATILE: [&str; 8] =
    ["random", "ns_last_pid", "pid_max_used", "nf_conntrack_count", "pty", "osrelease", "seq", "stat"];

/// Control groups that a kubelet or a container runtime makes; others' come and go with their own programs.
const GROUPS: [&str; 4] = ["kubepods", "containerd", "k8s.io", "runc"];
/// From here on the kernel gives ports to whoever asks for any (net.ipv4.ip_local_port_range); the cluster's are below.
const EPHEMERAL_PORT_MIN: u16 = 32_768;

/// One line per rule, mount, interface, namespace, setting, control group, listening port and process of ours.
pub fn take(places: &Places) -> BTreeSet<String> {
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
    lines.extend(ports.lines().filter_map(lasting_port).map(|port| format!("port: {port}")));
    let state = places.state.display().to_string();
    let processes = output(&mut command("ps", ["-eo", "args"])).unwrap_or_default();
    lines.extend(processes.lines().filter(|line| line.contains(&state)).map(|line| format!("process: {line}")));
    lines
}

/// Lines that are there now and were not, with `+`, and the other way round with `-`.
pub fn differences(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    let more = after.difference(before).map(|line| format!("+ {line}"));
    let less = before.difference(after).map(|line| format!("- {line}"));
    more.chain(less).collect()
}

/// A rule or a chain of somebody; built-in chains and counters say nothing.
fn rule(line: &str) -> Option<String> {
    let plain = line.split(" [").next().unwrap_or_default();
    let chain = plain.starts_with(':') && plain.ends_with(" -");
    (chain || plain.starts_with("-A")).then(|| plain.to_owned())
}

/// The address of a line of `ss -Hltn`, unless its port is one that the kernel gave for a while.
fn lasting_port(line: &str) -> Option<&str> {
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
    fn counters_and_built_in_chains_are_no_difference() {
        assert_eq!(rule(":INPUT ACCEPT [12:880]"), None);
        assert_eq!(rule("# Completed"), None);
        assert_eq!(rule(":KUBE-SERVICES - [0:0]").as_deref(), Some(":KUBE-SERVICES -"));
        assert_eq!(rule("-A FORWARD -j ACCEPT").as_deref(), Some("-A FORWARD -j ACCEPT"));
    }

    #[test]
    fn a_port_that_the_kernel_gave_for_a_while_is_no_difference() {
        assert_eq!(lasting_port("LISTEN 0 128 127.0.0.1:6443 0.0.0.0:*"), Some("127.0.0.1:6443"));
        assert_eq!(lasting_port("LISTEN 0 128 [::ffff:127.0.0.1]:40869 *:*"), None);
    }

    #[test]
    fn what_was_left_and_what_is_gone_are_both_named() {
        let before = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let after = BTreeSet::from(["b".to_owned(), "c".to_owned()]);
        assert_eq!(differences(&before, &after), ["+ c", "- a"]);
    }
}
