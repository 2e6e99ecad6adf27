//! ConfigMaps: the settings of a service that are not secret, and the public keys of access tokens.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::environment::Environment;
use super::{exact, labels};
use crate::decide::credentials::SigningKeys;
use crate::decide::object::{Group, Object};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;

pub fn jwks_name(plan: &Plan) -> String {
    format!("{}-jwks", plan.name)
}

pub fn jwks(plan: &Plan, keys: &SigningKeys) -> Object {
    let data = BTreeMap::from([("jwks.json".to_owned(), keys.jwks.clone())]);
    config_map(plan, jwks_name(plan), "user", data, Group::Credentials)
}

pub fn settings(plan: &Plan, service: &ServicePlan, environment: &Environment) -> Object {
    let name = plan.child(service.row.name);
    config_map(plan, name, service.row.name, environment.settings.clone(), Group::Workloads)
}

fn config_map(plan: &Plan, name: String, label: &str, data: BTreeMap<String, String>, group: Group) -> Object {
    let map = ConfigMap { metadata: labels::owned(plan, name, label), data: Some(data), ..ConfigMap::default() };
    exact(Kind::ConfigMap, group, &map)
}
