//! The inspection of a database server, and the creation and correction of databases and roles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use agora_crd::Reason;
use async_trait::async_trait;

use super::former::FormerServers;
use super::resource::{External, Inspection};
use crate::decide::claim;
use crate::decide::correction::{Correction, Severity};
use crate::decide::data_guard::{DataKind, DataRecord};
use crate::decide::desired::external::{DesiredDatabases, Fingerprint};
use crate::decide::observed::{ConditionError, DatabasesObservation};
use crate::decide::servers::{DesiredDatabase, ObservedDatabase, ObservedServer};
use crate::external::ports::{DatabaseAdmin, DatabaseError, with_source};

pub struct Databases {
    admin: Arc<dyn DatabaseAdmin>,
    former: FormerServers,
}

#[async_trait]
impl External for Databases {
    type Desired = DesiredDatabases;
    type Observation = DatabasesObservation;

    fn server(desired: &DesiredDatabases) -> Option<String> {
        Some(desired.admin.identity())
    }

    async fn reconcile(&self, desired: &DesiredDatabases, initial: bool) -> Inspection<DatabasesObservation> {
        let (mut corrections, started) = (Vec::new(), Instant::now());
        let mut awaited = false;
        let fingerprint = desired.fingerprint();
        let mut observation = DatabasesObservation { desired: fingerprint, ..DatabasesObservation::default() };
        match self.inspect(desired).await {
            Err(error) => observation.connections = Err(error),
            Ok(server) => {
                observation.connections = Ok(server.max_connections - server.reserved_by_others);
                for database in &desired.databases {
                    let observed = server.databases.get(&database.name).cloned().unwrap_or_default();
                    let (result, correction) = self.correct(desired, &server, database, &observed, initial).await;
                    observation.databases.insert(database.name.clone(), result);
                    corrections.extend(correction);
                }
                if initial {
                    corrections.extend(provisioned(desired, &observation.databases, &server, started));
                }
                observation.record = self.record(desired, &observation.databases, &server).await;
                let usable = observation.databases.values().all(Result::is_ok);
                if let Some(record) = observation.record.as_mut().filter(|_| usable) {
                    let release = self.former.release(desired, &record.former, &server).await;
                    record.former = release.left;
                    awaited = release.awaited;
                    corrections.extend(release.corrections);
                }
            }
        }
        let errors = observation.databases.values().filter_map(|result| result.as_ref().err());
        let succeeded = observation.connections.as_ref().err().into_iter().chain(errors).all(is_a_loss);
        Inspection { observation, succeeded, awaited, corrections }
    }

    fn overdue(&self, desired: &DesiredDatabases, seconds: u64) -> DatabasesObservation {
        let (host, port) = (&desired.admin.host, desired.admin.port);
        let message = format!(
            "the database server {host}:{port} did not answer within {seconds} s: check the server and the network"
        );
        let connections = Err(ConditionError::new(Reason::DatabaseUnreachable, message));
        DatabasesObservation { desired: desired.fingerprint(), connections, ..DatabasesObservation::default() }
    }
}

/// The databases that were created for the spec, except lost ones, whose creation is reported as a loss.
fn provisioned(
    desired: &DesiredDatabases,
    results: &BTreeMap<String, Result<(), ConditionError>>,
    before: &ObservedServer,
    started: Instant,
) -> Option<Correction> {
    let (address, identifier) = (desired.address(), before.system_identifier.as_deref());
    let is_new = |name: &str| {
        let observed = before.databases.get(name).cloned().unwrap_or_default();
        !observed.exists && !desired.guard.is_lost(name, &address, identifier, observed.was_created)
    };
    let created = results.iter().filter(|(name, result)| result.is_ok() && is_new(name));
    let created: Vec<&str> = created.map(|(name, _)| name.as_str()).collect();
    let (first, seconds) = (created.first()?, started.elapsed().as_secs_f32());
    let note = format!("Created the databases {} at {address} in {seconds:.1} s", created.join(", "));
    Some(Correction::external("Database", first, None, Severity::Provisioned, note))
}

/// Only a user can correct it: it is not retried with backoff.
fn is_a_loss(error: &ConditionError) -> bool {
    matches!(error.reason, Reason::DataLost | Reason::DataServerChanged)
}

impl Databases {
    pub fn new(admin: Arc<dyn DatabaseAdmin>) -> Self {
        Self { former: FormerServers::new(admin.clone()), admin }
    }

    /// Fails also if the server is another one than before.
    async fn inspect(&self, desired: &DesiredDatabases) -> Result<ObservedServer, ConditionError> {
        let inspected = self.admin.inspect(&desired.admin, &desired.databases).await;
        let server = inspected.map_err(|error| condition_error(desired, &error))?;
        let identifier = server.system_identifier.as_deref();
        desired.guard.check_server(DataKind::Database, &desired.address(), identifier)?;
        Ok(server)
    }

