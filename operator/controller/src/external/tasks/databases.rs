//! One look at a database server: what is missing or altered is put right.

use std::collections::BTreeMap;
use std::error::Error as _;

use agora_crd::Reason;

use super::Look;
use crate::decide::correction::Correction;
use crate::decide::desired::external::{DatabasesWanted, Fingerprint};
use crate::decide::observed::{DatabasesOutcome, Trouble};
use crate::decide::servers::{AdminDatabase, DatabaseSeen, DatabaseWanted};
use crate::external::ports::{DatabaseAdmin, DatabaseError};

/// `first`: the logins' passwords are set too, since nobody can read what they are.
pub(super) async fn tend(admin: &dyn DatabaseAdmin, wanted: &DatabasesWanted, first: bool) -> Look<DatabasesOutcome> {
    let mut outcome = DatabasesOutcome { wanted: wanted.fingerprint(), connections: Ok(0), databases: BTreeMap::new() };
    let mut corrected = Vec::new();
    match admin.inspect(&wanted.admin, &wanted.databases).await {
        Err(error) => outcome.connections = Err(trouble(&wanted.admin, &error)),
        Ok(facts) => {
            outcome.connections = Ok(facts.max_connections);
            for database in &wanted.databases {
                let seen = facts.databases.get(&database.name).cloned().unwrap_or_default();
                let needed = first || !is_well(database, &seen);
                if needed && !first {
                    corrected.push(correction(database, &seen));
                }
                let result = if needed { admin.ensure(&wanted.admin, database).await } else { Ok(()) };
                let result = result.map_err(|error| trouble(&wanted.admin, &error));
                outcome.databases.insert(database.name.clone(), result);
            }
        }
    }
    let good = outcome.connections.is_ok() && outcome.databases.values().all(Result::is_ok);
    Look { outcome, good, corrected }
}

fn is_well(database: &DatabaseWanted, seen: &DatabaseSeen) -> bool {
    seen.exists && seen.login_works && seen.owner.as_ref() == Some(&database.marketplace)
}

fn correction(database: &DatabaseWanted, seen: &DatabaseSeen) -> Correction {
    let (part, note) = if seen.exists {
        (Some("roles"), format!("the roles or the owner of database {} had been altered", database.name))
    } else {
        (None, format!("database {} was gone and was made anew, empty", database.name))
    };
    Correction::outside("Database", &database.name, part, note)
}

/// The condition's words for a failure.
pub fn trouble(admin: &AdminDatabase, error: &DatabaseError) -> Trouble {
    let (reason, remedy) = match error {
        DatabaseError::Unreachable { .. } => (Reason::DatabaseUnreachable, "see spec.database.external and the server"),
        DatabaseError::Untrusted { .. } => (
            Reason::DatabaseUnreachable,
            "correct the Secret that spec.database.external.tls.caSecretRef names, or the server's certificate",
        ),
        DatabaseError::AuthenticationFailed { .. } => {
            (Reason::AuthenticationFailed, "correct the Secret that spec.database.external.adminSecretRef names")
        }
        DatabaseError::IsolationConflict { .. } => (
            Reason::IsolationConflict,
            "choose another spec.isolationKey, or remove the other's COMMENT on the database",
        ),
        DatabaseError::RoleConflict { .. } => {
            (Reason::RoleConflict, "choose another spec.isolationKey, or drop the role")
        }
        DatabaseError::Forbidden { .. } => (Reason::Forbidden, "give the admin login CREATEDB and CREATEROLE"),
        DatabaseError::Failed { .. } => (Reason::DatabaseUnreachable, "see the server's log"),
    };
    let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
    Trouble::new(reason, format!("{error}{cause}, at {}:{}: {remedy}", admin.host, admin.port))
}
