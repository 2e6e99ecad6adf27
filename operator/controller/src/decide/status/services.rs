//! The status of each service: pods, image and rollout.

use super::evidence::is_current;
use super::pods::{container_statuses, is_of};
use super::{View, timestamp};
use crate::decide::maybe::Maybe;
use crate::decide::plan::ServicePlan;
use crate::kinds::{Kind, ObjectKey};
use agora_crd::{ServiceRollout, ServiceStatus};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

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
    let key = ObjectKey::new(Kind::Deployment, view.plan.child(service.row.name));
    if let Some(Maybe::Want(desired)) = view.desired.children.get(&key)
        && !is_current(view, desired)
    {
        return ServiceRollout::Progressing;
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
