//! The write of one child: no request, a creation, an update, or the correction of drift.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::Pass;
use crate::cluster::writes::LastWrite;
use crate::decide::correction::{Correction, Severity};
use crate::decide::desired::{MANAGED_BY, owner_name};
use crate::decide::diff::{Difference, compared, covers, diff};
use crate::decide::object::{Object, Ownership, SCALING};
use crate::kinds::{Kind, ObjectKey};

/// Field manager of every field except `replicas`.
const WORKLOAD: &str = "agora-operator/workload";
/// Field manager of `replicas` until the autoscaler has set the field.
const AUTOSCALING: &str = "agora-operator/autoscaling";
/// Prefix of the operator's field managers.
const OPERATOR: &str = "agora-operator";

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("cannot write {key}")]
    Api { key: ObjectKey, source: kube::Error },
    #[error("{key} exists and does not belong to this Marketplace: rename or delete it")]
    NotOwned { key: ObjectKey },
    /// The observed state is out of date; the next reconciliation writes.
    #[error("{key} was created or changed by another client during this reconciliation")]
    Conflict { key: ObjectKey },
}

impl WriteError {
    pub(super) fn api(key: &ObjectKey, source: kube::Error) -> Self {
        Self::Api { key: key.clone(), source }
    }

    fn conflict(key: &ObjectKey) -> Self {
        Self::Conflict { key: key.clone() }
    }
}

impl Pass<'_> {
    /// Returns whether a request was sent.
    pub(super) async fn write(&self, object: &Object) -> Result<bool, WriteError> {
        let live = self.observed.children.get(&object.key);
        let (difference, written_before) = self.cluster.writes(self.market, |writes| {
            let last = writes.get(&object.key);
            (diff(object, live, last.and_then(|last| last.normal_form(object))), last.is_some())
        });
        let correction = match difference {
            Difference::None => return Ok(false),
            Difference::Outdated => {
                self.update(object, live).await?;
                None
            }
            Difference::Drifted => {
                let manager = self.last_manager(object).await;
                self.revert(object, live).await?;
                Some(reverted(object, &manager))
            }
            Difference::Missing => {
                let changed_by = self.create(object).await?;
                let deleted = written_before.then(|| recreated(object));
                changed_by.map(|manager| reverted(object, &manager)).or(deleted)
            }
        };
        if let Some((severity, note)) = correction {
            let version = live.and_then(ResourceExt::resource_version);
            let object = reference(object, &self.market.namespace, version);
            self.cluster.events.corrected(self.reference, Correction { object, severity, note }).await;
        }
        Ok(true)
    }

    /// Creates a child that no cache shows. It may exist: another owner's object is not changed; an own object whose labels
    /// were changed, so that no watch shows it, is restored, and the client that changed them is returned.
    async fn create(&self, object: &Object) -> Result<Option<String>, WriteError> {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let existing = api.get_metadata_opt(&object.key.name).await;
        let existing = existing.map_err(|source| WriteError::api(&object.key, source))?;
        if existing.as_ref().is_some_and(|existing| !self.is_ours(existing.meta())) {
            return Err(WriteError::NotOwned { key: object.key.clone() });
        }
        // A Secret that was not observed holds generated values, which must not replace those of an existing one.
        let must_not_replace = object.ownership == Ownership::CreateOnce || object.key.kind == Kind::Secret;
        match object.ownership {
            _ if must_not_replace && existing.is_some() => self.restore_labels(object).await?,
            _ if must_not_replace => self.post(object).await?,
            Ownership::Autoscaled { initial_replicas } if existing.is_none() => {
                self.release_replicas(object, initial_replicas, true).await?;
            }
            _ => self.server_side_apply(object, &object.body).await?,
        }
        Ok(existing.map(|existing| last_manager(existing.managed_fields())))
    }

    fn is_ours(&self, metadata: &ObjectMeta) -> bool {
        let owned =
            metadata.owner_references.iter().flatten().any(|owner| Some(&owner.uid) == self.reference.uid.as_ref());
        let labels = metadata.labels.clone().unwrap_or_default();
        owned
            || owner_name(&labels) == Some(&self.market.name)
                && labels.get(MANAGED_BY).is_some_and(|manager| manager == OPERATOR)
    }

    /// Restores only the labels of an object, because its contents were not observed. They are compared in the next
    /// reconciliation.
    async fn restore_labels(&self, object: &Object) -> Result<(), WriteError> {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let labels = json!({"metadata": {"labels": object.body["metadata"]["labels"]}});
        let params = PatchParams { field_manager: Some(WORKLOAD.to_owned()), ..PatchParams::default() };
        let patched = api.patch_metadata(&object.key.name, &params, &Patch::Merge(labels)).await;
        patched.map_err(|source| WriteError::api(&object.key, source))?;
        Err(WriteError::conflict(&object.key))
    }

    /// Fails with a conflict if the object exists.
    async fn post(&self, object: &Object) -> Result<(), WriteError> {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let params = PostParams { field_manager: Some(WORKLOAD.to_owned()), ..PostParams::default() };
        let body: DynamicObject = serde_json::from_value(object.body.clone())
            .map_err(|error| WriteError::api(&object.key, kube::Error::SerdeError(error)))?;
        match api.create(&params, &body).await {
            Ok(live) => {
                self.record(object, live);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Err(WriteError::conflict(&object.key)),
            Err(source) => Err(WriteError::api(&object.key, source)),
        }
    }

    async fn update(&self, object: &Object, live: Option<&DynamicObject>) -> Result<(), WriteError> {
        let Ownership::Autoscaled { initial_replicas } = object.ownership else {
            return self.server_side_apply(object, &object.body).await;
        };
        let automatic =
            live.is_some_and(|live| live.annotations().get(SCALING).is_some_and(|value| value == "Automatic"));
        if automatic {
            return self.server_side_apply(object, &object.body).await;
        }
        let now = live.and_then(|live| live.data["spec"]["replicas"].as_i64()).and_then(|n| i32::try_from(n).ok());
        self.release_replicas(object, now.unwrap_or(initial_replicas), false).await
    }

    /// Server-side apply keeps list elements that other clients added, and fails if such an element has the name of one of
    /// ours. In both cases a merge patch replaces the lists.
    async fn revert(&self, object: &Object, live: Option<&DynamicObject>) -> Result<(), WriteError> {
        match self.update(object, live).await {
            Ok(()) if self.is_reverted(object) => return Ok(()),
            Err(WriteError::Api { source: kube::Error::Api(status), .. }) if status.code != 422 => {
                return Err(WriteError::api(&object.key, kube::Error::Api(status)));
            }
            _ => {}
        }
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let params = PatchParams { field_manager: Some(WORKLOAD.to_owned()), ..PatchParams::default() };
        let live = api.patch(&object.key.name, &params, &Patch::Merge(&object.body)).await;
        self.record(object, live.map_err(|source| WriteError::api(&object.key, source))?);
        Ok(())
    }

    fn is_reverted(&self, object: &Object) -> bool {
        self.cluster.writes(self.market, |writes| {
            let normal_form = writes.get(&object.key).and_then(|last| last.normal_form(object));
            normal_form.is_some_and(|live| covers(live, &compared(object)))
        })
    }

    /// Gives up the field `replicas` so that the autoscaler owns it. A field that loses its only owner is reset to its
    /// default, one pod; so another field manager takes it first.
    async fn release_replicas(&self, object: &Object, replicas: i32, new: bool) -> Result<(), WriteError> {
        if new {
            let mut first = object.body.clone();
            first["spec"]["replicas"] = json!(replicas);
            first["metadata"]["annotations"][SCALING] = json!("Fixed");
            self.server_side_apply(object, &first).await?;
        }
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let owned = json!({
            "apiVersion": object.body["apiVersion"],
            "kind": object.body["kind"],
            "metadata": {"name": object.key.name},
            "spec": {"replicas": replicas},
        });
        let params = PatchParams::apply(AUTOSCALING).force();
        let taken = api.patch(&object.key.name, &params, &Patch::Apply(owned)).await;
        taken.map_err(|source| WriteError::api(&object.key, source))?;
        self.server_side_apply(object, &object.body).await
    }

    async fn server_side_apply(&self, object: &Object, body: &Value) -> Result<(), WriteError> {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let params = PatchParams::apply(WORKLOAD).force();
        match api.patch(&object.key.name, &params, &Patch::Apply(body)).await {
            Ok(live) => {
                self.record(object, live);
                Ok(())
            }
            Err(source) => Err(WriteError::api(&object.key, source)),
        }
    }

    fn record(&self, object: &Object, mut live: DynamicObject) {
        metrics::counter!("operator_writes_total", "kind" => object.key.kind.word()).increment(1);
        tracing::debug!(
            namespace = self.market.namespace,
            marketplace = self.market.name,
            "wrote {}, because it differed from the desired state",
            object.key
        );
        live.metadata.managed_fields = None;
        let write = LastWrite::new(object, live);
        self.cluster.writes(self.market, |writes| writes.insert(object.key.clone(), write));
    }

    /// The client that wrote to a child last. It is read before the correction, which removes that client's field manager.
    async fn last_manager(&self, object: &Object) -> String {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let live = api.get_metadata(&object.key.name).await;
        live.map_or_else(|_| UNKNOWN_MANAGER.to_owned(), |live| last_manager(live.managed_fields()))
    }
}

