//! One child: skipped, created, applied or put right.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::Pass;
use crate::desired::{MANAGED_BY, owner_name};
use crate::events::{self, Correction};
use crate::kinds::ObjectKey;
use crate::object::{Difference, Object, SCALING, Write, difference};
use crate::written::Written;

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
        let (differs, known) = self.context.written(self.market, |written| {
            let known = written.get(&object.key);
            (difference(object, live, known.and_then(|known| known.settled(object))), known.is_some())
        });
        match differs {
            Difference::None => return Ok(false),
            Difference::Absent => self.create(object).await?,
            Difference::Outdated | Difference::Drifted => self.change(object, live).await?,
        }
        let note = match differs {
            Difference::Absent if known => Some((format!("{} had been deleted and was made anew", object.key), None)),
            Difference::Drifted => Some(self.who_changed(object).await),
            _ => None,
        };
        // The note of a change is asked for after it was put right: repair comes first.
        if let Some((note, version)) = note {
            let what = reference(object, &self.market.namespace, version);
            events::corrected(&self.context.recorder, self.reference, Correction { what, note }).await;
        }
        Ok(true)
    }

    /// A child that no cache shows: it may still exist, and then it is nobody's to take.
    async fn create(&self, object: &Object) -> Result<(), WriteError> {
        if matches!(object.write, Write::Drawn | Write::Once) {
            return self.post(object).await;
        }
        let api = self.context.api(object.key.kind, &self.market.namespace);
        let existing = api.get_metadata_opt(&object.key.name).await;
        if let Some(existing) = existing.map_err(|source| WriteError::api(&object.key, source))? {
            return Err(self.taken(object, existing.labels()));
        }
        match object.write {
            Write::Scaled(replicas) => self.hand_over(object, replicas, true).await,
            _ => self.server_side_apply(object, &object.body).await,
        }
    }

    /// Created and never written over one that exists: what was drawn for this one is lost then.
    async fn post(&self, object: &Object) -> Result<(), WriteError> {
        let api = self.context.api(object.key.kind, &self.market.namespace);
        let params = PostParams { field_manager: Some(WORKLOAD.to_owned()), ..PostParams::default() };
        let body: DynamicObject = serde_json::from_value(object.body.clone())
            .map_err(|error| WriteError::api(&object.key, kube::Error::SerdeError(error)))?;
        match api.create(&params, &body).await {
            Ok(live) => {
                self.remember(object, live);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let existing = api.get_metadata_opt(&object.key.name).await;
                match existing.map_err(|source| WriteError::api(&object.key, source))? {
                    Some(existing) => Err(self.taken(object, existing.labels())),
                    None => Err(WriteError::Raced { key: object.key.clone() }),
                }
            }
            Err(source) => Err(WriteError::api(&object.key, source)),
        }
    }

    fn taken(&self, object: &Object, labels: &std::collections::BTreeMap<String, String>) -> WriteError {
        let key = object.key.clone();
        let ours = owner_name(labels) == Some(&self.market.name)
            && labels.get(MANAGED_BY).is_some_and(|manager| manager == OURS);
        if ours { WriteError::Raced { key } } else { WriteError::Foreign { key } }
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

    /// Leaves `replicas` to the autoscaler without a moment in which nobody holds them: a field that its only owner
    /// drops goes back to its default, which is one pod.
    async fn hand_over(&self, object: &Object, replicas: i32, new: bool) -> Result<(), WriteError> {
        if new {
            let mut first = object.body.clone();
            first["spec"]["replicas"] = json!(replicas);
            first["metadata"]["annotations"][SCALING] = json!("Fixed");
            self.server_side_apply(object, &first).await?;
        }
        let api = self.context.api(object.key.kind, &self.market.namespace);
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
        let api = self.context.api(object.key.kind, &self.market.namespace);
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
        self.context.written(self.market, |all| all.insert(object.key.clone(), written));
    }

    /// Who wrote to a child last, beside this operator and the controllers that report its status.
    async fn who_changed(&self, object: &Object) -> (String, Option<String>) {
        let version = self.observed.children.get(&object.key).and_then(ResourceExt::resource_version);
        let api = self.context.api(object.key.kind, &self.market.namespace);
        let who = match api.get_metadata(&object.key.name).await {
            Ok(live) => last_manager(live.managed_fields()),
            Err(_) => None,
        };
        let who = who.unwrap_or_else(|| "somebody".to_owned());
        (format!("{} had been changed by {who} and was put right", object.key), version)
    }
}

fn last_manager(fields: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry]) -> Option<String> {
    fields
        .iter()
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .filter(|entry| !entry.manager.as_deref().unwrap_or_default().starts_with(OURS))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
        .and_then(|entry| entry.manager.clone())
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
