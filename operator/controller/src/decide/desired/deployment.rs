//! Deployment: the pods of a service.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{ContainerPort, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::environment::{CONFIG_HASH, Environment};
use super::{labels, pod};
use crate::decide::object::{Group, Object, Ownership};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;
use agora_topology::ADMIN_PORT;

/// Time until a container that does not start is restarted.
const START_SECONDS_MAX: i32 = 60;
const PROGRESS_DEADLINE_SECONDS: i32 = 300;
const REVISIONS_KEPT: i32 = 3;

/// With an autoscaler the field `replicas` is absent, because the autoscaler owns it.
pub fn deployment(plan: &Plan, service: &ServicePlan, environment: &Environment) -> Object {
    let row = service.row;
    let automatic = service.replicas.automatic();
    let deployment = Deployment {
        metadata: labels::owned(plan, plan.child(row.name), row.name),
        spec: Some(DeploymentSpec {
            replicas: (!automatic).then_some(service.replicas.min),
            selector: labels::selector(plan, row.name),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE_SECONDS),
            revision_history_limit: Some(REVISIONS_KEPT),
            template: template(plan, service, environment),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    };
    let ownership =
        if automatic { Ownership::Autoscaled { initial_replicas: service.replicas.min } } else { Ownership::Exact };
    Object::new(Kind::Deployment, Group::Workloads, ownership, &deployment)
}

fn template(plan: &Plan, service: &ServicePlan, environment: &Environment) -> PodTemplateSpec {
    let row = service.row;
    let mut labels = plan.pod.labels.clone();
    labels.extend(labels::labels(plan, row.name));
    let mut annotations = plan.pod.annotations.clone();
    annotations.insert(CONFIG_HASH.to_owned(), environment.hash.clone());
    let mut container = pod::container(plan, service, "serve", environment);
    container.env_from = Some(pod::settings_from(plan.child(row.name)));
    container.ports = Some(ports(plan, service));
    container.startup_probe = Some(pod::probe("/livez", 1, START_SECONDS_MAX));
    container.readiness_probe = Some(pod::probe("/readyz", 2, 2));
    container.liveness_probe = Some(pod::probe("/livez", 10, 3));
    let mut spec = pod::pod(plan, service, container, environment);
    spec.topology_spread_constraints = Some(pod::spread(plan, &labels::selector(plan, row.name)));
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() }),
        spec: Some(spec),
    }
}

fn ports(plan: &Plan, service: &ServicePlan) -> Vec<ContainerPort> {
    let row = service.row;
    let https = plan.tls_port(row);
    [("http", Some(row.port)), ("https", https), ("internal", row.internal_port), ("admin", Some(ADMIN_PORT))]
        .into_iter()
        .filter_map(|(name, number)| {
            Some(ContainerPort {
                name: Some(name.to_owned()),
                container_port: i32::from(number?),
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            })
        })
        .collect()
}
