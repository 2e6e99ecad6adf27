//! The deletion of a Marketplace: first the workloads, then databases and topics by policy, then the Secrets that stored
//! data depend on, then the finalizer. Creates nothing.

use std::time::Duration;

use agora_crd::{DeletionPolicy, FINALIZER, Marketplace, Reason};
use agora_topology as topology;
use futures::future::BoxFuture;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde_json::json;
use time::OffsetDateTime;

use crate::decide::credentials::{admin_secret, signing_secret};
use crate::decide::desired::external;
use crate::decide::observed::{Children, ConditionError, Observed};
use crate::decide::plan::Plan;
use crate::external::ports::DatabaseAdmin;
use crate::external::tasks::{databases, topics};
use crate::kinds::{Kind, ObjectKey};
use crate::market::MarketRef;
use crate::names;
use crate::run::context::Context;
use crate::run::next::Next;

/// Kinds that start pods.
const WORKLOADS: [Kind; 3] = [Kind::HorizontalPodAutoscaler, Kind::Deployment, Kind::Job];
/// Time that pods have to end before their databases are locked or dropped.
const PODS_SECONDS_MAX: i64 = 30;
/// Age of the deletion after which external resources on unreachable servers are left in place, if the policy is Retain.
const GIVE_UP_SECONDS: i64 = 45;
const POLL_DELAY: Duration = Duration::from_secs(1);
const CALL_DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum FinalizeError {
    #[error("cannot delete {key}")]
    Delete { key: ObjectKey, source: kube::Error },
    #[error("cannot remove the finalizer")]
    Finalizer(#[source] kube::Error),
    #[error("{}", .0.message)]
    External(ConditionError),
}

/// One step of the deletion. Idempotent; it is called until the finalizer is removed.
pub async fn finalize(
    context: &Context,
    market: &MarketRef,
    resource: &Marketplace,
    plan: &Plan,
    observed: &Observed,
) -> Result<Next, FinalizeError> {
    if !resource.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(Next::OnChange);
    }
    context.external.suspend_and_wait(market).await;
    let age = age_seconds(resource, observed.now);
    let left = delete_workloads(context, market, &observed.children).await?;
    if left > 0 && age < PODS_SECONDS_MAX {
        return Ok(Next::After(POLL_DELAY));
    }
    if let Err(error) = release_external(context, plan, observed).await {
        let deletes = [plan.database.deletion, plan.kafka.deletion].contains(&DeletionPolicy::Delete);
        let credentials_lost = error.reason == Reason::SecretMissing;
        if age < GIVE_UP_SECONDS || (deletes && !credentials_lost) {
            return Err(FinalizeError::External(error));
        }
        let note = format!(
            "Deleted Marketplace {} and left its databases or topics in place: {}; remove them by hand if they are not \
             needed any more",
            market.name, error.message
        );
        context.cluster.events.warn(&resource.object_ref(&()), Reason::RetainedOnDelete, "Delete", note).await;
    }
    if plan.database.deletion == DeletionPolicy::Delete {
        for name in [admin_secret(&plan.name), signing_secret(&plan.name)] {
            delete(context, market, &ObjectKey::new(Kind::Secret, name)).await?;
        }
    }
    remove_finalizer(context, market, resource).await?;
    context.remove(market);
    Ok(Next::OnChange)
}

fn age_seconds(resource: &Marketplace, now: OffsetDateTime) -> i64 {
    let since = resource.meta().deletion_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    now.unix_timestamp() - since
}

/// Returns how many workloads and pods existed before this call.
pub async fn delete_workloads(
    context: &Context,
    market: &MarketRef,
    children: &Children,
) -> Result<usize, FinalizeError> {
    let mut left = children.of(Kind::Pod).count();
    for kind in WORKLOADS {
        let names: Vec<String> = children.of(kind).map(ResourceExt::name_any).collect();
        left += names.len();
        for name in names {
            delete(context, market, &ObjectKey::new(kind, name)).await?;
        }
    }
    Ok(left)
}

