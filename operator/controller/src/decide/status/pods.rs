//! Why pods do not start, quoted from the statuses that the kubelet, the scheduler and the controllers write.

use agora_crd::Reason;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use super::View;
use crate::decide::observed::ConditionError;
use crate::kinds::Kind;

const NAME_LABEL: &str = "app.kubernetes.io/name";
/// A Job that has no pod this long after its start cannot create one.
const POD_SECONDS_MAX: i64 = 20;

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
    pods.iter().find_map(of_pod).or_else(|| replica_error(view)).or_else(|| job_without_pod(view, &pods))
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

/// The Job controller reports in events only that the API server refuses its pods.
fn job_without_pod(view: &View, pods: &[&DynamicObject]) -> Option<ConditionError> {
    view.observed.children.of(Kind::Job).find_map(|object| {
        let name = object.name_any();
        let job: Job = view.observed.children.typed(Kind::Job, &name)?;
        let status = job.status?;
        let started = status.start_time?.0.as_second();
        let counted = [status.active, status.succeeded, status.failed].into_iter().flatten().any(|count| count > 0);
        let has_pod = pods.iter().any(|pod| pod.owner_references().iter().any(|owner| owner.name == name));
        let late = view.observed.now.unix_timestamp() - started > POD_SECONDS_MAX;
        (late && !counted && !has_pod && status.completion_time.is_none()).then(|| {
            let message = format!(
                "Job {name} has created no pod in {POD_SECONDS_MAX} s: see kubectl describe job {name}; a ResourceQuota or an \
                 admission policy of the namespace may refuse it"
            );
            ConditionError::new(Reason::PodsRefused, message)
        })
    })
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
