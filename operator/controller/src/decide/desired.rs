//! The desired state, as data: what happens to each child, and the external resources.
//!
//! Pure: the same plan and the same observed state give the same bytes. One file per kind.

mod autoscaler;
mod budget;
mod children;
mod config_map;
mod deployment;
mod environment;
pub mod external;
mod ingress;
mod labels;
mod migration_job;
mod network_policy;
mod pod;
mod secret;
mod service;
mod service_account;

use std::collections::BTreeMap;

use agora_crd::Reason;
use agora_topology as topology;

pub use labels::{SELECTOR, instance_selector, is_owned, is_owned_without_labels, owner_name};
pub use migration_job::Migration;
use migration_job::migration;

use crate::decide::credentials::EncryptionKeys;
use crate::decide::diff::is_written_for;
use crate::decide::in_cluster::TargetPorts;
use crate::decide::maybe::Maybe;
use crate::decide::object::{Group, Object, Ownership};
use crate::decide::observed::{ConditionError, Observed};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::{Kind, ObjectKey};
use crate::names;
use children::{ServiceChildren, SharedChildren};
use external::{DesiredDatabases, DesiredProbes, DesiredRedis, DesiredTopics, Fingerprint};

#[derive(Clone, Debug)]
pub struct Desired {
    /// What happens to each child. A child without an entry stays unchanged.
    pub children: BTreeMap<ObjectKey, Maybe<Object>>,
    /// Failed or outdated migration Jobs to delete, so that they run again.
    pub expired: Vec<ObjectKey>,
    /// Why services wait, by service.
    pub waiting: BTreeMap<&'static str, ConditionError>,
    pub databases: Result<DesiredDatabases, ConditionError>,
    pub topics: Result<DesiredTopics, ConditionError>,
    pub redis: Result<DesiredRedis, ConditionError>,
    pub probes: DesiredProbes,
}

impl Desired {
    /// The children to apply, in this order.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.children.values().filter_map(|child| match child {
            Maybe::Want(object) => Some(object),
            Maybe::Hold | Maybe::Gone => None,
        })
    }

    /// Whether an existing child is to be deleted.
    pub fn is_gone(&self, key: &ObjectKey) -> bool {
        self.children.get(key) == Some(&Maybe::Gone)
    }
}

pub fn desired(plan: &Plan, observed: &Observed) -> Desired {
    let databases = external::databases(plan, observed);
    let mut children: BTreeMap<_, _> = shared(plan, observed).entries(plan).collect();
    let (mut waiting, mut expired) = (BTreeMap::new(), Vec::new());
    for row in topology::ALL {
        let Some(service) = plan.service(row.name) else {
            children.extend(ServiceChildren::gone().entries(plan, row.name));
            continue;
        };
        let (own, gate) = of_service(plan, service, observed, &databases);
        children.extend(own.entries(plan, row.name));
        waiting.extend(gate.waiting.map(|error| (row.name, error)));
        expired.extend(gate.expired);
    }
    let others = children::of_other_releases(observed, |key| children.contains_key(key));
    children.extend(others.into_iter().map(|key| (key, Maybe::Gone)));
    let spares = children::spares(observed, children.keys());
    children.extend(spares.into_iter().map(|key| (key, Maybe::Gone)));
    Desired {
        children,
        expired,
        waiting,
        topics: plan
            .blocked_topics
            .clone()
            .map_or(Ok(()), Err)
            .and_then(|()| isolation_key_is_free(plan, observed))
            .and_then(|()| external::topics(plan, observed)),
        redis: external::redis(plan, observed),
        probes: external::probes(plan),
        databases,
    }
}

/// Fails if another Marketplace has databases of the isolation key. If the database server is unreachable, the topics do not
/// wait for it; a topic marks their owner too.
fn isolation_key_is_free(plan: &Plan, observed: &Observed) -> Result<(), ConditionError> {
    let Some(observation) = &observed.databases else {
        let message = format!(
            "waiting for the first inspection of the database server {}:{}, which shows whether isolation key {} is free",
            plan.database.host, plan.database.port, plan.isolation_key
        );
        return Err(ConditionError::new(Reason::WaitingForDependency, message));
    };
    let mut errors = observation.databases.values().filter_map(|result| result.as_ref().err());
    errors.find(|error| error.reason == Reason::IsolationConflict).map_or(Ok(()), |error| Err(error.clone()))
}

