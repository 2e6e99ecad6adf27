//! One child: skipped, created, applied or put right.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::Pass;
use crate::cluster::written::Written;
use crate::decide::correction::Correction;
use crate::decide::desired::{MANAGED_BY, owner_name};
use crate::decide::diff::{Difference, compared, covers, difference};
use crate::decide::object::{Object, SCALING, Write};
use crate::kinds::ObjectKey;

/// Owns every field but `replicas`.
const WORKLOAD: &str = "agora-operator/workload";
/// Holds `replicas` until the autoscaler takes them over.
const AUTOSCALING: &str = "agora-operator/autoscaling";
/// Field managers of this operator begin so.
const OURS: &str = "agora-operator";

/// Why a child was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server refused or did not answer.
    #[error("{key} could not be written")]
    Api {
        /// The child.
        key: ObjectKey,
        /// What the client said.
        source: kube::Error,
    },
    /// Something of that name exists and belongs to somebody else.
    #[error("{key} exists and is not managed here: rename or delete it")]
    Foreign {
        /// The child.
        key: ObjectKey,
    },
    /// It appeared while this pass ran.
    #[error("{key} appeared meanwhile")]
    Raced {
        /// The child.
        key: ObjectKey,
    },
}

impl WriteError {
    pub(super) fn api(key: &ObjectKey, source: kube::Error) -> Self {
        Self::Api { key: key.clone(), source }
    }
}

