//! The desired state, as data: the children to apply, those that wait for a gate, and the external resources.
//!
//! Pure: the same plan and the same observed state give the same bytes. One file per kind.

mod autoscaler;
mod budget;
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

pub use labels::{MANAGED_BY, SELECTOR, instance_selector, owner_name};
pub use migration_job::{Migration, migration};

use crate::decide::object::{Group, Object, Ownership};
use crate::decide::observed::{ConditionError, Observed};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::{Kind, ObjectKey};
use crate::names;
use external::{DesiredDatabases, DesiredRedis, DesiredTopics, Fingerprint};

#[derive(Clone, Debug)]
pub struct Desired {
    /// The children to apply, in this order.
    pub objects: Vec<Object>,
    /// Children that wait for a gate: existing ones are neither changed nor deleted.
    pub held: Vec<ObjectKey>,
    /// Failed migration Jobs to delete, so that they run again.
    pub expired: Vec<ObjectKey>,
    /// Why services wait, by service.
    pub waiting: BTreeMap<&'static str, ConditionError>,
    pub databases: Result<DesiredDatabases, ConditionError>,
    pub topics: Result<DesiredTopics, ConditionError>,
    pub redis: Result<DesiredRedis, ConditionError>,
}

pub fn desired(plan: &Plan, observed: &Observed) -> Desired {
    let databases = external::databases(plan, observed);
    let mut desired = Desired {
        objects: shared(plan, observed),
        held: Vec::new(),
        expired: Vec::new(),
        waiting: BTreeMap::new(),
        topics: isolation_key_is_free(plan, observed).and_then(|()| external::topics(plan, observed)),
        redis: external::redis(plan, observed),
        databases,
    };
    for service in &plan.services {
        of_service(plan, service, observed, &mut desired);
    }
    desired.objects.sort_by(|one, other| one.key.cmp(&other.key));
    desired
}

/// Fails if another Marketplace uses the isolation key. Topics have no mark of their owner, so the databases' mark is used.
/// If the database server is unreachable, the topics do not wait for it.
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
fn shared(plan: &Plan, observed: &Observed) -> Vec<Object> {
    let mut objects = vec![
        config_map::jwks(plan, &observed.credentials),
        secret::internal(plan, &observed.credentials),
        secret::signing(plan, &observed.credentials),
        secret::admin(plan, &observed.credentials),
    ];
    objects.extend(network_policy::shared(plan));
    if let Some(ingress) = &plan.exposure.ingress {
        let tls_usable = ingress.tls_secret.as_ref().map(|name| observed.referenced_secret(name).is_ok());
        if tls_usable != Some(false) {
            objects.push(ingress::ingress(plan, ingress));
        }
    }
    objects
}

/// The children of one service. Its pods wait for the database, the migration and the referenced Secrets.
fn of_service(plan: &Plan, service: &ServicePlan, observed: &Observed, desired: &mut Desired) {
    desired.objects.push(service_account::service_account(plan, service));
    desired.objects.push(service::service(plan, service));
    desired.objects.extend(network_policy::of_service(plan, service));
    if service.row.database {
        desired.objects.extend(secret::database(plan, service, &observed.credentials));
    }
    let mut gate = Gate::default();
    match environment::environment(plan, service, observed) {
        Ok(environment) => {
            let config = config_map::settings(plan, service, &environment);
            gate.workloads(plan, service, &environment);
            gate.open.push(config);
        }
        Err(error) => {
            gate.held.push(ObjectKey::new(Kind::ConfigMap, plan.child(service.row.name)));
            gate.close(plan, service, error);
        }
    }
    if service.row.database {
        gate.migrate(plan, service, observed, &desired.databases);
    }
    gate.into(service, desired);
}

/// Divides the children of a service into those that may be applied and those that wait.
#[derive(Default)]
struct Gate {
    open: Vec<Object>,
    workloads: Vec<Object>,
    held: Vec<ObjectKey>,
    expired: Vec<ObjectKey>,
    error: Option<ConditionError>,
}

impl Gate {
    fn workloads(&mut self, plan: &Plan, service: &ServicePlan, environment: &environment::Environment) {
        self.workloads.push(deployment::deployment(plan, service, environment));
        if service.replicas.automatic() {
            self.workloads.push(autoscaler::autoscaler(plan, service));
        }
        if let Some(max_unavailable) = plan.max_unavailable {
            self.workloads.push(budget::budget(plan, service, max_unavailable));
        }
    }

    /// The pods cannot be specified: existing workloads stay unchanged.
    fn close(&mut self, plan: &Plan, service: &ServicePlan, error: ConditionError) {
        let name = plan.child(service.row.name);
        let kinds = [Kind::Deployment, Kind::HorizontalPodAutoscaler, Kind::PodDisruptionBudget];
        self.held.extend(kinds.map(|kind| ObjectKey::new(kind, name.clone())));
        self.error.get_or_insert(error);
    }

    /// Adds the migration Job. The workloads wait until it is complete.
    fn migrate(
        &mut self,
        plan: &Plan,
        service: &ServicePlan,
        observed: &Observed,
        databases: &Result<DesiredDatabases, ConditionError>,
    ) {
        let job = migration_job::migration_job(plan, service);
        let database = database_state(plan, service, observed, databases);
        let state = migration(plan, service, observed);
        match (&state, &database) {
            (Migration::Expired, Ok(())) => self.expired.push(job.key),
            (Migration::Absent | Migration::Expired, Err(_)) => self.held.push(job.key),
            _ => self.open.push(job),
        }
        let error = match (state, database) {
            (Migration::Complete, _) => return,
            (Migration::Absent, Err(error)) => error,
            (state, _) => state.condition_error(plan, service),
        };
        self.held.extend(self.workloads.drain(..).map(|object| object.key));
        self.error.get_or_insert(error);
    }

    fn into(self, service: &ServicePlan, desired: &mut Desired) {
        desired.objects.extend(self.open);
        desired.objects.extend(self.workloads);
        desired.held.extend(self.held);
        desired.expired.extend(self.expired);
        if let Some(error) = self.error {
            desired.waiting.insert(service.row.name, error);
        }
    }
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
