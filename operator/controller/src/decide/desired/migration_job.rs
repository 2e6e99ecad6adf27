//! Job: migrates a service's database to the schema of the release. The rollout waits for it.

use agora_crd::Reason;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{environment, labels, pod};
use crate::decide::object::{DESIRED_HASH, Group, Object, Ownership};
use crate::decide::observed::{ConditionError, Observed};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;
use crate::names;

const HASH_DIGITS: usize = 8;
/// Retries by the Job controller, with its exponential backoff.
const RETRIES_MAX: i32 = 6;
/// Deadline of the Job.
const SECONDS_MAX: i64 = 1_800;
/// Time after which a failed Job is deleted and created again: the cause of the failure may be gone.
const RETRY_AFTER_SECONDS: i64 = 120;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// The Job does not exist.
    Absent,
    Running,
    Complete,
    /// It failed less than `RETRY_AFTER_SECONDS` ago.
    Failed,
    /// It failed and is to be created again.
    Expired,
    /// It is not complete, and its template differs from the desired one: it is to be created again.
    Outdated,
}

impl Migration {
    /// Why the service waits.
    pub fn condition_error(self, plan: &Plan, service: &ServicePlan) -> ConditionError {
        let name = job_name(plan, service.row.name);
        match self {
            Self::Failed | Self::Expired => ConditionError::new(
                Reason::MigrationFailed,
                format!(
                    "Job {name} failed: see kubectl logs job/{name}; it is retried every {RETRY_AFTER_SECONDS} s{}",
                    plan.port_remedy(plan.database_address())
                ),
            ),
            Self::Absent | Self::Running | Self::Complete | Self::Outdated => ConditionError::new(
                Reason::MigrationRunning,
                format!("waiting for Job {name}, which migrates the database"),
            ),
        }
    }
}

/// State of the migration by the desired Job.
pub fn migration(desired: &Object, observed: &Observed) -> Migration {
    let Some(job) = observed.children.job(&desired.key.name) else {
        return Migration::Absent;
    };
    let hash = job.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DESIRED_HASH));
    let outdated = hash.is_none_or(|hash| hash != desired.hash());
    let status = job.status.unwrap_or_default();
    if holds(&status, "Complete").is_some() {
        return Migration::Complete;
    }
    match holds(&status, "Failed") {
        _ if outdated => Migration::Outdated,
        None => Migration::Running,
        Some(since) if observed.now.unix_timestamp() - since >= RETRY_AFTER_SECONDS => Migration::Expired,
        Some(_) => Migration::Failed,
    }
}

/// Unix time at which the condition became true.
fn holds(status: &JobStatus, type_: &str) -> Option<i64> {
    let conditions = status.conditions.iter().flatten();
    conditions
        .filter(|condition| condition.type_ == type_ && condition.status == "True")
        .map(|condition| condition.last_transition_time.as_ref().map_or(0, |time| time.0.as_second()))
        .next()
}

/// The name contains a hash of image, database server and database, so that each release has its own Job, and a database that
/// was created again or restored is migrated again.
pub fn job_name(plan: &Plan, service: &str) -> String {
    let address = plan.database.address();
    let database = names::database(&plan.isolation_key, service);
    let oid = plan.known.databases.as_ref().and_then(|record| record.items.get(&database));
    let oid = oid.map(|oid| format!(" {oid}")).unwrap_or_default();
    let hash = names::short_hash(&format!("{} {address} {}{oid}", plan.image, plan.isolation_key), HASH_DIGITS);
    format!("{}-migrate-{hash}", plan.child(service))
}

pub fn migration_job(plan: &Plan, service: &ServicePlan) -> Object {
    let environment = environment::of_migration(plan, service);
    let mut container = pod::container(plan, service, "migrate", &environment);
    container.env = Some(pod::settings_inline(&environment));
    let mut spec = pod::pod(plan, service, container, &environment);
    spec.restart_policy = Some("Never".to_owned());
    let mut labels = plan.pod.labels.clone();
    labels.extend(labels::migration_labels(plan, service.row.name));
    let job = Job {
        metadata: labels::owned(plan, job_name(plan, service.row.name), service.row.name),
        spec: Some(JobSpec {
            backoff_limit: Some(RETRIES_MAX),
            active_deadline_seconds: Some(SECONDS_MAX),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: Some(plan.pod.annotations.clone()).filter(|annotations| !annotations.is_empty()),
                    ..ObjectMeta::default()
                }),
                spec: Some(spec),
            },
            ..JobSpec::default()
        }),
        ..Job::default()
    };
    Object::new(Kind::Job, Group::Workloads, Ownership::CreateOnce, &job)
}
