//! PodDisruptionBudget: how many pods of a service a node drain may evict at once.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{exact, labels};
use crate::decide::object::{Group, Object};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;

/// A pod that is not ready may always be evicted: it serves no requests and would block the drain.
pub fn budget(plan: &Plan, service: &ServicePlan, max_unavailable: i32) -> Object {
    let budget = PodDisruptionBudget {
        metadata: labels::owned(plan, plan.child(service.row.name), service.row.name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(max_unavailable)),
            selector: Some(labels::selector(plan, service.row.name)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    };
    exact(Kind::PodDisruptionBudget, Group::Workloads, &budget)
}