const UNKNOWN_MANAGER: &str = "an unknown client";

fn reverted(object: &Object, manager: &str) -> (Severity, String) {
    let note = format!("Reverted {} (changed by {manager}): to change it, edit the Marketplace", object.key);
    (Severity::Reverted, note)
}

fn recreated(object: &Object) -> (Severity, String) {
    let key = &object.key;
    if key.kind == Kind::Secret {
        let note = format!(
            "Recreated {key} with new values (deleted by another client): the old values are lost unless you restore the \
             Secret from a backup"
        );
        return (Severity::DataLoss, note);
    }
    (Severity::Reverted, format!("Recreated {key} (deleted by another client): to remove it, edit the Marketplace"))
}

/// The field manager of the latest write, except this operator and the controllers that write a status.
fn last_manager(fields: &[ManagedFieldsEntry]) -> String {
    fields
        .iter()
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter(|entry| !entry.manager.as_deref().unwrap_or_default().starts_with(OPERATOR))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
        .and_then(|entry| entry.manager.clone())
        .unwrap_or_else(|| UNKNOWN_MANAGER.to_owned())
}

fn reference(object: &Object, namespace: &str, version: Option<String>) -> ObjectReference {
    let api = object.key.kind.resource();
    ObjectReference {
        api_version: Some(api.api_version),
        kind: Some(api.kind),
        name: Some(object.key.name.clone()),
        namespace: Some(namespace.to_owned()),
        resource_version: version,
        ..ObjectReference::default()
    }
}
