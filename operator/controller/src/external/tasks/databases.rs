//! The inspection of a database server, and the creation and correction of databases and roles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use agora_crd::Reason;
use async_trait::async_trait;

use super::resource::{External, Inspection};
use crate::decide::correction::{Correction, Severity};
use crate::decide::desired::external::{DesiredDatabases, Fingerprint};
use crate::decide::observed::{ConditionError, DatabasesObservation};
use crate::decide::servers::{AdminDatabase, DesiredDatabase, ObservedDatabase};
use crate::external::ports::{DatabaseAdmin, DatabaseError, with_source};

pub struct Databases(pub Arc<dyn DatabaseAdmin>);

#[async_trait]
impl External for Databases {
    type Desired = DesiredDatabases;
    type Observation = DatabasesObservation;

    async fn reconcile(&self, desired: &DesiredDatabases, initial: bool) -> Inspection<DatabasesObservation> {
        let (admin, databases) = (&desired.admin, &desired.databases);
        let (mut corrections, mut missing) = (Vec::new(), BTreeSet::new());
        let started = Instant::now();
        let mut observation =
            DatabasesObservation { desired: desired.fingerprint(), connections: Ok(0), databases: BTreeMap::new() };
        match self.0.inspect(admin, databases).await {
            Err(error) => observation.connections = Err(condition_error(admin, &error)),
            Ok(server) => {
                observation.connections = Ok(server.max_connections);
                for database in databases {
                    let observed = server.databases.get(&database.name).cloned().unwrap_or_default();
                    let differs = !is_as_desired(database, &observed);
                    if !observed.exists {
                        missing.insert(database.name.clone());
                    }
                    let mut result = Ok(());
                    // Initially it runs for every database, to complete what an interrupted run may have left.
                    if initial || differs {
                        result = self.0.ensure(admin, database).await.map_err(|error| condition_error(admin, &error));
                    }
                    if differs && !initial && result.is_ok() {
                        corrections.push(correction(database, &observed));
                    }
                    observation.databases.insert(database.name.clone(), result);
                }
            }
        }
        let mut created = Vec::new();
        if initial {
            let exists = |result: &Result<(), ConditionError>| result.is_ok();
            let new = observation.databases.iter().filter(|(name, result)| missing.contains(*name) && exists(result));
            created.extend(new.map(|(name, _)| name.as_str()));
        }
        if let Some(first) = created.first() {
            let (host, port, seconds) = (&admin.host, admin.port, started.elapsed().as_secs_f32());
            let note = format!("Created the databases {} at {host}:{port} in {seconds:.1} s", created.join(", "));
            corrections.push(Correction::external("Database", first, None, Severity::Provisioned, note));
        }
        let succeeded = observation.connections.is_ok() && observation.databases.values().all(Result::is_ok);
        Inspection { observation, succeeded, corrections }
    }
}

fn is_as_desired(database: &DesiredDatabase, observed: &ObservedDatabase) -> bool {
    observed.exists && observed.login_works && observed.owner.as_ref() == Some(&database.marketplace)
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
        "Recreated database {name} empty (it was deleted on the server): its data is lost unless you restore it from a backup"
    );
    Correction::external("Database", name, None, Severity::DataLoss, note)
}

/// Reason and message for a failed call.
pub fn condition_error(admin: &AdminDatabase, error: &DatabaseError) -> ConditionError {
    let (reason, remedy) = match error {
        DatabaseError::Unreachable { .. } => {
            (Reason::DatabaseUnreachable, "check spec.database.external and that the server runs and is reachable")
        }
        DatabaseError::Untrusted { .. } => (
            Reason::DatabaseUnreachable,
            "correct the Secret that spec.database.external.tls.caSecretRef names, or the server's certificate",
        ),
        DatabaseError::AuthenticationFailed { .. } => {
            (Reason::AuthenticationFailed, "correct the Secret that spec.database.external.adminSecretRef names")
        }
        DatabaseError::IsolationConflict { .. } => (
            Reason::IsolationConflict,
            "choose another spec.isolationKey, or remove the COMMENT on the database if the other owner is gone",
        ),
        DatabaseError::RoleConflict { .. } => {
            (Reason::RoleConflict, "choose another spec.isolationKey, or drop the role")
        }
        DatabaseError::Forbidden { .. } => (Reason::Forbidden, "grant the admin login CREATEDB and CREATEROLE"),
        DatabaseError::Failed { .. } => (Reason::DatabaseUnreachable, "see the server's log"),
    };
    ConditionError::new(reason, format!("{}, at {}:{}: {remedy}", with_source(error), admin.host, admin.port))
}
