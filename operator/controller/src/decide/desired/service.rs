//! Service: name and ports of a service in the cluster.

use agora_topology::ADMIN_PORT;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{exact, labels};
use crate::decide::object::{Group, Object};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;

/// Port of a Service for TLS, as in addresses that name none.
const HTTPS_PORT: u16 = 443;

pub fn service(plan: &Plan, service: &ServicePlan) -> Object {
    let row = service.row;
    let https = plan.tls_port(row).map(|_| HTTPS_PORT);
    let ports =
        [("http", Some(row.port)), ("https", https), ("internal", row.internal_port), ("admin", Some(ADMIN_PORT))];
    let service = Service {
        metadata: labels::owned(plan, plan.child(row.name), row.name),
        spec: Some(ServiceSpec {
            selector: labels::selector(plan, row.name).match_labels,
            ports: Some(ports.into_iter().filter_map(|(name, number)| Some(port(name, number?))).collect()),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    exact(Kind::Service, Group::Workloads, &service)
}

fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}
