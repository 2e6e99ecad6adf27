//! Everything that should exist for a plan, as data: what to apply, what waits for a gate, what lies outside the cluster.
//!
//! Pure: the same plan and the same observation give the same bytes. One file per kind.

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

use crate::decide::object::{Group, Object, Write};
use crate::decide::observed::{Observed, Trouble};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::{Kind, ObjectKey};
use crate::names;
use external::{DatabasesWanted, Fingerprint, RedisWanted, TopicsWanted};

/// Everything that should exist.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Children, in the order in which they are applied.
    pub objects: Vec<Object>,
    /// Children that wait for a gate: neither applied nor pruned.
    pub held: Vec<ObjectKey>,
    /// Failed migrations whose time has come to be tried again.
    pub expired: Vec<ObjectKey>,
    /// Why services wait, by service.
    pub waiting: BTreeMap<&'static str, Trouble>,
    /// Databases, or why they cannot be asked for.
    pub databases: Result<DatabasesWanted, Trouble>,
    /// Topics, or why they cannot be asked for.
    pub topics: Result<TopicsWanted, Trouble>,
    /// Redis, or why it cannot be asked.
    pub redis: Result<RedisWanted, Trouble>,
}

/// Everything that should exist.
pub fn desired(plan: &Plan, observed: &Observed) -> Desired {
    let databases = external::databases(plan, observed);
    let mut desired = Desired {
        objects: shared(plan, observed),
        held: Vec::new(),
        expired: Vec::new(),
        waiting: BTreeMap::new(),
        topics: claimed(plan, observed).and_then(|()| external::topics(plan, observed)),
        redis: external::redis(plan, observed),
        databases,
    };
    for service in &plan.services {
        of_service(plan, service, observed, &mut desired);
    }
    desired.objects.sort_by(|one, other| one.key.cmp(&other.key));
    desired
}

/// Whether the isolation key may be ours: topics carry no mark of their owner, so the databases' one counts for them
/// too. A server that is away says nothing, and then the broker is not kept waiting.
fn claimed(plan: &Plan, observed: &Observed) -> Result<(), Trouble> {
    let Some(outcome) = &observed.databases else {
        let message = format!("whether isolation key {} is free is being asked", plan.isolation_key);
        return Err(Trouble::new(Reason::WaitingForDependency, message));
    };
    let mut troubles = outcome.databases.values().filter_map(|result| result.as_ref().err());
    troubles.find(|trouble| trouble.reason == Reason::IsolationConflict).map_or(Ok(()), |trouble| Err(trouble.clone()))
}

/// What the services have in common.
fn shared(plan: &Plan, observed: &Observed) -> Vec<Object> {
    let mut objects = vec![
        config_map::jwks(plan, &observed.credentials),
        secret::internal(plan, &observed.credentials),
        secret::signing(plan, &observed.credentials),
        secret::admin(plan, &observed.credentials),
    ];
    objects.extend(network_policy::shared(plan));
    if let Some(ingress) = &plan.exposure.ingress {
        let tls_usable = ingress.tls_secret.as_ref().map(|name| observed.named(name).is_ok());
        if tls_usable != Some(false) {
            objects.push(ingress::ingress(plan, ingress));
        }
    }
    objects
}

/// What one service has: some of it at once, the pods when nothing stands in the way.
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
        Err(trouble) => {
            gate.held.push(ObjectKey::new(Kind::ConfigMap, plan.child(service.row.name)));
            gate.close(plan, service, trouble);
        }
    }
    if service.row.database {
        gate.migrate(plan, service, observed, &desired.databases);
    }
    gate.into(service, desired);
}

/// Splits a service's children into those that may be applied and those that wait.
#[derive(Default)]
struct Gate {
    open: Vec<Object>,
    workloads: Vec<Object>,
    held: Vec<ObjectKey>,
    expired: Vec<ObjectKey>,
    trouble: Option<Trouble>,
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

    /// Nothing of the pods can be built: what there is stays.
    fn close(&mut self, plan: &Plan, service: &ServicePlan, trouble: Trouble) {
        let name = plan.child(service.row.name);
        let kinds = [Kind::Deployment, Kind::HorizontalPodAutoscaler, Kind::PodDisruptionBudget];
        self.held.extend(kinds.map(|kind| ObjectKey::new(kind, name.clone())));
        self.trouble.get_or_insert(trouble);
    }

    /// The Job of the migration, and what it holds back.
    fn migrate(
        &mut self,
        plan: &Plan,
        service: &ServicePlan,
        observed: &Observed,
        databases: &Result<DatabasesWanted, Trouble>,
    ) {
        let job = migration_job::migration_job(plan, service);
        let database = database_state(plan, service, observed, databases);
        let state = migration(plan, service, observed);
        match (&state, &database) {
            (Migration::Expired, Ok(())) => self.expired.push(job.key),
            (Migration::Absent | Migration::Expired, Err(_)) => self.held.push(job.key),
            _ => self.open.push(job),
        }
        let trouble = match (state, database) {
            (Migration::Complete, _) => return,
            (Migration::Absent, Err(trouble)) => trouble,
            (state, _) => state.trouble(plan, service),
        };
        self.held.extend(self.workloads.drain(..).map(|object| object.key));
        self.trouble.get_or_insert(trouble);
    }

    fn into(self, service: &ServicePlan, desired: &mut Desired) {
        desired.objects.extend(self.open);
        desired.objects.extend(self.workloads);
        desired.held.extend(self.held);
        desired.expired.extend(self.expired);
        if let Some(trouble) = self.trouble {
            desired.waiting.insert(service.row.name, trouble);
        }
    }
}

/// Whether the service's database is there, by the last look at what is wanted now.
fn database_state(
    plan: &Plan,
    service: &ServicePlan,
    observed: &Observed,
    databases: &Result<DatabasesWanted, Trouble>,
) -> Result<(), Trouble> {
    let wanted = databases.as_ref().map_err(Clone::clone)?.fingerprint();
    let waiting = || {
        Trouble::new(
            Reason::WaitingForDependency,
            format!("the database server {}:{} is being asked", plan.database.host, plan.database.port),
        )
    };
    let outcome = observed.databases.as_ref().filter(|outcome| outcome.wanted == wanted).ok_or_else(waiting)?;
    outcome.connections.as_ref().map_err(Clone::clone)?;
    let name = names::database(&plan.isolation_key, service.row.name);
    outcome.databases.get(&name).cloned().unwrap_or_else(|| Err(waiting()))
}

/// An object that is written whenever something differs.
fn applied<T: kube::Resource + serde::Serialize>(kind: Kind, group: Group, typed: &T) -> Object {
    Object::new(kind, group, Write::Apply, typed)
}
