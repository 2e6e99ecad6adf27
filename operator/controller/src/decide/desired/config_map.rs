//! Settings of a service that are no secrets, and the public keys of tokens.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::environment::Environment;
use super::{applied, labels};
use crate::decide::credentials::Credentials;
use crate::decide::object::{Group, Object};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;

/// Name of the `ConfigMap` with the public keys.
pub fn jwks_name(plan: &Plan) -> String {
    format!("{}-jwks", plan.name)
}

/// The public keys of tokens.
pub fn jwks(plan: &Plan, credentials: &Credentials) -> Object {
    let data = BTreeMap::from([("jwks.json".to_owned(), credentials.signing.value.jwks.clone())]);
    config_map(plan, jwks_name(plan), "user", data, Group::Credentials)
}

/// The settings of a service.
pub fn settings(plan: &Plan, service: &ServicePlan, environment: &Environment) -> Object {
    let name = plan.child(service.row.name);
    config_map(plan, name, service.row.name, environment.settings.clone(), Group::Workloads)
}

fn config_map(plan: &Plan, name: String, label: &str, data: BTreeMap<String, String>, group: Group) -> Object {
    let map = ConfigMap { metadata: labels::owned(plan, name, label), data: Some(data), ..ConfigMap::default() };
    applied(Kind::ConfigMap, group, &map)
}