    /// Creates or corrects one database, except a lost one. Initially it runs for every database, to complete what an
    /// interrupted run may have left.
    async fn correct(
        &self,
        desired: &DesiredDatabases,
        server: &ObservedServer,
        database: &DesiredDatabase,
        observed: &ObservedDatabase,
        initial: bool,
    ) -> (Result<(), ConditionError>, Option<Correction>) {
        let (name, address, guard) = (&database.name, desired.address(), &desired.guard);
        let identifier = server.system_identifier.as_deref();
        let lost = !observed.exists && guard.is_lost(name, &address, identifier, observed.was_created);
        if lost && let Err(error) = guard.check_loss(DataKind::Database, name, &address) {
            return (Err(error), None);
        }
        let differs = !is_as_desired(database, observed);
        if !initial && !differs {
            return (Ok(()), None);
        }
        match self.admin.ensure(&desired.admin, database).await {
            Err(error) => (Err(condition_error(desired, &error)), None),
            Ok(()) if lost || (differs && !initial) => (Ok(()), Some(correction(database, observed))),
            Ok(()) => (Ok(()), None),
        }
    }

    /// The databases that exist now. They are inspected again if one was created.
    async fn record(
        &self,
        desired: &DesiredDatabases,
        results: &BTreeMap<String, Result<(), ConditionError>>,
        before: &ObservedServer,
    ) -> Option<DataRecord> {
        let usable = |name: &String| results.get(name).is_some_and(Result::is_ok);
        let created = before.databases.iter().any(|(name, before)| !before.exists && usable(name));
        let again = if created { Some(self.inspect(desired).await.ok()?) } else { None };
        let server = again.as_ref().unwrap_or(before);
        let existing = server.databases.iter().filter(|(name, observed)| observed.exists && usable(name));
        let existing = existing.map(|(name, observed)| (name.clone(), observed.oid)).collect();
        Some(desired.guard.next(&desired.address(), server.system_identifier.as_deref(), existing))
    }
}

fn is_as_desired(database: &DesiredDatabase, observed: &ObservedDatabase) -> bool {
    observed.exists && observed.login_works && observed.owner == Some(database.claim.text())
}

fn correction(database: &DesiredDatabase, observed: &ObservedDatabase) -> Correction {
    let name = &database.name;
    if observed.exists {
        let note = format!(
            "Reverted the roles and rights of database {name} (changed on the server): the operator manages them, do not \
             change them by hand"
        );
        return Correction::external("Database", name, Some("roles"), Severity::Reverted, note);
    }
    let note = format!(
        "Recreated database {name} empty (it was deleted on the server, and an annotation accepts the loss): its data is lost"
    );
    Correction::external("Database", name, None, Severity::DataLoss, note)
}

/// Reason and message for a failed call.
pub fn condition_error(desired: &DesiredDatabases, error: &DatabaseError) -> ConditionError {
    let take_over = match error {
        DatabaseError::IsolationConflict { database, owner } => take_over(desired, database, owner),
        _ => String::new(),
    };
    let (reason, remedy) = match error {
        DatabaseError::Unreachable { .. } => {
            (Reason::DatabaseUnreachable, "check spec.database.external and that the server runs and is reachable")
        }
        DatabaseError::Untrusted { .. } => (
            Reason::DatabaseUnreachable,
            "correct the Secret that spec.database.external.tls.caSecretRef names, or the server's certificate",
        ),
        DatabaseError::ClearTextPassword { .. } => (
            Reason::AuthenticationFailed,
            "set the method scram-sha-256 in the server's pg_hba.conf, or use TLS (spec.database.external.tls)",
        ),
        DatabaseError::AuthenticationFailed { .. } => {
            (Reason::AuthenticationFailed, "correct the Secret that spec.database.external.adminSecretRef names")
        }
        DatabaseError::IsolationConflict { .. } => (Reason::IsolationConflict, take_over.as_str()),
        DatabaseError::RoleConflict { .. } => {
            (Reason::RoleConflict, "choose another spec.isolationKey, or drop the role")
        }
        DatabaseError::Forbidden { .. } => (Reason::Forbidden, "grant the admin login CREATEDB and CREATEROLE"),
        DatabaseError::Failed { .. } => (Reason::DatabaseUnreachable, "see the server's log"),
    };
    ConditionError::new(reason, format!("{}, at {}: {remedy}", with_source(error), desired.address()))
}

/// How a user takes over a database that has another owner.
fn take_over(desired: &DesiredDatabases, name: &str, owner: &str) -> String {
    if let Some(hash) = claim::owner_hash(owner) {
        let command = desired.guard.accept_owner(&hash);
        return format!(
            "choose another spec.isolationKey, or, if that owner is gone for good, take over its data: {command}"
        );
    }
    let admin = &desired.admin.user;
    let claim = desired.databases.iter().find(|database| database.name == name).map(|database| database.claim.text());
    format!(
        "choose another spec.isolationKey, or, if the database holds the data of this Marketplace, for example after a restore, \
         execute as a superuser: alter database \"{name}\" owner to \"{admin}\"; comment on database \"{name}\" is '{}'",
        claim.unwrap_or_default()
    )
}