/// The children that do not belong to one service.
fn shared(plan: &Plan, observed: &Observed) -> SharedChildren {
    let credentials = &observed.credentials;
    // Keys that cannot be read are neither replaced nor published.
    let signing = credentials.signing.as_ref().ok();
    SharedChildren {
        jwks: signing.map_or(Maybe::Hold, |keys| Maybe::Want(config_map::jwks(plan, keys))),
        rate_limits: Maybe::Want(config_map::rate_limits(plan)),
        internal: Maybe::Want(secret::internal(plan, credentials)),
        signing: signing.map_or(Maybe::Hold, |keys| Maybe::Want(secret::signing(plan, keys))),
        encryption: credentials
            .encryption
            .iter()
            .map(|(service, keys)| (*service, encryption(plan, service, keys)))
            .collect(),
        admin: Maybe::Want(secret::admin(plan, credentials)),
        default_deny: network_policy::default_deny(plan).into(),
        migration_policy: with_target_ports(plan, network_policy::migration(plan).into(), observed),
        ingress: route(plan, observed),
    }
}

/// Keys that cannot be used are not replaced. A disabled service keeps its own, because its database stays.
fn encryption(plan: &Plan, service: &str, keys: &Result<EncryptionKeys, ConditionError>) -> Maybe<Object> {
    keys.as_ref().map_or(Maybe::Hold, |keys| Maybe::Want(secret::encryption(plan, service, keys)))
}

/// While the certificate cannot be used, an existing Ingress is frozen, so that it keeps routing requests.
fn route(plan: &Plan, observed: &Observed) -> Maybe<Object> {
    let Some(ingress) = &plan.exposure.ingress else { return Maybe::Gone };
    let usable = ingress.tls_secret.as_ref().is_none_or(|name| observed.certificate(name).is_ok());
    let object = Maybe::Want(ingress::ingress(plan, ingress));
    if usable { object } else { frozen(object, observed) }
}

/// A policy stays as it is while the ports of the pods behind a data server's Service are not known: without them it would
/// cut off the data server.
fn with_target_ports(plan: &Plan, policy: Maybe<Object>, observed: &Observed) -> Maybe<Object> {
    let unread = plan.target_ports.values().any(|ports| *ports == TargetPorts::Unread);
    if unread { frozen(policy, observed) } else { policy }
}

/// Holds a child, except one that was written for this desired object: it is still repaired, and nothing new reaches it.
fn frozen(child: Maybe<Object>, observed: &Observed) -> Maybe<Object> {
    match child {
        Maybe::Want(object) if observed.children.get(&object.key).is_some_and(|live| is_written_for(&object, live)) => {
            Maybe::Want(object)
        }
        child => child.held(),
    }
}

/// Why a service waits. It keeps the pods from being updated.
#[derive(Default)]
struct Gate {
    waiting: Option<ConditionError>,
    /// The failed or outdated migration Job to delete.
    expired: Option<ObjectKey>,
}

