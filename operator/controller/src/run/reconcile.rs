//! One reconciliation as a list of steps: observe, plan, desired, apply, status.

use std::time::Duration;

use agora_crd::{ACCEPT_DATA_LOSS, FINALIZER, Marketplace, MarketplaceStatus, PAUSED, Reason};
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde_json::json;

use crate::cluster::apply::apply;
use crate::cluster::endpoints;
use crate::cluster::error_chain::error_chain;
use crate::cluster::observe::{Snapshot, observe};
use crate::decide::applied::Applied;
use crate::decide::desired::{Desired, desired};
use crate::decide::milestones::milestones;
use crate::decide::observed::{ConditionError, LastInspection, Observed, ReferencedSecret};
use crate::decide::plan::{Plan, Violation, plan};
use crate::decide::status::{View, status, terminating};
use crate::market::MarketRef;
use crate::run::context::Context;
use crate::run::error::Error;
use crate::run::finalize::{self, Step};
use crate::run::next::Next;
use crate::run::unreadable;

/// Delay until a cache is read again that does not show the operator's own writes yet.
const CACHE_LAG_DELAY: Duration = Duration::from_secs(1);
/// Delay until what a user has to change, and no watch shows, is read again.
const USER_ACTION_DELAY: Duration = Duration::from_secs(15);

/// Why the finalizer is added.
const RELEASED_FIRST: &str = "a deletion first releases databases and topics";
/// Why an accepted loss is removed.
const USED: &str = "what was accepted as lost exists, and its next loss is not accepted";

/// Changes the cluster towards the desired state as far as is possible now, and writes the status. Idempotent.
pub async fn reconcile(context: &Context, market: &MarketRef) -> Result<Next, Error> {
    let stores = &context.cluster.stores;
    // Without a right to list the children, a deletion goes on with what is known.
    let deletes = stores.is_being_deleted(market) && stores.are_settled(&market.namespace);
    if !deletes && !stores.are_filled(&market.namespace) {
        // The last list of the namespace requests all its Marketplaces.
        return Ok(Next::OnChange);
    }
    let resource = match stores.market(market) {
        None => {
            context.remove(market);
            return Ok(Next::Gone);
        }
        Some(Ok(resource)) => resource,
        Some(Err(unreadable)) => return unreadable::reconcile(context, market, &unreadable).await,
    };
    let last = context.external.last_inspection(market);
    let (mut plan, violations) = plan(&resource, connections(&resource, &last));
    plan.known = plan.known.with(&context.cluster.uid, &last);
    plan.operator_namespace.clone_from(&context.own_namespace);
    if resource.meta().deletion_timestamp.is_none() {
        plan.target_ports = context.cluster.endpoints.read(&context.cluster.client, plan.data_services()).await;
    }
    let now = context.process.clock().now();
    let Snapshot { observed, cache_lags } = observe(&context.cluster, market, &plan, last, now).await?;
    if resource.meta().deletion_timestamp.is_some() {
        if paused(&resource) {
            plan.keep_data();
        }
        return match finalize::finalize(context, market, &resource, &plan, &observed).await? {
            Step::Continue(next) => Ok(next),
            Step::Blocked(error, next) => {
                write_status(context, market, &resource, &terminating(&resource, &error, observed.now)).await?;
                Ok(next)
            }
        };
    }
    let paused = paused(&resource);
    if !paused && !resource.finalizers().iter().any(|name| name == FINALIZER) {
        add_finalizer(context, market, &resource).await?;
    }
    let desired = desired(&plan, &observed);
    let reference = resource.object_ref(&());
    let mut view = View {
        market: &resource,
        plan: &plan,
        violations: &violations,
        paused,
        observed: &observed,
        desired: &desired,
        applied: &Applied::default(),
    };
    let before = announce(context, market, &view).await;
    let mut applied = Applied::default();
    if !paused {
        applied = apply(&context.cluster, market, &reference, &plan, &desired, &observed).await;
    }
    if paused {
        context.external.suspend(market);
    } else {
        context.external.set_desired(market, &reference, &desired);
    }
    view.applied = &applied;
    update_status(context, market, before, &view).await?;
    if !paused {
        remove_used_acceptance(context, market, &resource, &view).await?;
    }
    let next = next(&plan, &applied, cache_lags, &violations, &desired, &observed);
    let keys_change_at = observed.credentials.change_at(plan.key_rotation);
    Ok(keys_change_at.map_or(next, |at| next.at_latest_after((at - now).unsigned_abs())))
}

/// Writes the status of a new spec before it is applied: the conditions of the previous one must not be taken for those of
/// this one. A failure is logged: the children are repaired anyway, and the status is written again after them.
async fn announce(context: &Context, market: &MarketRef, view: &View<'_>) -> Option<MarketplaceStatus> {
    let before = view.market.status.clone();
    if before.as_ref().and_then(|status| status.observed_generation) == view.market.metadata.generation {
        return before;
    }
    match update_status(context, market, before.clone(), view).await {
        Ok(written) => written,
        Err(error) => {
            let error = error_chain(&error);
            tracing::warn!(
                namespace = market.namespace,
                name = market.name,
                error,
                "cannot write the status of the changed spec; it is written again after the children"
            );
            before
        }
    }
}

