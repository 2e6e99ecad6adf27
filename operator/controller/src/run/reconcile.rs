//! The pipe: observe, plan, desired, apply, status. Nothing else.

use std::sync::Arc;
use std::time::Duration;

use agora_crd::{FINALIZER, Marketplace, MarketplaceStatus, PAUSED, Reason};
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde_json::json;

use crate::cluster::apply::apply;
use crate::cluster::observe::{Observation, ObserveError, observe};
use crate::decide::applied::Applied;
use crate::decide::desired::{Desired, desired};
use crate::decide::observed::{Named, Observed, Seen, Trouble};
use crate::decide::plan::{Violation, plan};
use crate::decide::status::{View, ending, status};
use crate::market::MarketRef;
use crate::run::context::Context;
use crate::run::finalize::{self, FinalizeError};
use crate::run::next::Next;

/// A cache that lags behind own writes is read again after this long, if nothing else asks.
const LAG_PAUSE: Duration = Duration::from_secs(1);
/// What waits for somebody outside is looked at again after this long, if nothing else asks.
const WAIT_PAUSE: Duration = Duration::from_secs(15);

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed.
    #[error("reading what is there")]
    Observe(#[from] ObserveError),
    /// Deleting failed.
    #[error("deleting what is there")]
    Finalize(#[from] FinalizeError),
    /// The status or the finalizer could not be written.
    #[error("writing {what}")]
    Write {
        /// Which of them.
        what: &'static str,
        /// What the client said.
        source: kube::Error,
    },
}

/// Makes what is there what is wanted, as far as it goes now.
pub async fn reconcile(context: &Context, market: &MarketRef) -> Result<Next, Error> {
    let Some(resource) = context.cluster.stores.market(market) else {
        context.forget(market);
        return Ok(Next::Gone);
    };
    let seen = context.externals.seen(market);
    let (plan, violations) = plan(&resource, connections(&resource, &seen));
    let Observation { observed, lags } =
        observe(&context.cluster, market, &plan, seen, context.process.clock().now()).await?;
    if resource.meta().deletion_timestamp.is_some() {
        let ended = finalize::finalize(context, market, &resource, &plan, &observed).await;
        if let Err(FinalizeError::Outside(trouble)) = &ended {
            write_status(context, market, &resource, &ending(&resource, trouble, observed.now)).await?;
        }
        return Ok(ended?);
    }
    let paused = resource.annotations().get(PAUSED).is_some_and(|value| value == "true");
    if !paused && !resource.finalizers().iter().any(|name| name == FINALIZER) {
        add_finalizer(context, market, &resource).await?;
    }
    let desired = desired(&plan, &observed);
    let acts = !paused && violations.is_empty();
    let reference = resource.object_ref(&());
    let mut applied = Applied::default();
    if acts {
        applied = apply(&context.cluster, market, &reference, &plan, &desired, &observed).await;
    }
    if paused {
        context.externals.rest(market);
    } else if violations.iter().all(|violation| violation.reason == Reason::ConnectionBudgetExceeded) {
        // Asking goes on also when the server takes too few connections: it may take more tomorrow.
        context.externals.want(market, &reference, &desired);
    }
    let view = View {
        market: &resource,
        plan: &plan,
        violations: &violations,
        paused,
        observed: &observed,
        desired: &desired,
        applied: &applied,
    };
    write_status(context, market, &resource, &status(&view)).await?;
    Ok(next(&applied, lags, &violations, &desired, &observed))
}

/// What the server takes, by the last look; before the first one, by the last status: a restart of the operator while
/// the server is away must not change a pool.
fn connections(resource: &Marketplace, seen: &Seen) -> Option<i32> {
    let looked = seen.databases.as_ref().and_then(|outcome| outcome.connections.as_ref().ok().copied());
    let kept = || resource.status.as_ref()?.effective.as_ref()?.max_connections;
    looked.or_else(kept)
}

fn next(applied: &Applied, lags: bool, violations: &[Violation], desired: &Desired, observed: &Observed) -> Next {
    let missing = observed.named.values().any(|named| !matches!(named, Named::Usable(_)));
    let failed = |trouble: &Trouble| trouble.reason == Reason::MigrationFailed;
    if applied.again || lags {
        Next::After(LAG_PAUSE)
    } else if missing || !applied.troubles.is_empty() || !violations.is_empty() || desired.waiting.values().any(failed)
    {
        Next::After(WAIT_PAUSE)
    } else {
        Next::Await
    }
}

fn api(context: &Context, market: &MarketRef) -> Api<Marketplace> {
    Api::namespaced(context.cluster.client.clone(), &market.namespace)
}

async fn add_finalizer(context: &Context, market: &MarketRef, resource: &Arc<Marketplace>) -> Result<(), Error> {
    let mut finalizers = resource.finalizers().to_vec();
    finalizers.push(FINALIZER.to_owned());
    let patch = json!({
        "metadata": {"resourceVersion": resource.resource_version(), "finalizers": finalizers}
    });
    let written = api(context, market).patch(&market.name, &PatchParams::default(), &Patch::Merge(patch)).await;
    written.map_err(|source| Error::Write { what: "the finalizer", source })?;
    Ok(())
}

/// Written only where it differs from what the cache shows.
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
        // It went away meanwhile; the watch says so.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(source) => Err(Error::Write { what: "the status", source }),
    }
}
