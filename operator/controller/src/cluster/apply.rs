//! Writes the children that differ from the desired state, and deletes those that the desired state excludes.

mod requests;
mod write;

use agora_crd::Reason;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::core::DynamicObject;

use crate::cluster::Cluster;
use crate::cluster::error_chain::error_chain;
use crate::decide::applied::Applied;
use crate::decide::desired::Desired;
use crate::decide::object::{Group, Object};
use crate::decide::observed::{ConditionError, Observed};
use crate::decide::plan::Plan;
use crate::kinds::{Kind, ObjectKey};
use crate::market::MarketRef;

pub use write::WriteError;

const CONCURRENT_WRITES_MAX: usize = 8;
/// Why children are deleted.
const EXPIRED: &str = "its migration failed, or its template changed: it is created again";
const NOT_DESIRED: &str = "the desired state does not contain it";

/// Applies the desired state once. Idempotent: without a difference it sends no request.
pub async fn apply(
    cluster: &Cluster,
    market: &MarketRef,
    reference: &ObjectReference,
    plan: &Plan,
    desired: &Desired,
    observed: &Observed,
) -> Applied {
    let pass = Pass { cluster, market, reference, plan, observed };
    let mut applied = Applied::default();
    for key in &desired.expired {
        record(&mut applied, Group::Workloads, pass.delete(key, EXPIRED).await);
    }
    // What pods mount and refer to has to exist before the pods.
    let (first, then): (Vec<_>, Vec<_>) = desired.objects().partition(|object| object.key.kind < Kind::Job);
    let foreign = pass.write_all(&first, &mut applied).await;
    // A pod must not mount or run as what belongs to another owner.
    let then: Vec<_> = then.into_iter().filter(|object| !foreign.iter().any(|key| object.refers_to(key))).collect();
    pass.write_all(&then, &mut applied).await;
    if applied.errors.is_empty() && !applied.retry {
        for key in surplus(plan, desired, observed) {
            record(&mut applied, Group::Workloads, pass.delete(&key, NOT_DESIRED).await);
        }
    }
    applied
}

/// Existing children that are to be deleted, and whose owner is this Marketplace, by uid.
fn surplus(plan: &Plan, desired: &Desired, observed: &Observed) -> Vec<ObjectKey> {
    let owned = |object: &DynamicObject| object.owner_references().iter().any(|owner| owner.uid == plan.owner.uid);
    let children = observed.children.0.iter();
    children
        .filter(|(key, object)| desired.is_gone(key) && owned(object) && object.metadata.deletion_timestamp.is_none())
        .map(|(key, _)| key.clone())
        .collect()
}

struct Pass<'a> {
    cluster: &'a Cluster,
    market: &'a MarketRef,
    reference: &'a ObjectReference,
    plan: &'a Plan,
    observed: &'a Observed,
}

impl Pass<'_> {
    /// Returns the objects that exist and belong to another owner.
    async fn write_all(&self, objects: &[&Object], applied: &mut Applied) -> Vec<ObjectKey> {
        let writes: Vec<BoxFuture<'_, _>> = objects.iter().map(|object| self.write_one(object).boxed()).collect();
        let done: Vec<_> = futures::stream::iter(writes).buffer_unordered(CONCURRENT_WRITES_MAX).collect().await;
        let mut foreign = Vec::new();
        for (group, result) in done {
            if let Err(WriteError::NotOwned { key }) = &result {
                foreign.push(key.clone());
            }
            record(applied, group, result);
        }
        foreign
    }

    async fn write_one(&self, object: &Object) -> (Group, Result<bool, WriteError>) {
        (object.group, self.write(object).await)
    }

    /// Returns whether the child existed.
    async fn delete(&self, key: &ObjectKey, reason: &str) -> Result<bool, WriteError> {
        let deleted = self.cluster.delete(self.market, key, None, reason).await;
        let deleted = deleted.map_err(|source| WriteError::api(key, source))?;
        self.cluster.writes(self.market, |writes| writes.remove(key));
        Ok(deleted)
    }
}

/// `result` says whether a request was sent.
fn record(applied: &mut Applied, group: Group, result: Result<bool, WriteError>) {
    match result {
        Ok(written) => applied.writes += usize::from(written),
        Err(WriteError::Conflict { .. }) => applied.retry = true,
        Err(error) => applied.errors.push((group, condition_error(&error))),
    }
}

fn condition_error(error: &WriteError) -> ConditionError {
    let (reason, remedy) = match error {
        WriteError::NotOwned { .. } => (Reason::FieldConflict, None),
        WriteError::Conflict { .. } => (Reason::Progressing, None),
        WriteError::Contested { .. } => (
            Reason::DriftContested,
            Some(
                "the next repair waits for up to 5 minutes; stop the other client from changing it, or set it in the \
                 Marketplace",
            ),
        ),
        WriteError::Api { source, .. } => match source {
            kube::Error::Api(status) if status.message.contains("exceeded quota") => {
                (Reason::QuotaExceeded, Some("raise the namespace's ResourceQuota or lower spec.services[].scaling"))
            }
            kube::Error::Api(status) if status.message.contains("being terminated") => {
                (Reason::Terminating, Some("wait until the namespace is deleted"))
            }
            kube::Error::Api(status) if status.code == 403 => {
                (Reason::Forbidden, Some("compare the operator's Role with the chart's, and check admission policies"))
            }
            kube::Error::Api(status) if status.code == 409 || status.code == 422 => {
                (Reason::FieldConflict, Some("correct the field in the Marketplace, or delete the object"))
            }
            _ => (Reason::WaitingForDependency, Some("check the API server; the write is retried")),
        },
    };
    let text = match error {
        WriteError::Api { source: kube::Error::Api(status), .. } => format!("{error}: {}", status.message),
        _ => error_chain(error),
    };
    ConditionError::new(reason, remedy.map_or(text.clone(), |remedy| format!("{text}: {remedy}")))
}