impl Pass<'_> {
    /// True: it was written.
    pub(super) async fn write(&self, object: &Object) -> Result<bool, WriteError> {
        let live = self.observed.children.get(&object.key);
        let (differs, known) = self.cluster.written(self.market, |written| {
            let known = written.get(&object.key);
            (difference(object, live, known.and_then(|known| known.settled(object))), known.is_some())
        });
        let note = match differs {
            Difference::None => return Ok(false),
            Difference::Outdated => {
                self.change(object, live).await?;
                None
            }
            Difference::Drifted => {
                let who = self.who_changed(object).await;
                self.repair(object, live).await?;
                Some(changed(object, &who))
            }
            Difference::Absent => {
                let hidden_by = self.create(object).await?;
                let deleted = known.then(|| format!("{} had been deleted and was made anew", object.key));
                hidden_by.map(|who| changed(object, &who)).or(deleted)
            }
        };
        if let Some(note) = note {
            let version = live.and_then(ResourceExt::resource_version);
            let what = reference(object, &self.market.namespace, version);
            self.cluster.events.corrected(self.reference, Correction { what, note }).await;
        }
        Ok(true)
    }

    /// A child that no cache shows. It may exist all the same: of somebody else, and then it is not taken; or ours with
    /// its labels altered, so that no watch shows it. Then it says by whom.
    async fn create(&self, object: &Object) -> Result<Option<String>, WriteError> {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let existing = api.get_metadata_opt(&object.key.name).await;
        let existing = existing.map_err(|source| WriteError::api(&object.key, source))?;
        if existing.as_ref().is_some_and(|existing| !self.is_ours(existing.meta())) {
            return Err(WriteError::Foreign { key: object.key.clone() });
        }
        let hidden = existing.is_some();
        match object.write {
            Write::Drawn | Write::Once if hidden => self.show(object).await?,
            Write::Drawn | Write::Once => self.post(object).await?,
            Write::Scaled(replicas) if !hidden => self.hand_over(object, replicas, true).await?,
            Write::Scaled(_) | Write::Apply => self.server_side_apply(object, &object.body).await?,
        }
        Ok(existing.map(|existing| last_manager(existing.managed_fields())))
    }

    fn is_ours(&self, metadata: &ObjectMeta) -> bool {
        let owned =
            metadata.owner_references.iter().flatten().any(|owner| Some(&owner.uid) == self.reference.uid.as_ref());
        let labels = metadata.labels.clone().unwrap_or_default();
        owned
            || owner_name(&labels) == Some(&self.market.name)
                && labels.get(MANAGED_BY).is_some_and(|manager| manager == OURS)
    }

    /// Gives a child its labels back, and nothing else: what it holds is not known.
    async fn show(&self, object: &Object) -> Result<(), WriteError> {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let labels = json!({"metadata": {"labels": object.body["metadata"]["labels"]}});
        let params = PatchParams { field_manager: Some(WORKLOAD.to_owned()), ..PatchParams::default() };
        let shown = api.patch_metadata(&object.key.name, &params, &Patch::Merge(labels)).await;
        shown.map_err(|source| WriteError::api(&object.key, source))?;
        Err(WriteError::Raced { key: object.key.clone() })
    }

    /// Created and never written over one that exists: what was drawn for this one is lost then.
    async fn post(&self, object: &Object) -> Result<(), WriteError> {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let params = PostParams { field_manager: Some(WORKLOAD.to_owned()), ..PostParams::default() };
        let body: DynamicObject = serde_json::from_value(object.body.clone())
            .map_err(|error| WriteError::api(&object.key, kube::Error::SerdeError(error)))?;
        match api.create(&params, &body).await {
            Ok(live) => {
                self.remember(object, live);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Err(WriteError::Raced { key: object.key.clone() }),
            Err(source) => Err(WriteError::api(&object.key, source)),
        }
    }

    async fn change(&self, object: &Object, live: Option<&DynamicObject>) -> Result<(), WriteError> {
        let Write::Scaled(replicas) = object.write else {
            return self.server_side_apply(object, &object.body).await;
        };
        let automatic =
            live.is_some_and(|live| live.annotations().get(SCALING).is_some_and(|value| value == "Automatic"));
        if automatic {
            return self.server_side_apply(object, &object.body).await;
        }
        let now = live.and_then(|live| live.data["spec"]["replicas"].as_i64()).and_then(|n| i32::try_from(n).ok());
        self.hand_over(object, now.unwrap_or(replicas), false).await
    }

    /// Server-side apply leaves elements of lists that others added, and fails where such an element has a name of
    /// ours: then the lists are replaced whole.
    async fn repair(&self, object: &Object, live: Option<&DynamicObject>) -> Result<(), WriteError> {
        match self.change(object, live).await {
            Ok(()) if self.is_repaired(object) => return Ok(()),
            Err(WriteError::Api { source: kube::Error::Api(status), .. }) if status.code != 422 => {
                return Err(WriteError::api(&object.key, kube::Error::Api(status)));
            }
            _ => {}
        }
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let params = PatchParams { field_manager: Some(WORKLOAD.to_owned()), ..PatchParams::default() };
        let live = api.patch(&object.key.name, &params, &Patch::Merge(&object.body)).await;
        self.remember(object, live.map_err(|source| WriteError::api(&object.key, source))?);
        Ok(())
    }

    fn is_repaired(&self, object: &Object) -> bool {
        self.cluster.written(self.market, |written| {
            let settled = written.get(&object.key).and_then(|written| written.settled(object));
            settled.is_some_and(|settled| covers(settled, &compared(object)))
        })
    }

    /// Leaves `replicas` to the autoscaler without a moment in which nobody holds them: a field that its only owner
    /// drops goes back to its default, which is one pod.
    async fn hand_over(&self, object: &Object, replicas: i32, new: bool) -> Result<(), WriteError> {
        if new {
            let mut first = object.body.clone();
            first["spec"]["replicas"] = json!(replicas);
            first["metadata"]["annotations"][SCALING] = json!("Fixed");
            self.server_side_apply(object, &first).await?;
        }
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let held = json!({
            "apiVersion": object.body["apiVersion"],
            "kind": object.body["kind"],
            "metadata": {"name": object.key.name},
            "spec": {"replicas": replicas},
        });
        let params = PatchParams::apply(AUTOSCALING).force();
        let held = api.patch(&object.key.name, &params, &Patch::Apply(held)).await;
        held.map_err(|source| WriteError::api(&object.key, source))?;
        self.server_side_apply(object, &object.body).await
    }

    async fn server_side_apply(&self, object: &Object, body: &Value) -> Result<(), WriteError> {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let params = PatchParams::apply(WORKLOAD).force();
        match api.patch(&object.key.name, &params, &Patch::Apply(body)).await {
            Ok(live) => {
                self.remember(object, live);
                Ok(())
            }
            Err(source) => Err(WriteError::api(&object.key, source)),
        }
    }

    fn remember(&self, object: &Object, mut live: DynamicObject) {
        metrics::counter!("operator_writes_total", "kind" => object.key.kind.word()).increment(1);
        tracing::debug!(namespace = self.market.namespace, child = %object.key, "written");
        live.metadata.managed_fields = None;
        let written = Written::new(object, live);
        self.cluster.written(self.market, |all| all.insert(object.key.clone(), written));
    }

    /// Who wrote to a child last; asked before it is put right, which makes others' marks vanish.
    async fn who_changed(&self, object: &Object) -> String {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let live = api.get_metadata(&object.key.name).await;
        live.map_or_else(|_| "somebody".to_owned(), |live| last_manager(live.managed_fields()))
    }
}

fn changed(object: &Object, who: &str) -> String {
    format!("{} had been changed by {who} and was put right", object.key)
}

/// Beside this operator and the controllers that report a status.
fn last_manager(fields: &[ManagedFieldsEntry]) -> String {
    fields
        .iter()
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter(|entry| !entry.manager.as_deref().unwrap_or_default().starts_with(OURS))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
        .and_then(|entry| entry.manager.clone())
        .unwrap_or_else(|| "somebody".to_owned())
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
