//! The deletion of a Marketplace: first the workloads, then databases and topics by policy, then the Secrets that stored
//! data depend on, then the finalizer. Creates nothing.

use std::time::Duration;

use agora_crd::{DeletionPolicy, FINALIZER, Marketplace, Reason};
use agora_topology as topology;
use futures::future::BoxFuture;
use kube::core::DynamicObject;
use kube::{Resource, ResourceExt};
use serde_json::json;
use time::OffsetDateTime;

use crate::decide::credentials::{admin_secret, encryption_secret, signing_secret};
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

/// Why the Secrets that stored data depend on are deleted.
const DELETED_WITH_DATA: &str = "the Marketplace is being deleted (deletionPolicy Delete)";
/// Kinds that start pods.
const WORKLOADS: [Kind; 3] = [Kind::HorizontalPodAutoscaler, Kind::Deployment, Kind::Job];
/// Time that pods have to end before their databases are locked or dropped.
const PODS_SECONDS_MAX: i64 = 30;
/// Age of the deletion from which on external resources that could not be released are left in place.
const GIVE_UP_SECONDS: i64 = 45;
/// Age of the deletion at which it has ended.
const END_SECONDS: i64 = 55;
const POLL_DELAY: Duration = Duration::from_secs(1);
/// Delay before a failed release is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(3);
const CALL_SECONDS_MAX: i64 = 20;
const CALL_SECONDS_MIN: i64 = 5;
/// Time that a running correction has to end: on an unreachable server it may take longer.
const SUSPEND_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum FinalizeError {
    #[error("cannot delete {key}")]
    Delete { key: ObjectKey, source: kube::Error },
    #[error("cannot remove the finalizer")]
    Finalizer(#[source] kube::Error),
}

/// The result of one step.
pub enum Step {
    Continue(Next),
    /// The databases or topics could not be released yet.
    Blocked(ConditionError, Next),
}

/// One step of the deletion. Idempotent; it is called until the finalizer is removed.
pub async fn finalize(
    context: &Context,
    market: &MarketRef,
    resource: &Marketplace,
    plan: &Plan,
    observed: &Observed,
) -> Result<Step, FinalizeError> {
    if !resource.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(Step::Continue(Next::OnChange));
    }
    // A correction that runs on is harmless: it ends before the databases are locked or dropped, or they are left in place.
    let _ = tokio::time::timeout(SUSPEND_MAX, context.external.suspend_and_wait(market)).await;
    let age = age_seconds(resource, observed.now);
    let left = delete_workloads(context, market, &observed.children).await?;
    if left > 0 && age < PODS_SECONDS_MAX {
        return Ok(Step::Continue(Next::After(POLL_DELAY)));
    }
    let released = release_external(context, plan, observed, age).await;
    if let Err(error) = &released
        && age < GIVE_UP_SECONDS
    {
        return Ok(Step::Blocked(error.clone(), Next::After(RETRY_DELAY)));
    }
    if released.is_ok() && plan.database.deletion == DeletionPolicy::Delete {
        for name in kept_secrets(&plan.name) {
            delete(context, market, &ObjectKey::new(Kind::Secret, name), DELETED_WITH_DATA).await?;
        }
    }
    remove_finalizer(context, market, resource).await?;
    report(context, plan, released.err()).await;
    context.remove(market);
    Ok(Step::Continue(Next::OnChange))
}

/// The Secrets without an owner, which stay as long as the data that depend on them.
fn kept_secrets(marketplace: &str) -> Vec<String> {
    let encrypting = topology::ALL.iter().filter(|row| row.encrypts());
    let mut names = vec![admin_secret(marketplace), signing_secret(marketplace)];
    names.extend(encrypting.map(|row| encryption_secret(marketplace, row.name)));
    names
}

/// Says what stays: in the log, and by an event on the namespace in namespace `default`, because a namespace that is deleted
/// accepts no events.
async fn report(context: &Context, plan: &Plan, error: Option<ConditionError>) {
    let market = format!("{}/{}", plan.namespace, plan.name);
    let (database, topics) = (plan.database.address(), plan.kafka.bootstrap.join(","));
    if let Some(error) = error {
        let note = format!(
            "Deleted Marketplace {market} and left its databases {}_* at {database} and topics {}.* at {topics} in place, \
             although they could not be released: {}; remove them by hand if they are not needed any more",
            plan.isolation_key.replace('-', "_"),
            plan.isolation_key,
            error.message
        );
        context.cluster.events.retained(&plan.namespace, note, true).await;
        return;
    }
    let kept = [
        (plan.database.deletion, format!("databases {}_* at {database}", plan.isolation_key.replace('-', "_"))),
        (plan.kafka.deletion, format!("topics {}.* at {topics}", plan.isolation_key)),
    ];
    let kept = kept.into_iter().filter(|(policy, _)| *policy == DeletionPolicy::Retain).map(|(_, what)| what);
    let kept = kept.collect::<Vec<_>>().join(" and ");
    if !kept.is_empty() {
        let note = format!(
            "Deleted Marketplace {market} and kept its {kept} (deletionPolicy Retain): a Marketplace with the same namespace \
             and name takes them over"
        );
        context.cluster.events.retained(&plan.namespace, note, false).await;
    }
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
        let existing: Vec<&DynamicObject> = children.of(kind).collect();
        left += existing.len();
        for child in existing.into_iter().filter(|child| child.metadata.deletion_timestamp.is_none()) {
            let key = ObjectKey::new(kind, child.name_any());
            delete(context, market, &key, "the Marketplace is being deleted").await?;
        }
    }
    Ok(left)
}

