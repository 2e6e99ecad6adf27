//! The Marketplace under test: its manifest, its conditions, its children.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::{
    cluster::{CHILDREN, Cluster, Kind, MARKETPLACE, name, text, uid},
    settings::Settings,
    wait::{until, when},
};

/// From an applied resource to a shop, images present: the target is 45 s, the rest is a busy machine.
pub const READY_SECONDS_MAX: u64 = 240;
/// Databases, topics and finalizer included; the target is 60 s.
pub const GONE_SECONDS_MAX: u64 = 120;
const MINIMAL: &str = "manifests/samples/minimal.yaml";

/// The Marketplace under test.
#[derive(Clone)]
pub struct Market {
    /// Where it is.
    pub cluster: Cluster,
    /// Its name.
    pub name: String,
}

/// A child, by kind and name.
pub type ChildKey = (&'static str, String);

impl Market {
    /// The sample that users copy, of the release under test, in this namespace.
    pub fn manifest(&self, settings: &Settings) -> anyhow::Result<Value> {
        self.sample(settings, MINIMAL)
    }

    /// Another sample of the checkout, of the release under test, in this namespace and under this name.
    pub fn sample(&self, settings: &Settings, file: &'static str) -> anyhow::Result<Value> {
        let sample = std::fs::read_to_string(settings.repo.join(file)).context(file)?;
        let mut object: Value = serde_yaml::from_str(&sample).context(file)?;
        object["metadata"] = json!({ "name": self.name, "namespace": self.cluster.namespace });
        object["spec"]["release"] = json!({ "version": settings.tag, "registry": settings.registry });
        Ok(object)
    }

    /// Applies the manifest.
    pub async fn apply(&self, manifest: &Value) -> anyhow::Result<()> {
        self.cluster.apply(MARKETPLACE, manifest).await.map(drop)
    }

    /// Merges a change into the resource.
    pub async fn change(&self, change: &Value) -> anyhow::Result<()> {
        self.cluster.merge(MARKETPLACE, &self.name, change).await
    }

    /// Waits until this generation is Available and Ready.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let patience = Duration::from_secs(READY_SECONDS_MAX);
        let waited = until("the Marketplace is Available and Ready", patience, async || {
            let market = self.cluster.get(MARKETPLACE, &self.name).await?.unwrap_or_default();
            Ok(when(holds(&market, "Available") && holds(&market, "Ready")))
        });
        match waited.await {
            Ok(()) => Ok(()),
            Err(error) => bail!("{error:#}\n{}", self.conditions().await),
        }
    }

    /// Deletes the resource and waits until it is gone.
    pub async fn delete(&self) -> anyhow::Result<()> {
        if !self.cluster.delete(MARKETPLACE, &self.name).await? {
            return Ok(());
        }
        let patience = Duration::from_secs(GONE_SECONDS_MAX);
        let waited = until("the Marketplace is gone", patience, async || {
            Ok(when(self.cluster.get(MARKETPLACE, &self.name).await?.is_none()))
        });
        match waited.await {
            Ok(()) => Ok(()),
            Err(error) => bail!("{error:#}\n{}", self.conditions().await),
        }
    }

    /// Every child that the operator labelled, with its uid.
    pub async fn children(&self) -> anyhow::Result<BTreeMap<ChildKey, Value>> {
        let mut children = BTreeMap::new();
        for kind in CHILDREN {
            for child in self.cluster.list(kind, &self.selector()).await? {
                children.insert((kind.word, name(&child).to_owned()), child);
            }
        }
        Ok(children)
    }

    /// Children of one kind.
    pub async fn children_of(&self, kind: Kind) -> anyhow::Result<Vec<Value>> {
        self.cluster.list(kind, &self.selector()).await
    }

    /// What every child is labelled with.
    pub fn selector(&self) -> String {
        format!("app.kubernetes.io/instance={},app.kubernetes.io/managed-by=agora-operator", self.name)
    }

    /// Name of a service's child.
    pub fn child(&self, service: &str) -> String {
        format!("{}-{service}", self.name)
    }

    /// The isolation key, which databases, roles, topics and groups begin with.
    pub fn isolation_key(&self) -> String {
        format!("{}-{}", self.cluster.namespace, self.name)
    }

    /// Name of a service's database and of its owner role.
    pub fn database(&self, service: &str) -> String {
        format!("{}_{service}", self.isolation_key().replace('-', "_"))
    }

    /// One line per condition.
    pub async fn conditions(&self) -> String {
        let market = self.cluster.get(MARKETPLACE, &self.name).await.ok().flatten().unwrap_or_default();
        let line = |c: &Value| {
            format!("  {} {} {}: {}\n", text(&c["type"]), text(&c["status"]), text(&c["reason"]), text(&c["message"]))
        };
        market["status"]["conditions"].as_array().into_iter().flatten().map(line).collect()
    }
}

/// Whether a condition is True for the generation that is there.
pub fn holds(market: &Value, condition: &str) -> bool {
    let generation = &market["metadata"]["generation"];
    market["status"]["conditions"].as_array().into_iter().flatten().any(|seen| {
        let current = seen.get("observedGeneration").is_none_or(|observed| observed == generation);
        seen["type"] == condition && seen["status"] == "True" && current
    })
}

/// Waits until a child is there that is not the one with this uid.
pub async fn replaced(
    cluster: &Cluster,
    kind: Kind,
    child: &str,
    old: &str,
    patience: Duration,
) -> anyhow::Result<Value> {
    until(&format!("{} {child} is there again", kind.word), patience, async || {
        Ok(cluster.get(kind, child).await?.filter(|found| uid(found) != old))
    })
    .await
}
