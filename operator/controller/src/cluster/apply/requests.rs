//! The requests that write one child: creation, replacement, and a dry run of a replacement.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kube::api::{PostParams, Preconditions};
use kube::core::{DynamicObject, Status};
use serde_json::Value;

use super::Pass;
use super::write::WriteError;
use crate::cluster::changes::{WORKLOAD, log_change};
use crate::decide::credentials::spare_secret;
use crate::decide::desired::is_owned_without_labels;
use crate::decide::diff::{creation, recreation, replacement};
use crate::decide::object::Object;
use crate::kinds::{Kind, ObjectKey};

/// Prefix of the operator's field managers.
const OPERATOR: &str = "agora-operator";
const UNKNOWN_MANAGER: &str = "an unknown client";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Write,
    /// The API server returns what it would store, and stores nothing.
    DryRun,
}

impl Mode {
    fn params(self) -> PostParams {
        PostParams { dry_run: self == Self::DryRun, field_manager: Some(WORKLOAD.to_owned()) }
    }
}

impl Pass<'_> {
    /// Creates a child that was not observed.
    pub(super) async fn create(&self, object: &Object) -> Result<(), WriteError> {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        match api.create(&Mode::Write.params(), &dynamic(object, creation(object))?).await {
            Ok(live) => {
                self.record(object, live, "it did not exist");
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
                Err(self.existing(&object.key).await)
            }
            Err(source) => Err(WriteError::api(&object.key, source)),
        }
    }

    /// Why a child cannot be created that exists: it belongs to another owner, or it was not observed because its labels were
    /// changed, so that no watch shows it. The next reconciliation then reads it.
    async fn existing(&self, key: &ObjectKey) -> WriteError {
        let api = self.cluster.api(key.kind, &self.market.namespace);
        match api.get_metadata_opt(&key.name).await {
            Err(source) => WriteError::api(key, source),
            Ok(Some(live)) if !is_owned_without_labels(self.plan, &live.metadata) => {
                WriteError::NotOwned { key: key.clone() }
            }
            Ok(Some(_)) => {
                self.cluster.writes(self.market, |writes| writes.entry(key.clone()).or_default().existed = true);
                WriteError::conflict(key)
            }
            Ok(None) => WriteError::conflict(key),
        }
    }

    /// Sends the desired object in place of `live`. Fails with a conflict if `live` is out of date.
    pub(super) async fn replace(
        &self,
        object: &Object,
        live: &DynamicObject,
        mode: Mode,
    ) -> Result<DynamicObject, WriteError> {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let body = dynamic(object, replacement(object, live))?;
        let replaced = api.replace(&object.key.name, &mode.params(), &body).await;
        replaced.map_err(|source| WriteError::stale_or_api(&object.key, source))
    }

    /// Deletes `live` and creates the desired object in its place. A Secret is copied first: its values were drawn once, and
    /// must survive the end of the process in between.
    pub(super) async fn recreate(
        &self,
        object: &Object,
        live: &DynamicObject,
        reason: &str,
    ) -> Result<DynamicObject, WriteError> {
        let key = &object.key;
        if key.kind == Kind::Secret {
            self.save_spare(object).await?;
        }
        let unchanged = Preconditions { uid: live.uid(), resource_version: live.resource_version() };
        let deleted = self.cluster.delete(self.market, key, Some(unchanged), reason).await;
        if !deleted.map_err(|source| WriteError::stale_or_api(key, source))? {
            return Err(WriteError::conflict(key));
        }
        // If the creation fails, it is repeated, and no other client is named as the one that deleted it.
        self.cluster.writes(self.market, |writes| writes.entry(key.clone()).or_default().existed = false);
        let api = self.cluster.api(key.kind, &self.market.namespace);
        let created = api.create(&Mode::Write.params(), &dynamic(object, recreation(object, live))?).await;
        created.map_err(|source| match source {
            kube::Error::Api(status) if status.reason == "AlreadyExists" => WriteError::conflict(key),
            source => WriteError::api(key, source),
        })
    }

    /// The copy has an owner, so that no deletion of the Marketplace leaves it; the desired state deletes it once the Secret
    /// exists again.
    async fn save_spare(&self, object: &Object) -> Result<(), WriteError> {
        let key = ObjectKey::new(Kind::Secret, spare_secret(&object.key.name));
        let mut spare = dynamic(object, creation(object))?;
        spare.metadata.name = Some(key.name.clone());
        spare.metadata.owner_references = Some(vec![self.plan.owner.clone()]);
        let failed = |source| WriteError::api(&object.key, source);
        self.cluster.delete(self.market, &key, None, "it is an earlier copy").await.map_err(failed)?;
        let api = self.cluster.api(Kind::Secret, &self.market.namespace);
        api.create(&Mode::Write.params(), &spare).await.map_err(failed)?;
        let reason = format!("it is a copy of {}, which is deleted and created again", object.key);
        log_change(self.market, WORKLOAD, &format!("wrote {key}"), &reason);
        Ok(())
    }

    /// The client that wrote to a child last. It is read before the correction, which removes that client's field manager.
    pub(super) async fn last_manager(&self, object: &Object) -> String {
        let api = self.cluster.api(object.key.kind, &self.market.namespace);
        let live = api.get_metadata(&object.key.name).await;
        live.map_or_else(|_| UNKNOWN_MANAGER.to_owned(), |live| last_manager(live.managed_fields()))
    }
}

fn dynamic(object: &Object, body: Value) -> Result<DynamicObject, WriteError> {
    serde_json::from_value(body).map_err(|error| WriteError::api(&object.key, kube::Error::SerdeError(error)))
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

/// Whether a write failed because its object was changed or deleted in the meantime.
pub fn is_stale(status: &Status) -> bool {
    status.code == 404 || status.code == 409 && status.reason == "Conflict"
}
