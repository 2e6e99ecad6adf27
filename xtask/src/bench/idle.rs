//! Requests of the operator while the marketplace is idle, from the audit log, without watches and leases. Target 0.
//! The measurement starts when the autoscalers have metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::audit::{self, Entry, OPERATOR};
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
    note(&format!("measuring for {} minutes; do not use the shop meanwhile", time.as_secs() / 60));
    std::thread::sleep(time);
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

fn counts(entry: &Entry) -> bool {
    entry.user == OPERATOR && entry.verb != "watch" && entry.resource != "leases"
}
