//! What the operator asks of the API server while nothing happens: nothing, watches and its lease aside. "Nothing
//! happens" begins once the autoscalers have their first numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::audit::{self, Entry, OPERATOR};
use super::print;
use crate::command::run;
use crate::environment::Places;
use crate::progress::{note, step};
use crate::target::Target;
use crate::up::{MARKETPLACE, NAMESPACE};

/// Autoscalers get their first numbers some 20 s after their pods, and the status tells of that.
const SETTLE: &str = "--timeout=180s";

pub fn measure(places: &Places, target: &Target, time: Duration) -> Result<()> {
    step("autoscalers have numbers", || {
        let settled = "--for=condition=AutoscalingReady";
        run(&mut target.kubectl(["-n", NAMESPACE, "wait", "mkt", MARKETPLACE, settled, SETTLE]))
    })?;
    let mark = audit::mark(places)?;
    note(&format!("waiting {} minutes; leave the shop alone", time.as_secs() / 60));
    std::thread::sleep(time);
    let entries = audit::since(&mark)?;
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