/// The children of one service. Its pods wait for the referenced Secrets, the database and the migration.
fn of_service(
    plan: &Plan,
    service: &ServicePlan,
    observed: &Observed,
    databases: &Result<DesiredDatabases, ConditionError>,
) -> (ServiceChildren, Gate) {
    let mut gate = Gate { waiting: plan.blocked_services.get(service.row.name).cloned(), expired: None };
    let mut unusable = None;
    let mut children = ServiceChildren {
        account: Maybe::Want(service_account::service_account(plan, service)),
        service: Maybe::Want(service::service(plan, service)),
        network_policy: with_target_ports(plan, network_policy::of_service(plan, service).into(), observed),
        secret: Maybe::Gone,
        call_keys: service
            .row
            .reads("INTERNAL_SECRET")
            .then(|| secret::call_keys(plan, service, &observed.credentials))
            .into(),
        config_map: Maybe::Hold,
        migration: Maybe::Gone,
        deployment: Maybe::Hold,
        autoscaler: Maybe::Hold,
        budget: Maybe::Hold,
    };
    match environment::environment(plan, service, observed) {
        Ok(environment) => {
            unusable.clone_from(&environment.unusable);
            children.config_map = Maybe::Want(config_map::settings(plan, service, &environment));
            children.deployment = Maybe::Want(deployment::deployment(plan, service, &environment));
            children.autoscaler = service.replicas.automatic().then(|| autoscaler::autoscaler(plan, service)).into();
            children.budget = plan.max_unavailable.map(|pods| budget::budget(plan, service, pods)).into();
        }
        Err(error) => {
            gate.waiting.get_or_insert(error);
        }
    }
    if service.row.database {
        children.secret = secret::database(plan, service, &observed.credentials).map_or(Maybe::Hold, Maybe::Want);
        if plan.known.databases.as_ref().is_some_and(|record| record.address != plan.database.address()) {
            // Pods take over a changed Secret at once: they stay at the recorded server until the new one is verified.
            children.secret = frozen(children.secret, observed);
        }
        children.migration = migrate(plan, service, observed, databases, &mut gate);
    }
    if let Some(error) = unverified_broker(plan, service, observed) {
        gate.waiting.get_or_insert(error);
        children.config_map = frozen(children.config_map, observed);
    }
    if gate.waiting.is_some() {
        children.autoscaler = frozen(children.autoscaler, observed);
        children.budget = frozen(children.budget, observed);
    }
    // Pods that lack a Secret would not start, and those that run have its values.
    gate.waiting = gate.waiting.or(unusable.clone());
    if gate.waiting.is_some() {
        children.deployment = frozen(children.deployment, observed);
    }
    if unusable.is_some() || plan.blocked_services.contains_key(service.row.name) {
        children.config_map = frozen(children.config_map, observed);
    }
    (children, gate)
}

/// Why the pods of a service stay at the recorded Kafka cluster: the one of the spec was not verified yet.
fn unverified_broker(plan: &Plan, service: &ServicePlan, observed: &Observed) -> Option<ConditionError> {
    let address = plan.kafka.bootstrap.join(",");
    let moved = plan.known.topics.as_ref().is_some_and(|record| record.address != address);
    if !moved || !service.row.speaks_to_broker() {
        return None;
    }
    let inspected = observed.topics.as_ref().and_then(|observation| observation.topics.as_ref().err().cloned());
    Some(inspected.unwrap_or_else(|| {
        ConditionError::new(Reason::WaitingForDependency, format!("waiting for the inspection of the broker {address}"))
    }))
}

/// The migration Job. The gate is closed until it is complete.
fn migrate(
    plan: &Plan,
    service: &ServicePlan,
    observed: &Observed,
    databases: &Result<DesiredDatabases, ConditionError>,
    gate: &mut Gate,
) -> Maybe<Object> {
    let job = migration_job::migration_job(plan, service);
    let database = database_state(plan, service, observed, databases);
    let state = migration(&job, observed);
    let child = match (&state, &database) {
        (Migration::Expired | Migration::Outdated, Ok(())) => {
            gate.expired = Some(job.key);
            Maybe::Hold
        }
        (Migration::Absent | Migration::Expired | Migration::Outdated, Err(_)) => Maybe::Hold,
        _ => Maybe::Want(job),
    };
    let error = match (state, database) {
        (Migration::Complete, _) => return child,
        (Migration::Absent, Err(error)) => error,
        (state, _) => state.condition_error(plan, service),
    };
    gate.waiting.get_or_insert(error);
    child
}

/// Whether the service's database exists, by an inspection of the currently desired databases.
fn database_state(
    plan: &Plan,
    service: &ServicePlan,
    observed: &Observed,
    databases: &Result<DesiredDatabases, ConditionError>,
) -> Result<(), ConditionError> {
    let fingerprint = databases.as_ref().map_err(Clone::clone)?.fingerprint();
    let waiting = || {
        ConditionError::new(
            Reason::WaitingForDependency,
            format!("waiting for the inspection of the database server {}:{}", plan.database.host, plan.database.port),
        )
    };
    let observation =
        observed.databases.as_ref().filter(|observation| observation.desired == fingerprint).ok_or_else(waiting)?;
    observation.connections.as_ref().map_err(Clone::clone)?;
    let name = names::database(&plan.isolation_key, service.row.name);
    observation.databases.get(&name).cloned().unwrap_or_else(|| Err(waiting()))
}

fn exact<T: kube::Resource + serde::Serialize>(kind: Kind, group: Group, typed: &T) -> Object {
    Object::new(kind, group, Ownership::Exact, typed)
}