/// What the operator may not delete any more is deleted with its namespace, whose Role is gone.
async fn delete(context: &Context, market: &MarketRef, key: &ObjectKey, reason: &str) -> Result<(), FinalizeError> {
    match context.cluster.delete(market, key, None, reason).await {
        Ok(_) => {
            context.cluster.writes(market, |writes| writes.remove(key));
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        Err(source) => Err(FinalizeError::Delete { key: key.clone(), source }),
    }
}

/// Deletes or locks databases, and deletes topics, each by its policy. What another Marketplace owns stays unchanged.
async fn release_external(context: &Context, plan: &Plan, observed: &Observed, age: i64) -> Result<(), ConditionError> {
    let limit = (END_SECONDS - age).clamp(CALL_SECONDS_MIN, CALL_SECONDS_MAX);
    let limit = Duration::from_secs(limit.unsigned_abs());
    let server = format!("the database server {}", plan.database.address());
    let databases = bounded(limit, &server, Box::pin(release_databases(context, plan, observed)));
    let brokers = format!("the broker {}", plan.kafka.bootstrap.join(","));
    let topics = bounded(limit, &brokers, Box::pin(release_topics(context, plan, observed)));
    let (databases, topics) = tokio::join!(databases, topics);
    databases.and(topics)
}

async fn bounded(
    limit: Duration,
    server: &str,
    work: BoxFuture<'_, Result<(), ConditionError>>,
) -> Result<(), ConditionError> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let seconds = limit.as_secs();
        let message = format!("{server} did not complete the deletion in {seconds} s: check the server");
        Err(ConditionError::new(Reason::WaitingForDependency, message))
    })
}

async fn release_databases(context: &Context, plan: &Plan, observed: &Observed) -> Result<(), ConditionError> {
    let desired = external::all_databases(plan, observed)?;
    let admin = &context.external.adapters.databases;
    let failed = |error| databases::condition_error(&desired, &error);
    let server = admin.inspect(&desired.admin, &desired.databases).await.map_err(failed)?;
    for database in &desired.databases {
        let Some(existing) = server.databases.get(&database.name).filter(|existing| existing.exists) else {
            continue;
        };
        if existing.owner.as_ref().is_some_and(|owner| *owner != database.claim.text()) {
            continue;
        }
        match plan.database.deletion {
            DeletionPolicy::Delete => {
                DatabaseAdmin::drop(&**admin, &desired.admin, database).await.map_err(failed)?;
                log_release(plan, &format!("dropped database {} at {}", database.name, desired.address()));
            }
            DeletionPolicy::Retain => {
                admin.lock(&desired.admin, database).await.map_err(failed)?;
                log_release(plan, &format!("locked the login of database {} at {}", database.name, desired.address()));
            }
        }
    }
    Ok(())
}

async fn release_topics(context: &Context, plan: &Plan, observed: &Observed) -> Result<(), ConditionError> {
    if plan.kafka.deletion == DeletionPolicy::Retain {
        return Ok(());
    }
    let desired = external::topics(plan, observed)?;
    let admin = &context.external.adapters.topics;
    let failed = |error| topics::condition_error(&desired.broker, &error);
    let mut names: Vec<String> = desired.topics.iter().map(|topic| topic.name.clone()).collect();
    let seen = admin.inspect(&desired.broker, &names, &desired.marker_prefix, false).await.map_err(failed)?;
    if seen.markers.iter().any(|marker| *marker != desired.marker.name) {
        return Ok(());
    }
    names.push(desired.marker.name.clone());
    let groups = topology::ALL.iter().flat_map(|service| service.groups);
    let groups: Vec<String> = groups.map(|group| names::at_broker(&plan.isolation_key, group)).collect();
    let topics = admin.delete(&desired.broker, &names).await.map_err(failed)?;
    let groups = admin.delete_groups(&desired.broker, &groups).await.map_err(failed)?;
    for (_, result) in topics.into_iter().chain(groups) {
        result.map_err(failed)?;
    }
    for name in seen.topics.keys() {
        log_release(plan, &format!("deleted topic {name} at {}", desired.address()));
    }
    Ok(())
}

/// Logs what was done to databases and topics, which have no field managers.
fn log_release(plan: &Plan, done: &str) {
    let reason = "the Marketplace is being deleted";
    tracing::info!(namespace = plan.namespace, marketplace = plan.name, reason, "{done}");
}

pub async fn remove_finalizer(
    context: &Context,
    market: &MarketRef,
    resource: &impl ResourceExt,
) -> Result<(), FinalizeError> {
    let kept: Vec<&String> = resource.finalizers().iter().filter(|name| *name != FINALIZER).collect();
    let metadata = json!({"resourceVersion": resource.resource_version(), "finalizers": kept});
    let done = format!("removed finalizer {FINALIZER} of Marketplace {}", market.name);
    match context.cluster.patch_metadata(market, &metadata, &done, "the deletion has ended").await {
        Ok(()) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(FinalizeError::Finalizer(source)),
    }
}
