//! Kubernetes objects as JSON: get, list, apply, merge, delete. Must not depend on a scenario.

use std::time::Duration;

use anyhow::Context;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::wait::{until, when};

/// Time limit for the deletion of a namespace and its contents.
const NAMESPACE_SECONDS_MAX: u64 = 120;
/// Field manager of `Cluster::apply`.
const MANAGER: &str = "agora-e2e";
/// Field manager of `Cluster::merge`, which simulates manual edits of the operator's objects.
const FOREIGN_MANAGER: &str = "agora-e2e-tamperer";

/// Group, version, kind and plural of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    /// Value of `kind`.
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

/// `Marketplace`, the operator's custom resource.
pub const MARKETPLACE: Kind = Kind::new("agoraplatform.dev", "v1alpha1", "Marketplace", "marketplaces");
/// Definition of custom resources; not namespaced.
pub const CRD: Kind = Kind::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");
/// `Namespace`; not namespaced.
pub const NAMESPACE: Kind = Kind::new("", "v1", "Namespace", "namespaces");
/// `Pod`; the operator does not label pods as its children.
pub const POD: Kind = Kind::new("", "v1", "Pod", "pods");
/// `Event` of group core, not `events.k8s.io`.
pub const EVENT: Kind = Kind::new("", "v1", "Event", "events");
/// `Secret`: generated credentials.
pub const SECRET: Kind = Kind::new("", "v1", "Secret", "secrets");
/// `ConfigMap`: settings of a service.
pub const CONFIG_MAP: Kind = Kind::new("", "v1", "ConfigMap", "configmaps");
/// `Service`: one per service of the shop.
pub const SERVICE: Kind = Kind::new("", "v1", "Service", "services");
/// `ServiceAccount`: one per service of the shop.
pub const SERVICE_ACCOUNT: Kind = Kind::new("", "v1", "ServiceAccount", "serviceaccounts");
/// `NetworkPolicy`: allowed connections of a service.
pub const NETWORK_POLICY: Kind = Kind::new("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");
/// `Deployment`: one per service of the shop, and the operator.
pub const DEPLOYMENT: Kind = Kind::new("apps", "v1", "Deployment", "deployments");
/// `HorizontalPodAutoscaler`: owns the replicas of a Deployment.
pub const AUTOSCALER: Kind = Kind::new("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
/// `PodDisruptionBudget`: limits evictions.
pub const BUDGET: Kind = Kind::new("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");
/// `Job`: a database migration.
pub const JOB: Kind = Kind::new("batch", "v1", "Job", "jobs");
/// `Ingress` of the gateway.
pub const INGRESS: Kind = Kind::new("networking.k8s.io", "v1", "Ingress", "ingresses");

/// All kinds of child objects. Deployments follow Jobs, because a Deployment waits for its migration.
pub const CHILDREN: [Kind; 10] =
    [SERVICE_ACCOUNT, CONFIG_MAP, SECRET, NETWORK_POLICY, SERVICE, JOB, DEPLOYMENT, AUTOSCALER, BUDGET, INGRESS];

/// Client for one namespace and for objects without namespace.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// Namespace of all namespaced requests.
    pub namespace: String,
}

impl Cluster {
    /// The cluster of `KUBECONFIG`.
    pub async fn connect(namespace: &str) -> anyhow::Result<Self> {
        let client = Client::try_default().await.context("connecting to the cluster of KUBECONFIG")?;
        Ok(Self { client, namespace: namespace.to_owned() })
    }

    /// A client for another namespace of the same cluster.
    #[must_use]
    pub fn of(&self, namespace: &str) -> Self {
        Self { client: self.client.clone(), namespace: namespace.to_owned() }
    }

    /// The underlying client, for typed APIs.
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

    /// Returns the object, or None if it does not exist.
    pub async fn get(&self, kind: Kind, name: &str) -> anyhow::Result<Option<Value>> {
        let found = self.api(kind).get_opt(name).await.with_context(|| format!("reading {} {name}", kind.word))?;
        Ok(found.map(serde_json::to_value).transpose()?)
    }

    /// All objects of a kind that match a label selector.
    pub async fn list(&self, kind: Kind, selector: &str) -> anyhow::Result<Vec<Value>> {
        let found = self.api(kind).list(&ListParams::default().labels(selector)).await;
        let found = found.with_context(|| format!("listing {}", kind.plural))?;
        // Items of a list contain no `kind`.
        found.items.into_iter().map(|item| Ok(serde_json::to_value(item)?)).collect()
    }

    /// Server-side apply; takes over conflicting fields.
    pub async fn apply(&self, kind: Kind, object: &Value) -> anyhow::Result<Value> {
        let name = text(&object["metadata"]["name"]);
        let parameters = PatchParams::apply(MANAGER).force();
        let applied = self.api(kind).patch(name, &parameters, &Patch::Apply(object)).await;
        Ok(serde_json::to_value(applied.with_context(|| format!("applying {} {name}", kind.word))?)?)
    }

    /// JSON merge patch with the field manager `FOREIGN_MANAGER`.
    pub async fn merge(&self, kind: Kind, name: &str, change: &Value) -> anyhow::Result<()> {
        let parameters = PatchParams { field_manager: Some(FOREIGN_MANAGER.to_owned()), ..PatchParams::default() };
        let changed = self.api(kind).patch(name, &parameters, &Patch::Merge(change)).await;
        changed.map(drop).with_context(|| format!("changing {} {name}", kind.word))
    }

    /// Deletes an object in the background; returns whether it existed.
    pub async fn delete(&self, kind: Kind, name: &str) -> anyhow::Result<bool> {
        match self.api(kind).delete(name, &DeleteParams::background()).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(false),
            Err(error) => Err(error).with_context(|| format!("deleting {} {name}", kind.word)),
        }
    }

    /// Creates a namespace with the Pod Security level `restricted`. Waits first until a namespace of that name that is
    /// being deleted is gone, because it would delete new objects with it.
    pub async fn ensure_namespace(&self, name: &str) -> anyhow::Result<()> {
        let timeout = Duration::from_secs(NAMESPACE_SECONDS_MAX);
        until(&format!("namespace {name} of an earlier run is deleted"), timeout, async || {
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

/// A string value; empty if it is missing or not a string.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// `metadata.name`; empty if it is missing.
pub fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

/// `metadata.uid`; a recreated object has another one.
pub fn uid(object: &Value) -> &str {
    text(&object["metadata"]["uid"])
}
