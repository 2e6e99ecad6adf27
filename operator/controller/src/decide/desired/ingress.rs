//! Ingress: all host names and paths are routed to the gateway.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};

use super::{exact, labels};
use crate::decide::object::{Group, Object};
use crate::decide::plan::{IngressPlan, Plan};
use crate::kinds::Kind;

pub const GATEWAY: &str = "gateway";

pub fn ingress(plan: &Plan, ingress: &IngressPlan) -> Object {
    let mut metadata = labels::owned(plan, plan.child(GATEWAY), GATEWAY);
    metadata.annotations = Some(ingress.annotations.clone()).filter(|annotations| !annotations.is_empty());
    let tls = |secret: &String| {
        vec![IngressTLS { hosts: Some(ingress.hostnames.clone()), secret_name: Some(secret.clone()) }]
    };
    let ingress = Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: ingress.class_name.clone(),
            rules: Some(ingress.hostnames.iter().map(|host| rule(plan, host)).collect()),
            tls: ingress.tls_secret.as_ref().map(tls),
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    };
    exact(Kind::Ingress, Group::Route, &ingress)
}

fn rule(plan: &Plan, host: &str) -> IngressRule {
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: plan.child(GATEWAY),
            port: Some(ServiceBackendPort { name: Some("http".to_owned()), number: None }),
        }),
        resource: None,
    };
    let path = HTTPIngressPath { backend, path: Some("/".to_owned()), path_type: "Prefix".to_owned() };
    IngressRule { host: Some(host.to_owned()), http: Some(HTTPIngressRuleValue { paths: vec![path] }) }
}
