//! The end of a Marketplace: workloads, then databases and topics by policy, then the Secrets that data depend on, then
//! the finalizer. It creates nothing.

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
use crate::decide::observed::{Observed, Trouble};
use crate::decide::plan::Plan;
use crate::external::ports::DatabaseAdmin;
use crate::external::tasks::{databases, topics};
use crate::kinds::{Kind, ObjectKey};
use crate::market::MarketRef;
use crate::names;
use crate::run::context::Context;
use crate::run::next::Next;

/// Kinds whose end ends pods.
const RUNNING: [Kind; 3] = [Kind::HorizontalPodAutoscaler, Kind::Deployment, Kind::Job];
/// Pods get this long to end before their databases are taken away.
const PODS_SECONDS_MAX: i64 = 30;
/// What cannot be reached for this long is left behind, where nothing is to be deleted.
const GIVE_UP_SECONDS: i64 = 45;
const PAUSE: Duration = Duration::from_secs(1);
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// Why the end has not come.
#[derive(Debug, thiserror::Error)]
pub enum FinalizeError {
    /// The API server refused.
    #[error("deleting {key}")]
    Delete {
        /// What should go.
        key: ObjectKey,
        /// What the client said.
        source: kube::Error,
    },
    /// The finalizer stays.
    #[error("removing the finalizer")]
    Finalizer(#[source] kube::Error),
    /// Something outside the cluster stays.
    #[error("{}", .0.message)]
    Outside(Trouble),
}

/// One step towards the end.
pub async fn finalize(
    context: &Context,
    market: &MarketRef,
    resource: &Marketplace,
    plan: &Plan,
    observed: &Observed,
) -> Result<Next, FinalizeError> {
    if !resource.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(Next::Await);
    }
    context.externals.quiesce(market).await;
    let age = age_seconds(resource, observed.now);
    let mut left = 0;
    for kind in RUNNING {
        let names: Vec<String> = observed.children.of(kind).map(ResourceExt::name_any).collect();
        left += names.len();
        for name in names {
            delete(context, market, &ObjectKey::new(kind, name)).await?;
        }
    }
    left += observed.children.of(Kind::Pod).count();
    if left > 0 && age < PODS_SECONDS_MAX {
        return Ok(Next::After(PAUSE));
    }
    if let Err(trouble) = outside(context, plan, observed).await {
        let deletes = [plan.database.deletion, plan.kafka.deletion].contains(&DeletionPolicy::Delete);
        let hopeless = trouble.reason == Reason::SecretMissing;
        if age < GIVE_UP_SECONDS || (deletes && !hopeless) {
            return Err(FinalizeError::Outside(trouble));
        }
        let note = format!("left behind: {}", trouble.message);
        context.cluster.events.warn(&resource.object_ref(&()), Reason::RetainedOnDelete, "Delete", note).await;
    }
    if plan.database.deletion == DeletionPolicy::Delete {
        for name in [admin_secret(&plan.name), signing_secret(&plan.name)] {
            delete(context, market, &ObjectKey::new(Kind::Secret, name)).await?;
        }
    }
    remove_finalizer(context, market, resource).await?;
    context.forget(market);
    Ok(Next::Await)
}

fn age_seconds(resource: &Marketplace, now: OffsetDateTime) -> i64 {
    let since = resource.meta().deletion_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    now.unix_timestamp() - since
}

async fn delete(context: &Context, market: &MarketRef, key: &ObjectKey) -> Result<(), FinalizeError> {
    let api = context.cluster.api(key.kind, &market.namespace);
    match api.delete(&key.name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(FinalizeError::Delete { key: key.clone(), source }),
    }
}

/// Databases and then topics, each by its policy; nothing of another Marketplace's.
async fn outside(context: &Context, plan: &Plan, observed: &Observed) -> Result<(), Trouble> {
    let claim = bounded("the database server", Box::pin(end_databases(context, plan, observed))).await?;
    if claim == Claim::Foreign || plan.kafka.deletion == DeletionPolicy::Retain {
        return Ok(());
    }
    bounded("the broker", Box::pin(end_topics(context, plan, observed))).await
}

/// Whose the isolation key is. Topics carry no mark of their owner: the databases' one counts for them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Ours,
    Foreign,
}

async fn bounded<T>(what: &str, work: BoxFuture<'_, Result<T, Trouble>>) -> Result<T, Trouble> {
    tokio::time::timeout(CALL_DEADLINE, work)
        .await
        .unwrap_or_else(|_| Err(Trouble::new(Reason::WaitingForDependency, format!("{what} did not answer in time"))))
}

async fn end_databases(context: &Context, plan: &Plan, observed: &Observed) -> Result<Claim, Trouble> {
    let wanted = external::every_database(plan, observed)?;
    let admin = &context.externals.adapters.databases;
    let failed = |error| databases::trouble(&wanted.admin, &error);
    let facts = admin.inspect(&wanted.admin, &wanted.databases).await.map_err(failed)?;
    let mut claim = Claim::Ours;
    for database in &wanted.databases {
        let seen = facts.databases.get(&database.name).filter(|seen| seen.exists);
        match seen.map(|seen| seen.owner.as_ref().is_none_or(|owner| *owner == database.marketplace)) {
            None => continue,
            Some(false) => {
                claim = Claim::Foreign;
                continue;
            }
            Some(true) => {}
        }
        match plan.database.deletion {
            DeletionPolicy::Delete => {
                DatabaseAdmin::drop(&**admin, &wanted.admin, database).await.map_err(failed)?;
            }
            DeletionPolicy::Retain => admin.lock(&wanted.admin, database).await.map_err(failed)?,
        }
    }
    Ok(claim)
}

async fn end_topics(context: &Context, plan: &Plan, observed: &Observed) -> Result<(), Trouble> {
    let wanted = external::topics(plan, observed)?;
    let admin = &context.externals.adapters.topics;
    let failed = |error| topics::trouble(&wanted.broker, &error);
    let names: Vec<String> = wanted.topics.iter().map(|topic| topic.name.clone()).collect();
    let consumers = topology::ALL.iter().filter(|row| !row.consumes.is_empty());
    let groups: Vec<String> = consumers.map(|row| names::at_broker(&plan.isolation_key, row.name)).collect();
    let deleted = admin.delete(&wanted.broker, &names).await.map_err(failed)?;
    let forgotten = admin.delete_groups(&wanted.broker, &groups).await.map_err(failed)?;
    for (_, result) in deleted.into_iter().chain(forgotten) {
        result.map_err(failed)?;
    }
    Ok(())
}

async fn remove_finalizer(context: &Context, market: &MarketRef, resource: &Marketplace) -> Result<(), FinalizeError> {
    let kept: Vec<&String> = resource.finalizers().iter().filter(|name| *name != FINALIZER).collect();
    let patch = json!({"metadata": {"resourceVersion": resource.resource_version(), "finalizers": kept}});
    let api: Api<Marketplace> = Api::namespaced(context.cluster.client.clone(), &market.namespace);
    match api.patch(&market.name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(FinalizeError::Finalizer(source)),
    }
}
