//! A Marketplace that this release cannot decode: it is reported, its shop is left as it is, and it can be deleted.

use agora_crd::{ConditionType, FINALIZER, Marketplace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::json;

use crate::cluster::watches::Unreadable;
use crate::decide::status::unreadable_conditions;
use crate::market::MarketRef;
use crate::run::context::Context;
use crate::run::error::Error;
use crate::run::finalize::{delete_workloads, remove_finalizer};
use crate::run::next::Next;

/// Deletes without the databases and topics, whose names and servers are not known.
pub async fn reconcile(context: &Context, market: &MarketRef, unreadable: &Unreadable) -> Result<Next, Error> {
    let Unreadable { object, error } = unreadable;
    if object.metadata.deletion_timestamp.is_none() {
        report(context, market, unreadable).await?;
        return Ok(Next::OnChange);
    }
    if !object.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(Next::OnChange);
    }
    context.external.suspend(market);
    delete_workloads(context, market, &context.cluster.stores.children(market)).await?;
    let note = format!(
        "Deleted Marketplace {}/{} and left its databases and topics in place, because its spec cannot be read ({error}); \
         remove them by hand if they are not needed any more",
        market.namespace, market.name
    );
    remove_finalizer(context, market, object.as_ref()).await?;
    context.cluster.events.retained(&market.namespace, note, true).await;
    context.remove(market);
    Ok(Next::OnChange)
}

/// Writes the conditions. The other parts of the status stay as they were last written.
async fn report(context: &Context, market: &MarketRef, unreadable: &Unreadable) -> Result<(), Error> {
    let Unreadable { object, error } = unreadable;
    let known = serde_json::from_value(object.data["status"]["conditions"].clone());
    let before: Vec<Condition> = known.unwrap_or_default();
    let now = context.process.clock().now();
    let conditions = unreadable_conditions(&before, object.metadata.generation, error, now);
    if conditions == before {
        return Ok(());
    }
    tracing::warn!(
        namespace = market.namespace,
        name = market.name,
        error,
        "cannot read the Marketplace; see its condition {}",
        ConditionType::Stalled
    );
    let patch = json!({"status": {"conditions": conditions}});
    let api: Api<kube::core::DynamicObject> = Api::namespaced_with(
        context.cluster.client.clone(),
        &market.namespace,
        &ApiResource::erase::<Marketplace>(&()),
    );
    let written = api.patch_status(&market.name, &PatchParams::default(), &Patch::Merge(patch)).await;
    written.map(drop).map_err(|source| Error::Write { what: "the status", source })
}
