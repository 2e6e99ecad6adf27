//! Pins every service to one replica during a measurement and restores the spec of the Marketplace afterwards.

use std::time::Duration;

use agora_topology::ALL;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::command::{output, run, until};
use crate::progress::{note, step};
use crate::target::Target;
use crate::up::{MARKETPLACE, NAMESPACE, get_json, wait_ready};

const SETTLE: Duration = Duration::from_mins(3);

/// Every service has one replica until this value is dropped.
pub struct Pinned<'a> {
    target: &'a Target,
    before: Value,
}

impl<'a> Pinned<'a> {
    pub fn pin(target: &'a Target) -> Result<Self> {
        let shop =
            get_json(target, &["-n", NAMESPACE, "get", "mkt", MARKETPLACE]).context("reading the Marketplace")?;
        let before = shop["spec"]["services"].clone();
        let pinned = Self { target, before };
        step("scale every service to one replica", || {
            set(target, &with_one_replica_each(&pinned.before))?;
            wait_ready(target)?;
            wait_for_one_pod_each(target)
        })?;
        Ok(pinned)
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        let done =
            step("restore the replicas", || set(self.target, &self.before).and_then(|()| wait_ready(self.target)));
        if let Err(error) = done {
            note(&format!(
                "restoring the replicas failed, every service keeps one: {error:#}; remedy: kubectl -n {NAMESPACE} edit mkt {MARKETPLACE}, remove spec.services"
            ));
        }
    }
}

/// `spec.services` with one replica for every service; other settings are unchanged.
fn with_one_replica_each(services: &Value) -> Value {
    let entry = |name: &str| {
        let old = services.as_array().into_iter().flatten().find(|service| service["name"] == name);
        let mut entry = old.cloned().unwrap_or_else(|| json!({ "name": name }));
        entry["scaling"]["minReplicas"] = json!(1);
        entry["scaling"]["maxReplicas"] = json!(1);
        entry
    };
    ALL.iter().map(|service| entry(service.name)).collect()
}

fn set(target: &Target, services: &Value) -> Result<()> {
    let change = json!({ "spec": { "services": services } }).to_string();
    run(&mut target.kubectl(["-n", NAMESPACE, "patch", "mkt", MARKETPLACE, "--type=merge", "-p", &change]))
}

/// Waits until exactly one pod per service exists.
fn wait_for_one_pod_each(target: &Target) -> Result<()> {
    let selector = format!("app.kubernetes.io/instance={MARKETPLACE},pod-template-hash");
    let pods = || output(&mut target.kubectl(["-n", NAMESPACE, "get", "pods", "-l", &selector, "-o", "name"]));
    if until(SETTLE, || pods().is_ok_and(|names| names.lines().count() == ALL.len())) {
        return Ok(());
    }
    bail!("more than one pod per service after {} s:\n{}", SETTLE.as_secs(), pods()?);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_gets_one_replica_and_keeps_its_other_settings() {
        let pinned =
            with_one_replica_each(&json!([{"name": "cart", "env": [{"name": "A"}], "scaling": {"maxReplicas": 4}}]));
        assert_eq!(pinned.as_array().unwrap().len(), ALL.len());
        let cart = pinned.as_array().unwrap().iter().find(|entry| entry["name"] == "cart").unwrap();
        let one = json!({"minReplicas": 1, "maxReplicas": 1});
        assert_eq!(*cart, json!({"name": "cart", "env": [{"name": "A"}], "scaling": one}));
    }
}
