//! Writes what differs, prunes what is wanted no more, and says what is wanted outside. It decides nothing: what differs
//! is computed by `object`, what is wanted by `desired`.

mod write;

use std::collections::BTreeSet;

use agora_crd::Reason;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::api::DeleteParams;
use kube::core::DynamicObject;

use crate::cluster::Cluster;
use crate::cluster::error_chain::error_chain;
use crate::decide::applied::Applied;
use crate::decide::desired::Desired;
use crate::decide::object::{Group, Object};
use crate::decide::observed::{Observed, Trouble};
use crate::decide::plan::Plan;
use crate::kinds::{Kind, ObjectKey};
use crate::market::MarketRef;

pub use write::WriteError;

/// Writes of one pass that are under way at once.
const WRITES_AT_ONCE: usize = 8;

/// One pass.
pub async fn apply(
    cluster: &Cluster,
    market: &MarketRef,
    reference: &ObjectReference,
    plan: &Plan,
    desired: &Desired,
    observed: &Observed,
) -> Applied {
    let pass = Pass { cluster, market, reference, observed };
    let mut applied = Applied::default();
    for key in &desired.expired {
        note(&mut applied, Group::Workloads, pass.delete(key).await.map(|()| true));
    }
    // Pods start with what they mount: accounts, settings and Secrets first.
    let (first, then): (Vec<_>, Vec<_>) = desired.objects.iter().partition(|object| object.key.kind < Kind::Job);
    pass.write_all(&first, &mut applied).await;
    pass.write_all(&then, &mut applied).await;
    if applied.troubles.is_empty() && !applied.again {
        for key in surplus(plan, desired, observed) {
            note(&mut applied, Group::Workloads, pass.delete(&key).await.map(|()| true));
        }
    }
    applied
}

/// Children of this very Marketplace that are neither wanted nor held.
fn surplus(plan: &Plan, desired: &Desired, observed: &Observed) -> Vec<ObjectKey> {
    let wanted: BTreeSet<&ObjectKey> = desired.objects.iter().map(|object| &object.key).chain(&desired.held).collect();
    let owned = |object: &DynamicObject| object.owner_references().iter().any(|owner| owner.uid == plan.owner.uid);
    let children = observed.children.0.iter();
    children
        .filter(|(key, object)| Kind::WRITTEN.contains(&key.kind) && owned(object) && !wanted.contains(key))
        .filter(|(_, object)| object.metadata.deletion_timestamp.is_none())
        .map(|(key, _)| key.clone())
        .collect()
}

struct Pass<'a> {
    cluster: &'a Cluster,
    market: &'a MarketRef,
    reference: &'a ObjectReference,
    observed: &'a Observed,
}

impl Pass<'_> {
    async fn write_all(&self, objects: &[&Object], applied: &mut Applied) {
        let writes: Vec<BoxFuture<'_, _>> = objects.iter().map(|object| self.write_one(object).boxed()).collect();
        let done: Vec<_> = futures::stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).collect().await;
        for (group, result) in done {
            note(applied, group, result);
        }
    }

    async fn write_one(&self, object: &Object) -> (Group, Result<bool, WriteError>) {
        (object.group, self.write(object).await)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), WriteError> {
        let api = self.cluster.api(key.kind, &self.market.namespace);
        match api.delete(&key.name, &DeleteParams::background()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => return Err(WriteError::api(key, source)),
        }
        self.cluster.written(self.market, |written| written.remove(key));
        Ok(())
    }
}

/// True: something was written.
fn note(applied: &mut Applied, group: Group, result: Result<bool, WriteError>) {
    match result {
        Ok(written) => applied.writes += usize::from(written),
        Err(WriteError::Raced { .. }) => applied.again = true,
        Err(error) => applied.troubles.push((group, trouble(&error))),
    }
}

fn trouble(error: &WriteError) -> Trouble {
    let reason = match error {
        WriteError::Foreign { .. } => Reason::FieldConflict,
        WriteError::Raced { .. } => Reason::Progressing,
        WriteError::Api { source, .. } => match source {
            kube::Error::Api(status) if status.message.contains("exceeded quota") => Reason::QuotaExceeded,
            kube::Error::Api(status) if status.message.contains("being terminated") => Reason::Terminating,
            kube::Error::Api(status) if status.code == 403 => Reason::Forbidden,
            kube::Error::Api(status) if status.code == 409 || status.code == 422 => Reason::FieldConflict,
            _ => Reason::WaitingForDependency,
        },
    };
    let said = match error {
        WriteError::Api { source: kube::Error::Api(status), .. } => format!("{error}: {}", status.message),
        _ => error_chain(error),
    };
    Trouble::new(reason, said)
}
