//! Objects of the cluster as JSON, by kind: reading, applying, tampering, deleting.

use std::time::Duration;

use anyhow::Context;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::wait::{until, when};

/// Until a deleted namespace is gone with all that was in it.
const NAMESPACE_SECONDS_MAX: u64 = 120;
/// Who applies.
const MANAGER: &str = "agora-e2e";
/// Who changes by hand what is the operator's.
const TAMPERER: &str = "agora-e2e-tamperer";

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    /// The word in `kind:`.
    pub word: &'static str,
    plural: &'static str,
}

impl Kind {
    const fn new(group: &'static str, version: &'static str, word: &'static str, plural: &'static str) -> Self {
        Self { group, version, word, plural }
    }

    fn resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.word), self.plural)
    }
}

/// The resource.
pub const MARKETPLACE: Kind = Kind::new("agoraplatform.dev", "v1alpha1", "Marketplace", "marketplaces");
/// Its definition.
pub const CRD: Kind = Kind::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");
/// Namespaces.
pub const NAMESPACE: Kind = Kind::new("", "v1", "Namespace", "namespaces");
/// Pods.
pub const POD: Kind = Kind::new("", "v1", "Pod", "pods");
/// Events of the old and plain kind.
pub const EVENT: Kind = Kind::new("", "v1", "Event", "events");
/// Secrets.
pub const SECRET: Kind = Kind::new("", "v1", "Secret", "secrets");
/// Settings.
pub const CONFIG_MAP: Kind = Kind::new("", "v1", "ConfigMap", "configmaps");
/// Names and ports.
pub const SERVICE: Kind = Kind::new("", "v1", "Service", "services");
/// Accounts of pods.
pub const SERVICE_ACCOUNT: Kind = Kind::new("", "v1", "ServiceAccount", "serviceaccounts");
/// Who may talk to whom.
pub const NETWORK_POLICY: Kind = Kind::new("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");
/// Pods of a service.
pub const DEPLOYMENT: Kind = Kind::new("apps", "v1", "Deployment", "deployments");
/// How many of them.
pub const AUTOSCALER: Kind = Kind::new("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
/// What drains may take.
pub const BUDGET: Kind = Kind::new("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");
/// Migrations.
pub const JOB: Kind = Kind::new("batch", "v1", "Job", "jobs");
/// The way in.
pub const INGRESS: Kind = Kind::new("networking.k8s.io", "v1", "Ingress", "ingresses");

/// Every kind of child; migrations last, since without one its Deployment waits.
pub const CHILDREN: [Kind; 10] =
    [SERVICE_ACCOUNT, CONFIG_MAP, SECRET, NETWORK_POLICY, SERVICE, JOB, DEPLOYMENT, AUTOSCALER, BUDGET, INGRESS];

/// One namespace of a cluster, and what has none.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// The namespace.
    pub namespace: String,
}

impl Cluster {
    /// The cluster of `KUBECONFIG`.
    pub async fn connect(namespace: &str) -> anyhow::Result<Self> {
        let client = Client::try_default().await.context("connecting to the cluster of KUBECONFIG")?;
        Ok(Self { client, namespace: namespace.to_owned() })
    }

    /// Another namespace of the same cluster.
    #[must_use]
    pub fn of(&self, namespace: &str) -> Self {
        Self { client: self.client.clone(), namespace: namespace.to_owned() }
    }

    /// The client, for what JSON does not do.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        let resource = kind.resource();
        if kind == NAMESPACE || kind == CRD {
            return Api::all_with(self.client.clone(), &resource);
        }
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// The object, where it is.
    pub async fn get(&self, kind: Kind, name: &str) -> anyhow::Result<Option<Value>> {
        let found = self.api(kind).get_opt(name).await.with_context(|| format!("reading {} {name}", kind.word))?;
        Ok(found.map(serde_json::to_value).transpose()?)
    }

    /// All objects of a kind with these labels.
    pub async fn list(&self, kind: Kind, selector: &str) -> anyhow::Result<Vec<Value>> {
        let found = self.api(kind).list(&ListParams::default().labels(selector)).await;
        let found = found.with_context(|| format!("listing {}", kind.plural))?;
        // Items of a list do not say their kind; whoever reads them has asked for it.
        found.items.into_iter().map(|item| Ok(serde_json::to_value(item)?)).collect()
    }

    /// Applies an object, server-side.
    pub async fn apply(&self, kind: Kind, object: &Value) -> anyhow::Result<Value> {
        let name = text(&object["metadata"]["name"]);
        let parameters = PatchParams::apply(MANAGER).force();
        let applied = self.api(kind).patch(name, &parameters, &Patch::Apply(object)).await;
        Ok(serde_json::to_value(applied.with_context(|| format!("applying {} {name}", kind.word))?)?)
    }

    /// Merges a change into an object, as somebody who is not the operator.
    pub async fn merge(&self, kind: Kind, name: &str, change: &Value) -> anyhow::Result<()> {
        let parameters = PatchParams { field_manager: Some(TAMPERER.to_owned()), ..PatchParams::default() };
        let changed = self.api(kind).patch(name, &parameters, &Patch::Merge(change)).await;
        changed.map(drop).with_context(|| format!("changing {} {name}", kind.word))
    }

    /// Deletes an object; whether it was there.
    pub async fn delete(&self, kind: Kind, name: &str) -> anyhow::Result<bool> {
        match self.api(kind).delete(name, &DeleteParams::background()).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(false),
            Err(error) => Err(error).with_context(|| format!("deleting {} {name}", kind.word)),
        }
    }

    /// Makes a namespace that only takes pods of the restricted profile. One that is ending, since an earlier run left
    /// it, is waited for: it accepts changes of what is still in it, and takes them along when it goes.
    pub async fn ensure_namespace(&self, name: &str) -> anyhow::Result<()> {
        let patience = Duration::from_secs(NAMESPACE_SECONDS_MAX);
        until(&format!("namespace {name}, which is ending, is gone"), patience, async || {
            let found = self.get(NAMESPACE, name).await?;
            Ok(when(found.is_none_or(|found| found["metadata"]["deletionTimestamp"].is_null())))
        })
        .await?;
        let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
        self.apply(NAMESPACE, &namespace).await.map(drop)
    }
}

/// A text of an object; empty where there is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The object's name.
pub fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

/// The object's uid: another one after a deletion.
pub fn uid(object: &Value) -> &str {
    text(&object["metadata"]["uid"])
}
