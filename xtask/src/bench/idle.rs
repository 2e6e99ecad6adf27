//! Requests of the operator while the marketplace is idle, from the audit log, without watches and leases (target 0),
//! and CPU time of each service, from /proc. The measurement starts when the autoscalers have metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::audit::{self, Entry, OPERATOR};
use super::cpu::{CpuSnapshot, Group, PartSeconds, Roots};
use super::print;
use crate::command::run;
use crate::environment::Paths;
use crate::progress::{note, step};
use crate::target::Target;
use crate::up::{MARKETPLACE, NAMESPACE};

/// Autoscalers get their first metrics about 20 s after their pods start, which changes the status.
const SETTLE: &str = "--timeout=180s";

pub fn measure(paths: &Paths, target: &Target, time: Duration) -> Result<()> {
    step("wait for metrics of the autoscalers", || {
        let settled = "--for=condition=AutoscalingReady";
        run(&mut target.kubectl(["-n", NAMESPACE, "wait", "mkt", MARKETPLACE, settled, SETTLE]))
    })?;
    let position = audit::position(paths)?;
    note(&format!("measuring for {} s; do not use the shop meanwhile", time.as_secs()));
    let before = CpuSnapshot::take(paths, &Roots::new())?;
    std::thread::sleep(time);
    let (wall, used) = CpuSnapshot::take(paths, &Roots::new())?.since(&before);
    print_cpu(wall, &used);
    let entries = audit::since(&position)?;
    let (writes, reads): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().filter(|entry| counts(entry)).partition(|entry| entry.is_write());
    let window = format!("in {} s", time.as_secs());
    print(&format!("writes by the operator {window}"), &writes.len().to_string(), "0");
    print(&format!("reads by the operator {window}"), &reads.len().to_string(), "0");
    let mut kinds: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for entry in writes.iter().chain(&reads) {
        *kinds.entry((&entry.verb, &entry.resource)).or_default() += 1;
    }
    for ((verb, resource), count) in kinds {
        println!("  {count} x {verb} {resource}");
    }
    Ok(())
}

/// CPU time per second of each service, all replicas together, and of the data services.
fn print_cpu(wall: f64, used: &PartSeconds) {
    for (part, seconds) in used.iter().filter(|(part, _)| part.group != Group::Rest) {
        let goal = if part.group == Group::Services { "1 ms/s" } else { "-" };
        let value = format!("{:.2} ms/s", seconds * 1_000.0 / wall);
        print(&format!("idle CPU of {}, {}", part.group.name(), part.name), &value, goal);
    }
}

fn counts(entry: &Entry) -> bool {
    entry.user == OPERATOR && entry.verb != "watch" && entry.resource != "leases"
}
