//! ConfigMaps: the settings of a service that are not secret, and the public keys of access tokens.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::environment::Environment;
use super::{exact, labels};
use crate::decide::credentials::{JWKS, PublicKeySet, RETIRED_KEYS, SigningKeys, jwks_name};
use crate::decide::object::{Group, Object};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;

/// Services mount the key set alone; the times are for the operator after a restart.
pub fn jwks(plan: &Plan, keys: &SigningKeys) -> Object {
    let PublicKeySet { jwks, retired, changes_at: _ } = keys.published.clone();
    let data = BTreeMap::from([(JWKS.to_owned(), jwks), (RETIRED_KEYS.to_owned(), retired)]);
    config_map(plan, jwks_name(&plan.name), "user", data, Group::Credentials)
}

pub fn settings(plan: &Plan, service: &ServicePlan, environment: &Environment) -> Object {
    let name = plan.child(service.row.name);
    config_map(plan, name, service.row.name, environment.settings.clone(), Group::Workloads)
}

fn config_map(plan: &Plan, name: String, label: &str, data: BTreeMap<String, String>, group: Group) -> Object {
    let map = ConfigMap { metadata: labels::owned(plan, name, label), data: Some(data), ..ConfigMap::default() };
    exact(Kind::ConfigMap, group, &map)
}
