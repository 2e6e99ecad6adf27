//! One replica a service for the time of a measurement; afterwards the resource says again what it said before.

use std::time::Duration;

use agora_topology::ALL;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::command::{output, run, until};
use crate::progress::{note, step};
use crate::target::Target;
use crate::up::{MARKETPLACE, NAMESPACE, get_json, wait_ready};

const SETTLE: Duration = Duration::from_mins(3);

/// While it lives the shop has one replica a service.
pub struct Pinned<'a> {
    target: &'a Target,
    before: Value,
}

impl<'a> Pinned<'a> {
    pub fn pin(target: &'a Target) -> Result<Self> {
        let shop =
            get_json(target, &["-n", NAMESPACE, "get", "mkt", MARKETPLACE]).context("reading the shop's resource")?;
        let before = shop["spec"]["services"].clone();
        let pinned = Self { target, before };
        step("one replica a service", || {
            set(target, &one_each(&pinned.before))?;
            wait_ready(target)?;
            alone(target)
        })?;
        Ok(pinned)
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        let done = step("replicas as before", || set(self.target, &self.before).and_then(|()| wait_ready(self.target)));
        if let Err(error) = done {
            note(&format!("the shop keeps one replica a service: {error:#}"));
        }
    }
}

/// The entries as they are, each with one replica.
fn one_each(services: &Value) -> Value {
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

/// Waits until no pod of a larger shop, or of an older template, runs any more.
fn alone(target: &Target) -> Result<()> {
    let selector = format!("app.kubernetes.io/instance={MARKETPLACE},pod-template-hash");
    let pods = || output(&mut target.kubectl(["-n", NAMESPACE, "get", "pods", "-l", &selector, "-o", "name"]));
    if until(SETTLE, || pods().is_ok_and(|names| names.lines().count() == ALL.len())) {
        return Ok(());
    }
    bail!("after {} s there is still more than one pod a service:\n{}", SETTLE.as_secs(), pods()?);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_gets_one_replica_and_keeps_its_other_settings() {
        let pinned = one_each(&json!([{"name": "cart", "env": [{"name": "A"}], "scaling": {"maxReplicas": 4}}]));
        assert_eq!(pinned.as_array().unwrap().len(), ALL.len());
        let cart = pinned.as_array().unwrap().iter().find(|entry| entry["name"] == "cart").unwrap();
        let one = json!({"minReplicas": 1, "maxReplicas": 1});
        assert_eq!(*cart, json!({"name": "cart", "env": [{"name": "A"}], "scaling": one}));
    }
}
