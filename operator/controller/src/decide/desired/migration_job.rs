//! The Job that brings a service's database to the release's schema, and what its state means for the rollout.

use agora_crd::Reason;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{environment, labels, pod};
use crate::decide::object::{Group, Object, Write};
use crate::decide::observed::{Observed, Trouble};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;
use crate::names;

const HASH_DIGITS: usize = 8;
/// Tries of one Job, with Kubernetes' growing pauses.
const TRIES_MAX: i32 = 6;
/// A migration that takes longer is ended.
const SECONDS_MAX: i64 = 1_800;
/// A failed Job is made anew after this long: what it waited for may be there.
const RETRY_AFTER_SECONDS: i64 = 120;

/// Where a migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// There is no Job yet.
    Absent,
    /// It runs.
    Running,
    /// It is done.
    Complete,
    /// It failed a short while ago.
    Failed,
    /// It failed and may be tried again.
    Expired,
}

impl Migration {
    /// Why a service waits for this.
    pub fn trouble(self, plan: &Plan, service: &ServicePlan) -> Trouble {
        let name = job_name(plan, service);
        match self {
            Self::Failed | Self::Expired => Trouble::new(
                Reason::MigrationFailed,
                format!("Job {name} failed: see its log; it is tried again every {RETRY_AFTER_SECONDS} s"),
            ),
            Self::Absent | Self::Running | Self::Complete => {
                Trouble::new(Reason::MigrationRunning, format!("Job {name} has not completed yet"))
            }
        }
    }
}

/// Where the migration to the planned release is.
pub fn migration(plan: &Plan, service: &ServicePlan, observed: &Observed) -> Migration {
    let Some(job) = observed.children.job(&job_name(plan, service)) else { return Migration::Absent };
    let status = job.status.unwrap_or_default();
    if holds(&status, "Complete").is_some() {
        return Migration::Complete;
    }
    match holds(&status, "Failed") {
        None => Migration::Running,
        Some(since) if observed.now.unix_timestamp() - since >= RETRY_AFTER_SECONDS => Migration::Expired,
        Some(_) => Migration::Failed,
    }
}

/// Seconds since 1970 when the condition became true.
fn holds(status: &JobStatus, type_: &str) -> Option<i64> {
    let conditions = status.conditions.iter().flatten();
    conditions
        .filter(|condition| condition.type_ == type_ && condition.status == "True")
        .map(|condition| condition.last_transition_time.as_ref().map_or(0, |time| time.0.as_second()))
        .next()
}

/// Name of the Job: another for each image and each database.
pub fn job_name(plan: &Plan, service: &ServicePlan) -> String {
    let (host, port) = (&plan.database.host, plan.database.port);
    let hash = names::short_hash(&format!("{} {host}:{port} {}", plan.image, plan.isolation_key), HASH_DIGITS);
    format!("{}-migrate-{hash}", plan.child(service.row.name))
}

/// The Job.
pub fn migration_job(plan: &Plan, service: &ServicePlan) -> Object {
    let environment = environment::of_migration(plan, service);
    let mut container = pod::container(plan, service, "migrate", &environment);
    container.env = Some(pod::settings_inline(&environment));
    let mut spec = pod::pod(plan, service, container, &environment);
    spec.restart_policy = Some("Never".to_owned());
    let mut labels = plan.pod.labels.clone();
    labels.extend(labels::migration_labels(plan, service.row.name));
    let job = Job {
        metadata: labels::owned(plan, job_name(plan, service), service.row.name),
        spec: Some(JobSpec {
            backoff_limit: Some(TRIES_MAX),
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
    Object::new(Kind::Job, Group::Workloads, Write::Once, &job)
}
