//! The changes that the operator makes in the cluster. Each is one line of the log: what was changed, as which field manager,
//! and why. The status and the events are left out: they say themselves what happened.

use agora_crd::Marketplace;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::kinds::ObjectKey;
use crate::market::MarketRef;

/// Field manager of every field of a child that the operator writes.
pub const WORKLOAD: &str = "agora-operator/workload";
/// Field manager of what the operator writes to the metadata of a Marketplace.
pub const METADATA: &str = "agora-operator/metadata";

/// Logs a change that was made: `done` says what, and names the object.
pub fn log_change(market: &MarketRef, field_manager: &str, done: &str, reason: &str) {
    tracing::info!(namespace = market.namespace, marketplace = market.name, field_manager, reason, "{done}");
}

impl Cluster {
    /// Deletes a child, with `unchanged` only in that state. Returns whether it existed.
    pub async fn delete(
        &self,
        market: &MarketRef,
        key: &ObjectKey,
        unchanged: Option<Preconditions>,
        reason: &str,
    ) -> Result<bool, kube::Error> {
        let params = DeleteParams { preconditions: unchanged, ..DeleteParams::background() };
        match self.api(key.kind, &market.namespace).delete(&key.name, &params).await {
            Ok(_) => {
                log_change(market, WORKLOAD, &format!("deleted {key}"), reason);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Changes the metadata of a Marketplace, also of one that cannot be decoded.
    pub async fn patch_metadata(
        &self,
        market: &MarketRef,
        metadata: &Value,
        done: &str,
        reason: &str,
    ) -> Result<(), kube::Error> {
        let api: Api<Marketplace> = Api::namespaced(self.client.clone(), &market.namespace);
        let params = PatchParams { field_manager: Some(METADATA.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"metadata": metadata}));
        api.patch_metadata(&market.name, &params, &patch).await?;
        log_change(market, METADATA, done, reason);
        Ok(())
    }
}
