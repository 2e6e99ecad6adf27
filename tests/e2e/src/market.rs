//! The Marketplace under test: manifest, conditions, child objects and derived names. Must not depend on a scenario.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::{
    cluster::{CHILDREN, Cluster, Kind, MARKETPLACE, name, text, uid},
    mailbox,
    settings::Settings,
    wait::{until, when},
};

/// Time limit from apply to Ready, images present. The target is 45 s; the limit allows for a busy machine.
pub const READY_SECONDS_MAX: u64 = 240;
/// Time limit for deletion with databases, topics and finalizer. The target is 60 s.
pub const GONE_SECONDS_MAX: u64 = 120;
const MINIMAL: &str = "manifests/samples/minimal.yaml";

/// A Marketplace under test.
#[derive(Clone)]
pub struct Market {
    /// Client for its namespace.
    pub cluster: Cluster,
    /// Name of the resource.
    pub name: String,
}

/// Kind and name of a child object.
pub type ChildKey = (&'static str, String);

impl Market {
    /// The minimal sample with the mailbox, the release under test and this name and namespace.
    pub fn manifest(&self, settings: &Settings) -> anyhow::Result<Value> {
        let mut object = self.sample(settings, MINIMAL)?;
        object["spec"]["mail"] = mailbox::spec(&self.cluster.namespace);
        Ok(object)
    }

    /// A sample file of the checkout with the release under test and this name and namespace.
    pub fn sample(&self, settings: &Settings, file: &'static str) -> anyhow::Result<Value> {
        let sample = std::fs::read_to_string(settings.repo.join(file)).context(file)?;
        let mut object: Value = serde_yaml::from_str(&sample).context(file)?;
        object["metadata"] = json!({ "name": self.name, "namespace": self.cluster.namespace });
        object["spec"]["isolationKey"] = json!(self.isolation_key());
        object["spec"]["release"] = json!({ "version": settings.tag, "registry": settings.registry });
        Ok(object)
    }

    /// Applies the manifest server-side.
    pub async fn apply(&self, manifest: &Value) -> anyhow::Result<()> {
        self.cluster.apply(MARKETPLACE, manifest).await.map(drop)
    }

    /// Merges a change into the resource.
    pub async fn change(&self, change: &Value) -> anyhow::Result<()> {
        self.cluster.merge(MARKETPLACE, &self.name, change).await
    }

    /// Waits until the current generation is Available and Ready. The error contains all conditions.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let timeout = Duration::from_secs(READY_SECONDS_MAX);
        let waited = until("the Marketplace is Available and Ready", timeout, async || {
            let market = self.cluster.get(MARKETPLACE, &self.name).await?.unwrap_or_default();
            Ok(when(holds(&market, "Available") && holds(&market, "Ready")))
        });
        match waited.await {
            Ok(()) => Ok(()),
            Err(error) => bail!("{error:#}\n{}", self.conditions().await),
        }
    }

    /// Deletes the resource and waits until it no longer exists. Succeeds if it did not exist.
    pub async fn delete(&self) -> anyhow::Result<()> {
        if !self.cluster.delete(MARKETPLACE, &self.name).await? {
            return Ok(());
        }
        let timeout = Duration::from_secs(GONE_SECONDS_MAX);
        let waited = until("the Marketplace is deleted", timeout, async || {
            Ok(when(self.cluster.get(MARKETPLACE, &self.name).await?.is_none()))
        });
        match waited.await {
            Ok(()) => Ok(()),
            Err(error) => bail!("{error:#}\n{}", self.conditions().await),
        }
    }

    /// All child objects with the operator's labels, by kind and name.
    pub async fn children(&self) -> anyhow::Result<BTreeMap<ChildKey, Value>> {
        let mut children = BTreeMap::new();
        for kind in CHILDREN {
            for child in self.children_of(kind).await? {
                children.insert((kind.word, name(&child).to_owned()), child);
            }
        }
        Ok(children)
    }

    /// Child objects of one kind.
    pub async fn children_of(&self, kind: Kind) -> anyhow::Result<Vec<Value>> {
        // Secrets that stay after the deletion have a label of their own.
        let of_market = |child: &Value| {
            let labels = &child["metadata"]["labels"];
            ["app.kubernetes.io/instance", "agoraplatform.dev/marketplace"]
                .iter()
                .any(|label| labels[label] == self.name)
        };
        let children = self.cluster.list(kind, "app.kubernetes.io/managed-by=agora-operator").await?;
        Ok(children.into_iter().filter(of_market).collect())
    }

    /// Name of the child objects of a service.
    pub fn child(&self, service: &str) -> String {
        format!("{}-{service}", self.name)
    }

    /// The isolation key: prefix of databases, roles, topics and consumer groups.
    pub fn isolation_key(&self) -> String {
        format!("{}-{}", self.cluster.namespace, self.name)
    }

    /// Name of a service's database and of its owner role; the common prefix for an empty service.
    pub fn database(&self, service: &str) -> String {
        format!("{}_{service}", self.isolation_key().replace('-', "_"))
    }

    /// Type, status, reason and message of each condition, one line each.
    pub async fn conditions(&self) -> String {
        let market = self.cluster.get(MARKETPLACE, &self.name).await.ok().flatten().unwrap_or_default();
        let line = |c: &Value| {
            format!("  {} {} {}: {}\n", text(&c["type"]), text(&c["status"]), text(&c["reason"]), text(&c["message"]))
        };
        market["status"]["conditions"].as_array().into_iter().flatten().map(line).collect()
    }
}

/// Whether a condition is True for the current generation.
pub fn holds(market: &Value, condition: &str) -> bool {
    let generation = &market["metadata"]["generation"];
    market["status"]["conditions"].as_array().into_iter().flatten().any(|seen| {
        let current = seen.get("observedGeneration").is_none_or(|observed| observed == generation);
        seen["type"] == condition && seen["status"] == "True" && current
    })
}

/// Waits until a child object exists whose uid is not `old`, and returns it.
pub async fn replaced(
    cluster: &Cluster,
    kind: Kind,
    child: &str,
    old: &str,
    timeout: Duration,
) -> anyhow::Result<Value> {
    until(&format!("{} {child} is recreated", kind.word), timeout, async || {
        Ok(cluster.get(kind, child).await?.filter(|found| uid(found) != old))
    })
    .await
}