async fn delete(context: &Context, market: &MarketRef, key: &ObjectKey) -> Result<(), FinalizeError> {
    let api = context.cluster.api(key.kind, &market.namespace);
    match api.delete(&key.name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(FinalizeError::Delete { key: key.clone(), source }),
    }
}

/// Deletes or locks databases, then deletes topics, each by its policy. What another Marketplace owns stays unchanged.
async fn release_external(context: &Context, plan: &Plan, observed: &Observed) -> Result<(), ConditionError> {
    let address = format!("{}:{}", plan.database.host, plan.database.port);
    let work = Box::pin(release_databases(context, plan, observed));
    let claim = bounded(&format!("the database server {address}"), work).await?;
    if claim == Claim::Foreign || plan.kafka.deletion == DeletionPolicy::Retain {
        return Ok(());
    }
    let brokers = format!("the broker {}", plan.kafka.bootstrap.join(","));
    bounded(&brokers, Box::pin(delete_topics(context, plan, observed))).await
}

/// Which Marketplace uses the isolation key. Topics have no mark of their owner, so the databases' mark is used for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Ours,
    Foreign,
}

async fn bounded<T>(server: &str, work: BoxFuture<'_, Result<T, ConditionError>>) -> Result<T, ConditionError> {
    tokio::time::timeout(CALL_DEADLINE, work).await.unwrap_or_else(|_| {
        let seconds = CALL_DEADLINE.as_secs();
        let message = format!("{server} did not complete the deletion in {seconds} s: check the server; it is retried");
        Err(ConditionError::new(Reason::WaitingForDependency, message))
    })
}

async fn release_databases(context: &Context, plan: &Plan, observed: &Observed) -> Result<Claim, ConditionError> {
    let desired = external::all_databases(plan, observed)?;
    let admin = &context.external.adapters.databases;
    let failed = |error| databases::condition_error(&desired.admin, &error);
    let server = admin.inspect(&desired.admin, &desired.databases).await.map_err(failed)?;
    let mut claim = Claim::Ours;
    for database in &desired.databases {
        let existing = server.databases.get(&database.name).filter(|existing| existing.exists);
        match existing.map(|existing| existing.owner.as_ref().is_none_or(|owner| *owner == database.marketplace)) {
            None => continue,
            Some(false) => {
                claim = Claim::Foreign;
                continue;
            }
            Some(true) => {}
        }
        match plan.database.deletion {
            DeletionPolicy::Delete => {
                DatabaseAdmin::drop(&**admin, &desired.admin, database).await.map_err(failed)?;
            }
            DeletionPolicy::Retain => admin.lock(&desired.admin, database).await.map_err(failed)?,
        }
    }
    Ok(claim)
}

async fn delete_topics(context: &Context, plan: &Plan, observed: &Observed) -> Result<(), ConditionError> {
    let desired = external::topics(plan, observed)?;
    let admin = &context.external.adapters.topics;
    let failed = |error| topics::condition_error(&desired.broker, &error);
    let names: Vec<String> = desired.topics.iter().map(|topic| topic.name.clone()).collect();
    let consumers = topology::ALL.iter().filter(|row| !row.consumes.is_empty());
    let groups: Vec<String> = consumers.map(|row| names::at_broker(&plan.isolation_key, row.name)).collect();
    let topics = admin.delete(&desired.broker, &names).await.map_err(failed)?;
    let groups = admin.delete_groups(&desired.broker, &groups).await.map_err(failed)?;
    for (_, result) in topics.into_iter().chain(groups) {
        result.map_err(failed)?;
    }
    Ok(())
}

pub async fn remove_finalizer(
    context: &Context,
    market: &MarketRef,
    resource: &impl ResourceExt,
) -> Result<(), FinalizeError> {
    let kept: Vec<&String> = resource.finalizers().iter().filter(|name| *name != FINALIZER).collect();
    let patch = json!({"metadata": {"resourceVersion": resource.resource_version(), "finalizers": kept}});
    let api: Api<Marketplace> = Api::namespaced(context.cluster.client.clone(), &market.namespace);
    match api.patch(&market.name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(FinalizeError::Finalizer(source)),
    }
}
