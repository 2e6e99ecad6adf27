//! One child as it should be. Pure.

use kube::Resource;
use serde::Serialize;
use serde_json::{Value, json};

use crate::kinds::{Kind, ObjectKey};
use crate::names;

/// Annotation on every child: hash of the desired object. By it a changed spec is noticed.
pub const DESIRED_HASH: &str = "agoraplatform.dev/desired-hash";
/// Annotation on children whose spec sets annotations: their names, separated by commas. By it an annotation that the spec
/// does not contain any more is removed, while those of other clients stay.
pub const OWN_ANNOTATIONS: &str = "agoraplatform.dev/own-annotations";
const HASH_DIGITS: usize = 16;

/// The condition that reports a failed write of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Secrets and public keys.
    Credentials,
    /// Migrations, Deployments and what their pods need.
    Workloads,
    Autoscaling,
    Route,
}

/// Which fields of a child the operator owns once the child exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Every field: fields that the desired object does not have are reset to their defaults.
    Exact,
    /// What can be changed of a Job after its creation: labels, owners, and how it runs until it has ended. The rest is
    /// immutable, so that a changed desired object does not reach an existing one.
    CreateOnce,
    /// Every field except `replicas`, which belong to the autoscaler after the creation. An autoscaler does not change a
    /// value of 0, so 0 counts as a change by another client.
    Autoscaled { initial_replicas: i32 },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub key: ObjectKey,
    pub group: Group,
    pub ownership: Ownership,
    pub body: Value,
}

impl Object {
    /// Adds `apiVersion`, `kind`, the hash of the desired object and the list of its annotations to the body.
    pub fn new<T: Resource + Serialize>(kind: Kind, group: Group, ownership: Ownership, typed: &T) -> Self {
        let mut body = serde_json::to_value(typed).unwrap_or_default();
        let api = kind.resource();
        body["apiVersion"] = json!(api.api_version);
        body["kind"] = json!(api.kind);
        let hash = names::short_hash(&body.to_string(), HASH_DIGITS);
        let own: Vec<&str> =
            body["metadata"]["annotations"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let own = (!own.is_empty()).then(|| own.join(","));
        if let Some(own) = own {
            body["metadata"]["annotations"][OWN_ANNOTATIONS] = json!(own);
        }
        body["metadata"]["annotations"][DESIRED_HASH] = json!(hash);
        let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Self { key: ObjectKey { kind, name }, group, ownership, body }
    }

    /// Whether pods of this workload mount a Secret or ConfigMap, take variables from it, or run as a ServiceAccount.
    pub fn refers_to(&self, key: &ObjectKey) -> bool {
        let pod = &self.body["spec"]["template"]["spec"];
        let name = Some(key.name.as_str());
        let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let source = match key.kind {
            Kind::ServiceAccount => return pod["serviceAccountName"].as_str() == name,
            Kind::Secret => "secret",
            Kind::ConfigMap => "configMap",
            _ => return false,
        };
        let mut mounted = items(&pod["volumes"]).into_iter().flat_map(|volume| items(&volume["projected"]["sources"]));
        let mut variables = items(&pod["containers"]).into_iter().flat_map(|container| items(&container["envFrom"]));
        mounted.any(|mounted| mounted[source]["name"].as_str() == name)
            || variables.any(|variables| variables[format!("{source}Ref")]["name"].as_str() == name)
    }

    pub fn hash(&self) -> &str {
        self.body["metadata"]["annotations"][DESIRED_HASH].as_str().unwrap_or_default()
    }
}
