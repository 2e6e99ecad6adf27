//! The common part of all pods: the restricted security profile, resources, the mounted secrets, scheduling.

use std::collections::BTreeMap;

use agora_topology::ADMIN_PORT;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapEnvSource, Container, EnvFromSource, EnvVar, HTTPGetAction, LocalObjectReference,
    PodSecurityContext, PodSpec, Probe, ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecurityContext,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::environment::{Environment, FOLDER};
use crate::decide::plan::{Plan, ServicePlan};

/// Readable for every user, because the pod sets no user id. Only the pod's container mounts the files.
const FILE_MODE: i32 = 0o444;
const VOLUME: &str = "credentials";
/// The label of a node that no other node has.
const NODE: &str = "kubernetes.io/hostname";
/// Services need 25 s at most to shut down.
const GRACE_SECONDS: i64 = 30;

/// The only container; it runs `agora <verb> <service>`.
pub fn container(plan: &Plan, service: &ServicePlan, verb: &str, environment: &Environment) -> Container {
    Container {
        name: service.row.name.to_owned(),
        image: Some(plan.image.clone()),
        image_pull_policy: Some(plan.pull_policy.clone()),
        args: Some(vec![verb.to_owned(), service.row.name.to_owned()]),
        env: Some(environment.extra.clone()).filter(|extra| !extra.is_empty()),
        resources: Some(ResourceRequirements {
            requests: Some(quantities(&service.requests)),
            limits: Some(quantities(&service.limits)),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![VolumeMount {
            name: VOLUME.to_owned(),
            mount_path: FOLDER.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

pub fn pod(plan: &Plan, service: &ServicePlan, container: Container, environment: &Environment) -> PodSpec {
    let pod = &plan.pod;
    PodSpec {
        service_account_name: Some(plan.child(service.row.name)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        containers: vec![container],
        volumes: Some(vec![Volume {
            name: VOLUME.to_owned(),
            projected: Some(ProjectedVolumeSource {
                default_mode: Some(FILE_MODE),
                sources: Some(environment.sources()),
            }),
            ..Volume::default()
        }]),
        image_pull_secrets: Some(
            plan.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect::<Vec<_>>(),
        )
        .filter(|secrets| !secrets.is_empty()),
        node_selector: Some(pod.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: Some(pod.tolerations.clone()).filter(|tolerations| !tolerations.is_empty()),
        priority_class_name: pod.priority_class_name.clone(),
        ..PodSpec::default()
    }
}

/// Settings from a ConfigMap; the pods are restarted when it changes.
pub fn settings_from(config_map: String) -> Vec<EnvFromSource> {
    let source = ConfigMapEnvSource { name: config_map, optional: None };
    vec![EnvFromSource { config_map_ref: Some(source), ..EnvFromSource::default() }]
}

/// Settings as values, for a Job, which must not depend on a ConfigMap that changes.
pub fn settings_inline(environment: &Environment) -> Vec<EnvVar> {
    let variable =
        |(name, value): (&String, &String)| EnvVar { name: name.clone(), value: Some(value.clone()), value_from: None };
    environment.settings.iter().map(variable).collect()
}

pub fn probe(path: &str, period_seconds: i32, failures_max: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(ADMIN_PORT)),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures_max),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

/// Spreads the pods of a service over the values of the label of the spec, such as zones, and within each over its nodes, if
/// possible.
pub fn spread(plan: &Plan, selector: &LabelSelector) -> Vec<TopologySpreadConstraint> {
    let over = |topology_key: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector.clone()),
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    };
    let nodes = (plan.topology_key != NODE).then(|| over(NODE));
    [over(&plan.topology_key)].into_iter().chain(nodes).collect()
}

fn quantities(amounts: &BTreeMap<String, String>) -> BTreeMap<String, Quantity> {
    amounts.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone()))).collect()
}
