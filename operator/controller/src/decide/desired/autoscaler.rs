//! HorizontalPodAutoscaler: the number of pods of a service, by CPU utilisation.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget, ResourceMetricSource,
};

use super::{exact, labels};
use crate::decide::object::{Group, Object};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;

pub fn autoscaler(plan: &Plan, service: &ServicePlan) -> Object {
    let name = plan.child(service.row.name);
    let cpu = MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(service.cpu_target),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    };
    let autoscaler = HorizontalPodAutoscaler {
        metadata: labels::owned(plan, name.clone(), service.row.name),
        spec: Some(HorizontalPodAutoscalerSpec {
            min_replicas: Some(service.replicas.min),
            max_replicas: service.replicas.max,
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name,
            },
            metrics: Some(vec![cpu]),
            behavior: Some(HorizontalPodAutoscalerBehavior {
                scale_down: Some(HPAScalingRules {
                    stabilization_window_seconds: Some(service.stabilization_seconds),
                    ..HPAScalingRules::default()
                }),
                scale_up: None,
            }),
        }),
        ..HorizontalPodAutoscaler::default()
    };
    exact(Kind::HorizontalPodAutoscaler, Group::Autoscaling, &autoscaler)
}
