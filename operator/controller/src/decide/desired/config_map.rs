//! ConfigMaps: the settings of a service that are not secret, the public keys of access tokens, and the limits of requests.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::environment::Environment;
use super::{exact, labels};
use crate::decide::credentials::{JWKS, PublicKeySet, RETIRED_KEYS, SigningKeys, jwks_name};
use crate::decide::object::{Group, Object};
use crate::decide::plan::{Plan, ServicePlan, rate_limits_file};
use crate::kinds::Kind;

/// Key of the ConfigMap of the limits, and the name of its file.
pub const RATE_LIMITS: &str = "rate-limits.json";

pub fn rate_limits_name(marketplace: &str) -> String {
    format!("{marketplace}-rate-limits")
}

/// Apart from the settings of the gateway, whose change restarts the pods: the gateway reads this file again.
pub fn rate_limits(plan: &Plan) -> Object {
    let data = BTreeMap::from([(RATE_LIMITS.to_owned(), rate_limits_file(&plan.exposure.rate_limits))]);
    config_map(plan, rate_limits_name(&plan.name), "gateway", data, Group::Credentials)
}

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
