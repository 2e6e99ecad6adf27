//! Why pods do not start, quoted from the statuses that the kubelet, the scheduler and the controllers write.

use agora_crd::Reason;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;
use time::OffsetDateTime;

use super::View;
use crate::decide::observed::{Children, ConditionError};
use crate::kinds::Kind;

const NAME_LABEL: &str = "app.kubernetes.io/name";
/// A Job that has no pod this long after its start cannot create one.
const POD_SECONDS_MAX: i64 = 20;
/// The Job controller creates the first pod of a Job, or reports why it cannot, well within this time.
const FIRST_POD_SECONDS: i64 = 5;

/// A Job that has started and has no pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobWithoutPod {
    pub name: String,
    pub uid: String,
    /// Time since its start.
    pub seconds: i64,
}

/// Whether a pod belongs to a service.
pub fn is_of(pod: &DynamicObject, service: &str) -> bool {
    label(pod) == service
}

/// The statuses of the containers of a pod that has started.
pub fn container_statuses(pod: &DynamicObject) -> impl Iterator<Item = &Value> {
    pod.data["status"]["containerStatuses"].as_array().into_iter().flatten()
}

/// The first pod that cannot start, or the first workload that cannot create its pods.
pub fn start_error(view: &View) -> Option<ConditionError> {
    let mut pods: Vec<&DynamicObject> = view.observed.children.of(Kind::Pod).collect();
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods.sort_by_key(|pod| pod.name_any());
    let of_pod = |pod: &&DynamicObject| container_error(view, pod).or_else(|| scheduling_error(pod));
    pods.iter().find_map(of_pod).or_else(|| replica_error(view)).or_else(|| job_without_pod(view))
}

fn label(pod: &DynamicObject) -> &str {
    pod.labels().get(NAME_LABEL).map(String::as_str).unwrap_or_default()
}

fn container_error(view: &View, pod: &DynamicObject) -> Option<ConditionError> {
    let first = pod.data["status"]["initContainerStatuses"].as_array().into_iter().flatten();
    first.chain(container_statuses(pod)).find_map(|status| {
        let waiting = &status["state"]["waiting"];
        let (name, service) = (pod.name_any(), label(pod));
        let quoted = quoted(waiting["message"].as_str());
        let (reason, message) = match waiting["reason"].as_str()? {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError"
            | "RegistryUnavailable" => (
                Reason::ImageUnavailable,
                format!(
                    "pod {name} of {service} cannot pull image {}{quoted}: correct spec.release or its pull Secrets",
                    view.plan.image
                ),
            ),
            "CrashLoopBackOff" => (
                Reason::CrashLooping,
                format!(
                    "the container of pod {name} of {service} ends after each start{}: see kubectl logs --previous {name}",
                    ending(&status["lastState"]["terminated"])
                ),
            ),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => (
                Reason::ContainerNotCreated,
                format!("the container of pod {name} of {service} cannot be created{quoted}: correct what the message names"),
            ),
            _ => return None,
        };
        Some(ConditionError::new(reason, message))
    })
}

/// How the last run of a container ended.
fn ending(terminated: &Value) -> String {
    let Some(code) = terminated["exitCode"].as_i64() else { return String::new() };
    let reason = terminated["reason"].as_str().unwrap_or("no reason");
    format!(" ({reason}, exit code {code})")
}

fn scheduling_error(pod: &DynamicObject) -> Option<ConditionError> {
    let conditions = pod.data["status"]["conditions"].as_array()?;
    let scheduled = conditions.iter().find(|condition| condition["type"] == "PodScheduled")?;
    if scheduled["status"] != "False" || scheduled["reason"] != "Unschedulable" {
        return None;
    }
    let message = format!(
        "no node can run pod {} of {}{}: add a node, or lower spec.services[].resources or spec.pod",
        pod.name_any(),
        label(pod),
        quoted(scheduled["message"].as_str())
    );
    Some(ConditionError::new(Reason::Unschedulable, message))
}

fn replica_error(view: &View) -> Option<ConditionError> {
    view.plan.services.iter().find_map(|service| {
        let name = view.plan.child(service.row.name);
        let deployment: Deployment = view.observed.children.typed(Kind::Deployment, &name)?;
        let conditions = deployment.status?.conditions?;
        let failed = conditions.into_iter().find(|it| it.type_ == "ReplicaFailure" && it.status == "True")?;
        Some(refused_pods(&format!("Deployment {name}"), &failed.message.unwrap_or_default()))
    })
}

/// The Jobs that should have a pod by now.
pub fn jobs_without_pods(children: &Children, now: OffsetDateTime) -> Vec<JobWithoutPod> {
    let has_pod = |job: &str| {
        let mut pods = children.of(Kind::Pod).filter(|pod| pod.metadata.deletion_timestamp.is_none());
        pods.any(|pod| pod.owner_references().iter().any(|owner| owner.name == job))
    };
    let without = |object: &DynamicObject| {
        let name = object.name_any();
        let job: Job = children.typed(Kind::Job, &name)?;
        let status = job.status.unwrap_or_default();
        // A Job whose first pod is refused may not even have the time of its start.
        let since = status.start_time.or(job.metadata.creation_timestamp)?;
        let seconds = now.unix_timestamp() - since.0.as_second();
        let counted = [status.active, status.succeeded, status.failed].into_iter().flatten().any(|count| count > 0);
        let ended = counted || status.completion_time.is_some() || status.conditions.is_some_and(|all| !all.is_empty());
        let found = JobWithoutPod { uid: object.uid().unwrap_or_default(), seconds, name };
        (!ended && seconds > FIRST_POD_SECONDS && !has_pod(&found.name)).then_some(found)
    };
    children.of(Kind::Job).filter_map(without).collect()
}

/// The first Job that cannot create its pod, with the refusal of the API server if it is known.
fn job_without_pod(view: &View) -> Option<ConditionError> {
    let jobs = jobs_without_pods(&view.observed.children, view.observed.now);
    let refused = jobs.iter().find_map(|job| Some((job, view.observed.refusals.get(&job.name)?)));
    if let Some((job, refusal)) = refused {
        return Some(refused_pods(&format!("Job {}", job.name), refusal));
    }
    let job = jobs.into_iter().find(|job| job.seconds > POD_SECONDS_MAX)?;
    let message = format!(
        "Job {} has created no pod in {POD_SECONDS_MAX} s: see kubectl describe job {}; a ResourceQuota or an admission policy \
         of the namespace may refuse it",
        job.name, job.name
    );
    Some(ConditionError::new(Reason::PodsRefused, message))
}

fn refused_pods(workload: &str, message: &str) -> ConditionError {
    // What comes before names a pod that does not exist, with another name at each attempt.
    let refusal = message.split_once("is forbidden: ").map_or(message, |(_, refusal)| refusal);
    let (reason, remedy) = if refusal.contains("exceeded quota") {
        (Reason::QuotaExceeded, "raise the namespace's ResourceQuota, or lower spec.services[].scaling or resources")
    } else {
        (Reason::PodsRefused, "correct the admission policy of the namespace, or spec.pod")
    };
    ConditionError::new(reason, format!("{workload} cannot create pods: {refusal}: {remedy}"))
}

fn quoted(message: Option<&str>) -> String {
    message.map(|message| format!(" ({message})")).unwrap_or_default()
}
