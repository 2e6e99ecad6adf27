//! The status of each service: pods, image and rollout.

use agora_crd::{Reason, ServiceRollout, ServiceStatus};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use super::{View, timestamp};
use crate::decide::observed::ConditionError;
use crate::decide::plan::ServicePlan;
use crate::kinds::Kind;

const NAME_LABEL: &str = "app.kubernetes.io/name";

pub fn services(view: &View) -> Vec<ServiceStatus> {
    view.plan.services.iter().map(|service| one(view, service)).collect()
}

fn one(view: &View, service: &ServicePlan) -> ServiceStatus {
    let name = service.row.name;
    let deployment = view.observed.children.deployment(&view.plan.child(name));
    let rollout = rollout(view, service, deployment.as_ref());
    let before = view.market.status.iter().flat_map(|status| &status.services).find(|known| known.name == name);
    let same = before.filter(|known| known.rollout == rollout).and_then(|known| known.last_transition_time.clone());
    let spec = deployment.as_ref().and_then(|deployment| deployment.spec.as_ref());
    let status = deployment.as_ref().and_then(|deployment| deployment.status.as_ref());
    ServiceStatus {
        name: name.to_owned(),
        image_id: image_id(view, name),
        desired: spec.and_then(|spec| spec.replicas).unwrap_or_default(),
        ready: status.and_then(|status| status.ready_replicas).unwrap_or_default(),
        rollout,
        last_transition_time: Some(same.unwrap_or_else(|| timestamp(view.observed.now))),
    }
}

fn rollout(view: &View, service: &ServicePlan, deployment: Option<&Deployment>) -> ServiceRollout {
    let Some(deployment) = deployment else {
        return ServiceRollout::Waiting;
    };
    if view.desired.waiting.contains_key(service.row.name) {
        return ServiceRollout::Waiting;
    }
    let status = deployment.status.clone().unwrap_or_default();
    let current = status.observed_generation == deployment.metadata.generation;
    let desired = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let all = |number: Option<i32>| number.unwrap_or_default() == desired;
    if current && all(status.updated_replicas) && all(status.replicas) && all(status.available_replicas) {
        return ServiceRollout::Stable;
    }
    if current && past_deadline(&status) { ServiceRollout::Failed } else { ServiceRollout::Progressing }
}

fn past_deadline(status: &DeploymentStatus) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"))
}

/// The image id that the kubelet reports for the ready pods. If there are several during a rollout, the smallest one, so that
/// the status does not alternate.
fn image_id(view: &View, service: &str) -> Option<String> {
    let pods = view.observed.children.of(Kind::Pod).filter(|pod| is_of(pod, service));
    let ready = pods.flat_map(container_statuses).filter(|status| status["ready"] == true);
    ready.filter_map(|status| status["imageID"].as_str().filter(|id| !id.is_empty()).map(str::to_owned)).min()
}

fn is_of(pod: &DynamicObject, service: &str) -> bool {
    pod.labels().get(NAME_LABEL).is_some_and(|name| name == service)
}

fn container_statuses(pod: &DynamicObject) -> impl Iterator<Item = &Value> {
    pod.data["status"]["containerStatuses"].as_array().into_iter().flatten()
}

/// The first pod that cannot start, because its image cannot be pulled or its container exits.
pub fn pod_error(view: &View) -> Option<ConditionError> {
    let mut pods: Vec<&DynamicObject> = view.observed.children.of(Kind::Pod).collect();
    pods.sort_by_key(|pod| pod.name_any());
    pods.into_iter().find_map(|pod| {
        let waiting = container_statuses(pod).find_map(|status| status["state"]["waiting"]["reason"].as_str())?;
        let service = pod.labels().get(NAME_LABEL).map(String::as_str).unwrap_or_default();
        match waiting {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Some(ConditionError::new(
                Reason::ImageUnavailable,
                format!("a pod of {service} cannot pull image {}: correct spec.release or the pull Secret", view.plan.image),
            )),
            "CrashLoopBackOff" => Some(ConditionError::new(
                Reason::CrashLooping,
                format!("the container of a pod of {service} exits after each start: see its log with kubectl logs --previous"),
            )),
            _ => None,
        }
    })
}
