//! Time until the operator corrects a deleted or edited child object, from the timestamps of the audit log.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::audit::{self, Entry, OPERATOR};
use super::{print, quantile};
use crate::command::{output, run};
use crate::environment::Paths;
use crate::target::Target;
use crate::up::{MARKETPLACE, NAMESPACE};

const INTERVAL: Duration = Duration::from_secs(2);
const KINDS: &str = "service,configmap,horizontalpodautoscaler,networkpolicy,serviceaccount";
/// Changes a label that the operator's watches do not select by; another label would hide the object from them.
const EDIT: &str = r#"{"metadata":{"labels":{"app.kubernetes.io/name":"edited"}}}"#;

pub fn measure(paths: &Paths, target: &Target, tries: usize) -> Result<()> {
    let selector = format!("app.kubernetes.io/managed-by=agora-operator,app.kubernetes.io/instance={MARKETPLACE}");
    let children = output(&mut target.kubectl(["-n", NAMESPACE, "get", KINDS, "-l", &selector, "-o", "name"]))?;
    let children = interleaved(&children);
    ensure!(!children.is_empty(), "no child objects of the operator in namespace {NAMESPACE}");
    let position = audit::position(paths)?;
    for (number, child) in children.iter().cycle().take(tries).enumerate() {
        // Alternates between delete and edit for each child.
        let fault: &[&str] = if (number + number / children.len()).is_multiple_of(2) {
            &["delete", child, "--wait=false"]
        } else {
            &["patch", child, "--type=merge", "-p", EDIT]
        };
        run(target.kubectl(["-n", NAMESPACE]).args(fault))?;
        std::thread::sleep(INTERVAL);
    }
    let mut entries = audit::since(&position)?;
    entries.retain(|entry| entry.namespace == NAMESPACE);
    let mut milliseconds: Vec<f64> = entries.iter().filter_map(|entry| repaired_after(entry, &entries)).collect();
    milliseconds.sort_by(f64::total_cmp);
    print("faults injected, repaired", &format!("{tries}, {}", milliseconds.len()), "all");
    print("repair p50", &format!("{:.0} ms", quantile(&milliseconds, 0.5)), "100 ms");
    print("repair p99", &format!("{:.0} ms", quantile(&milliseconds, 0.99)), "1000 ms");
    ensure!(milliseconds.len() == tries, "the operator repaired {} of {tries} faults", milliseconds.len());
    Ok(())
}

/// Names like `kind/name`, interleaved by kind, so that few tries cover every kind.
fn interleaved(names: &str) -> Vec<&str> {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names.lines() {
        kinds.entry(name.split('/').next().unwrap_or_default()).or_default().push(name);
    }
    let rounds = kinds.values().map(Vec::len).max().unwrap_or_default();
    (0..rounds).flat_map(|round| kinds.values().filter_map(move |of_kind| of_kind.get(round).copied())).collect()
}

/// Milliseconds from an injected fault to the operator's next write of that object; that write may be answered before
/// the fault's own request.
fn repaired_after(fault: &Entry, entries: &[Entry]) -> Option<f64> {
    if fault.user != "admin" || !fault.is_write() {
        return None;
    }
    let repair = entries.iter().find(|entry| {
        entry.at > fault.received
            && entry.user == OPERATOR
            && entry.is_write()
            && entry.resource == fault.resource
            && entry.name == fault.name
    })?;
    Some((repair.at - fault.received) * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(user: &str, verb: &str, name: &str, at: f64) -> Entry {
        Entry {
            user: user.to_owned(),
            verb: verb.to_owned(),
            resource: "services".to_owned(),
            namespace: NAMESPACE.to_owned(),
            name: name.to_owned(),
            received: at,
            at,
        }
    }

    #[test]
    fn kinds_are_interleaved() {
        assert_eq!(interleaved("a/1\na/2\na/3\nb/1\nb/2"), ["a/1", "b/1", "a/2", "b/2", "a/3"]);
    }

    #[test]
    fn a_fault_ends_with_the_operators_write_of_the_same_object() {
        let later =
            [entry(OPERATOR, "get", "a", 1.1), entry(OPERATOR, "patch", "b", 1.2), entry(OPERATOR, "patch", "a", 1.5)];
        let took = repaired_after(&entry("admin", "delete", "a", 1.0), &later).unwrap();
        assert!((took - 500.0).abs() < 1e-6);
        assert!(repaired_after(&entry(OPERATOR, "delete", "a", 1.0), &later).is_none());
    }
}