/// Writes the status if it differs from `before`, and an event for each step that it completes. Returns the status.
async fn update_status(
    context: &Context,
    market: &MarketRef,
    before: Option<MarketplaceStatus>,
    view: &View<'_>,
) -> Result<Option<MarketplaceStatus>, Error> {
    let after = status(view);
    if before.as_ref() == Some(&after) {
        return Ok(before);
    }
    write_status(context, market, view.market, &after).await?;
    let reference = view.market.object_ref(&());
    for milestone in milestones(&view.plan.name, before.as_ref(), &after, view.observed, view.desired) {
        context.cluster.events.milestone(&reference, milestone, view.observed.now).await;
    }
    Ok(Some(after))
}

fn paused(resource: &Marketplace) -> bool {
    resource.annotations().get(PAUSED).is_some_and(|value| value == "true")
}

/// An accepted loss is accepted once: the annotation that names it is removed when the database or topic exists again, so that
/// it does not accept the next loss.
async fn remove_used_acceptance(
    context: &Context,
    market: &MarketRef,
    resource: &Marketplace,
    view: &View<'_>,
) -> Result<(), Error> {
    let accepted = &view.plan.known.accepted.losses;
    let used = view.used_acceptances();
    if used.is_empty() {
        return Ok(());
    }
    let left: Vec<&str> = accepted.iter().filter(|name| !used.contains(*name)).map(String::as_str).collect();
    let value = (!left.is_empty()).then(|| left.join(","));
    let metadata = json!({"resourceVersion": resource.resource_version(), "annotations": {ACCEPT_DATA_LOSS: value}});
    let names = used.into_iter().collect::<Vec<_>>().join(", ");
    let done = format!("removed {names} from annotation {ACCEPT_DATA_LOSS} of Marketplace {}", market.name);
    match context.cluster.patch_metadata(market, &metadata, &done, USED).await {
        Ok(()) => Ok(()),
        Err(kube::Error::Api(answer)) if [404, 409].contains(&answer.code) => Ok(()),
        Err(source) => Err(Error::Write { what: "the annotation of the accepted loss", source }),
    }
}

/// The server's connection limit as last inspected. Before the first inspection it is taken from the status, so that a
/// restart of the operator while the server is unreachable does not change the size of the pools.
fn connections(resource: &Marketplace, last: &LastInspection) -> Option<i32> {
    let inspected = last.databases.as_ref().and_then(|observation| observation.connections.as_ref().ok().copied());
    let reported = || resource.status.as_ref()?.effective.as_ref()?.max_connections;
    inspected.or_else(reported)
}

fn next(
    plan: &Plan,
    applied: &Applied,
    cache_lags: bool,
    violations: &[Violation],
    desired: &Desired,
    observed: &Observed,
) -> Next {
    let unusable = |secret: &ReferencedSecret| !matches!(secret, ReferencedSecret::Usable { .. });
    let time_matters =
        |error: &ConditionError| matches!(error.reason, Reason::MigrationFailed | Reason::MigrationRunning);
    if applied.retry || cache_lags {
        Next::After(CACHE_LAG_DELAY)
    } else if observed.referenced_secrets.values().any(unusable)
        || !applied.errors.is_empty()
        || !violations.is_empty()
        || desired.waiting.values().any(time_matters)
    {
        Next::After(USER_ACTION_DELAY)
    } else if plan.target_ports.is_empty() {
        Next::OnChange
    } else {
        // No watch shows a change of a data server's Service.
        Next::After(endpoints::AGE_MAX)
    }
}

fn api(context: &Context, market: &MarketRef) -> Api<Marketplace> {
    Api::namespaced(context.cluster.client.clone(), &market.namespace)
}

async fn add_finalizer(context: &Context, market: &MarketRef, resource: &Marketplace) -> Result<(), Error> {
    let mut finalizers = resource.finalizers().to_vec();
    finalizers.push(FINALIZER.to_owned());
    let metadata = json!({"resourceVersion": resource.resource_version(), "finalizers": finalizers});
    let done = format!("added finalizer {FINALIZER} to Marketplace {}", market.name);
    let written = context.cluster.patch_metadata(market, &metadata, &done, RELEASED_FIRST).await;
    written.map_err(|source| Error::Write { what: "the finalizer", source })
}

/// Sends no request if the cache shows the same status.
async fn write_status(
    context: &Context,
    market: &MarketRef,
    resource: &Marketplace,
    status: &MarketplaceStatus,
) -> Result<(), Error> {
    if resource.status.as_ref() == Some(status) {
        return Ok(());
    }
    let patch = json!({
        "apiVersion": Marketplace::api_version(&()),
        "kind": Marketplace::kind(&()),
        "metadata": {"name": market.name},
        "status": status,
    });
    let params = PatchParams::apply("agora-operator/status").force();
    let written = api(context, market).patch_status(&market.name, &params, &Patch::Apply(patch)).await;
    match written {
        Ok(_) => Ok(()),
        // The Marketplace was deleted in the meantime; the watch reports it.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(source) => Err(Error::Write { what: "the status", source }),
    }
}
