//! Each service: its pods, its image, its rollout.

use agora_crd::{Reason, ServiceRollout, ServiceStatus};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use super::{View, stamp};
use crate::decide::observed::Trouble;
use crate::decide::plan::ServicePlan;
use crate::kinds::Kind;

const NAME_LABEL: &str = "app.kubernetes.io/name";

/// Every service that runs.
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
        last_transition_time: Some(same.unwrap_or_else(|| stamp(view.observed.now))),
    }
}

fn rollout(view: &View, service: &ServicePlan, deployment: Option<&Deployment>) -> ServiceRollout {
    let Some(deployment) = deployment else { return ServiceRollout::Waiting };
    if view.desired.waiting.contains_key(service.row.name) {
        return ServiceRollout::Waiting;
    }
    let status = deployment.status.clone().unwrap_or_default();
    let current = status.observed_generation == deployment.metadata.generation;
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let all = |number: Option<i32>| number.unwrap_or_default() == wanted;
    if current && all(status.updated_replicas) && all(status.replicas) && all(status.available_replicas) {
        return ServiceRollout::Stable;
    }
    if current && past_deadline(&status) { ServiceRollout::Failed } else { ServiceRollout::Progressing }
}

fn past_deadline(status: &DeploymentStatus) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"))
}

/// Of one of its ready pods, as the kubelet reports it; the least, so that it does not jump about during a rollout.
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

/// What keeps a pod of this Marketplace from running, if anything does: the image, or a program that ends at once.
pub fn pod_trouble(view: &View) -> Option<Trouble> {
    let mut pods: Vec<&DynamicObject> = view.observed.children.of(Kind::Pod).collect();
    pods.sort_by_key(|pod| pod.name_any());
    pods.into_iter().find_map(|pod| {
        let waiting = container_statuses(pod).find_map(|status| status["state"]["waiting"]["reason"].as_str())?;
        let service = pod.labels().get(NAME_LABEL).map(String::as_str).unwrap_or_default();
        match waiting {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Some(Trouble::new(
                Reason::ImageUnavailable,
                format!("a pod of {service} cannot get image {}: see spec.release", view.plan.image),
            )),
            "CrashLoopBackOff" => Some(Trouble::new(
                Reason::CrashLooping,
                format!("a pod of {service} ends again and again: see its log"),
            )),
            _ => None,
        }
    })
}
