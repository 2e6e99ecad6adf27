//! The part of the plan for one service.

use std::collections::BTreeMap;

use agora_crd::{EnvVar, MarketplaceSpec, Reason, Resources, ServiceDatabase, ServiceSpec, ServiceState};
use agora_topology as topology;

use super::{Scope, Violation};
use crate::decide::profile::Size;
use crate::decide::servers::SessionSettings;

#[derive(Clone, Debug)]
pub struct ServicePlan {
    pub row: &'static topology::Service,
    pub replicas: Replicas,
    /// CPU utilisation that the autoscaler aims at, in percent of the request.
    pub cpu_target: i32,
    /// Time for which the load must be lower before the autoscaler removes pods.
    pub stabilization_seconds: i32,
    /// Keys: `cpu` and `memory`.
    pub requests: BTreeMap<String, String>,
    /// Keys: `cpu` and `memory`.
    pub limits: BTreeMap<String, String>,
    /// Additional environment variables from the spec.
    pub env: Vec<(String, EnvValue)>,
    /// Connections and sessions as the spec sets them.
    pub database: ServiceDatabase,
}

impl ServicePlan {
    /// The settings of the sessions of its login at the database server.
    pub fn session(&self) -> SessionSettings {
        let ServiceDatabase { statement_timeout_seconds, work_mem_mebibytes, .. } = self.database;
        SessionSettings { statement_timeout_seconds, work_mem_mebibytes }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    pub min: i32,
    pub max: i32,
}

impl Replicas {
    /// Whether an autoscaler sets the number of pods.
    pub fn automatic(self) -> bool {
        self.min < self.max
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    Text(String),
    Secret { name: String, key: String },
}

pub(super) fn services(spec: &MarketplaceSpec, size: &Size, violations: &mut Vec<Violation>) -> Vec<ServicePlan> {
    let given = |name: &str| spec.services.iter().find(|service| service.name.as_str() == name);
    topology::ALL
        .iter()
        .filter(|row| given(row.name).is_none_or(|service| service.state == ServiceState::Enabled))
        .map(|row| service(row, given(row.name), size, violations))
        .collect()
}

fn service(
    row: &'static topology::Service,
    given: Option<&ServiceSpec>,
    size: &Size,
    violations: &mut Vec<Violation>,
) -> ServicePlan {
    let scaling = given.and_then(|service| service.scaling.clone()).unwrap_or_default();
    let replicas = replicas(row.name, scaling.min_replicas, scaling.max_replicas, size, violations);
    let resources = given.and_then(|service| service.resources.clone()).unwrap_or_default();
    let (requests, limits) = amounts(&resources, size);
    ServicePlan {
        row,
        replicas,
        cpu_target: scaling.metrics.first().map_or(row.cpu_target_percent, |metric| metric.cpu.average_utilization),
        stabilization_seconds: scaling.scale_down_stabilization_seconds,
        requests,
        limits,
        env: given.map(|service| service.env.iter().map(env).collect()).unwrap_or_default(),
        database: given.and_then(|service| service.database.clone()).unwrap_or_default(),
    }
}

/// If only one bound is given, the profile's other bound is moved if necessary.
fn replicas(
    name: &'static str,
    min: Option<i32>,
    max: Option<i32>,
    size: &Size,
    violations: &mut Vec<Violation>,
) -> Replicas {
    let replicas = match (min, max) {
        (Some(min), Some(max)) => Replicas { min, max },
        (Some(min), None) => Replicas { min, max: size.replicas_max.max(min) },
        (None, Some(max)) => Replicas { min: size.replicas_min.min(max), max },
        (None, None) => Replicas { min: size.replicas_min, max: size.replicas_max },
    };
    if replicas.min > replicas.max {
        let message =
            format!("spec.services[{name}].scaling: minReplicas is greater than maxReplicas: lower minReplicas");
        violations.push(Violation::new(Reason::InvalidSpec, Scope::Service(name), message));
    }
    replicas
}

fn amounts(resources: &Resources, size: &Size) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let requests = resources.requests.clone().unwrap_or_default();
    let limits = resources.limits.clone().unwrap_or_default();
    let (cpu_request, cpu_limit) = ordered((requests.cpu, size.cpu_request), (limits.cpu, None));
    let (memory_request, memory_limit) =
        ordered((requests.memory, size.memory_request), (limits.memory, Some(size.memory_limit)));
    let pairs = |cpu: Option<String>, memory: Option<String>| {
        [("cpu", cpu), ("memory", memory)]
            .into_iter()
            .filter_map(|(name, amount)| amount.map(|amount| (name.to_owned(), amount)))
            .collect()
    };
    (pairs(Some(cpu_request), Some(memory_request)), pairs(cpu_limit, memory_limit))
}

/// Request and limit, each the given amount or the profile's. If only one is given, the profile's other one is moved if
/// necessary, so that the request is not above the limit.
fn ordered(request: (Option<String>, &str), limit: (Option<String>, Option<&str>)) -> (String, Option<String>) {
    match (request.0, limit.0) {
        (Some(request), Some(limit)) => (request, Some(limit)),
        (Some(given), None) => {
            let limit =
                limit.1.map(|limit| if amount(&given) > amount(limit) { given.clone() } else { limit.to_owned() });
            (given, limit)
        }
        (None, Some(given)) if amount(request.1) > amount(&given) => (given.clone(), Some(given)),
        (None, Some(given)) => (request.1.to_owned(), Some(given)),
        (None, None) => (request.1.to_owned(), limit.1.map(str::to_owned)),
    }
}

/// An amount in thousandths of a core or a byte. The schema allows `250m`, `1.5` and `256Mi`.
fn amount(text: &str) -> f64 {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "m" => 1.0,
        "k" => 1e6,
        "M" => 1e9,
        "G" => 1e12,
        "Ki" => 1_024e3,
        "Mi" => 1_048_576e3,
        "Gi" => 1_073_741_824e3,
        _ => 1e3,
    };
    digits.parse::<f64>().unwrap_or_default() * factor
}

fn env(variable: &EnvVar) -> (String, EnvValue) {
    let value = match &variable.value_from {
        Some(source) => {
            EnvValue::Secret { name: source.secret_key_ref.name.clone(), key: source.secret_key_ref.key.clone() }
        }
        None => EnvValue::Text(variable.value.clone().unwrap_or_default()),
    };
    (variable.name.clone(), value)
}
