//! `DatabaseAdmin` for PostgreSQL 15 and later, through an admin login that is no superuser.
//!
//! Opens one session per call, because inspections are a minute apart; inspections of one server that are due together share
//! one. `statements` decides which SQL is needed, and `session` executes it. Passwords are sent as SCRAM verifiers only.

mod quote;
mod reservations;
mod session;
mod settings;
mod statements;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
};

use async_trait::async_trait;
use aws_lc_rs::pbkdf2;

use crate::decide::servers::{AdminDatabase, DesiredDatabase, ObservedDatabase, ObservedServer};
use crate::external::batches::Batches;
use crate::external::ports::{DatabaseAdmin, DatabaseError};
use reservations::{Reservation, reserved_by_others};
use session::Session;
use statements::{CatalogRow, Password};

/// As many as a SCRAM verifier has, so that the fingerprint reveals no more about the password than a verifier does.
const FINGERPRINT_ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).unwrap();
const FINGERPRINT_BYTES: usize = 8;

#[derive(Debug, Default)]
pub struct PgDatabases {
    looks: Batches<Vec<DesiredDatabase>, Result<Arc<Look>, DatabaseError>>,
}

/// What one session read of a server, for the desired databases of all Marketplaces that asked together.
#[derive(Debug)]
struct Look {
    rows: Vec<CatalogRow>,
    reservations: Vec<Reservation>,
    system_identifier: Option<String>,
}

#[async_trait]
impl DatabaseAdmin for PgDatabases {
    async fn inspect(
        &self,
        admin: &AdminDatabase,
        databases: &[DesiredDatabase],
    ) -> Result<ObservedServer, DatabaseError> {
        let owned = admin.clone();
        let looked = self.looks.answer(admin.identity(), databases.to_vec(), |all| async move {
            look(&owned, &all.concat()).await.map(Arc::new)
        });
        Ok(observed_server(&*looked.await?, databases))
    }

    async fn ensure(&self, admin: &AdminDatabase, database: &DesiredDatabase) -> Result<(), DatabaseError> {
        let mut session = Session::open(admin).await?;
        let found = session.lock_and_inspect(database).await?;
        let steps = statements::ensure(&found, database, &password(database))?;
        session.execute(&steps).await?;
        session.close().await;
        Ok(())
    }

    async fn drop(&self, admin: &AdminDatabase, database: &DesiredDatabase) -> Result<(), DatabaseError> {
        let mut session = Session::open(admin).await?;
        let found = session.lock_and_inspect(database).await?;
        session.execute(&statements::drop(&found, database, &fingerprint(database))).await?;
        session.close().await;
        Ok(())
    }

    async fn lock(&self, admin: &AdminDatabase, database: &DesiredDatabase) -> Result<(), DatabaseError> {
        let mut session = Session::open(admin).await?;
        let found = session.lock_and_inspect(database).await?;
        session.execute(&statements::lock(&found, database, &fingerprint(database))).await?;
        session.close().await;
        Ok(())
    }
}

async fn look(admin: &AdminDatabase, databases: &[DesiredDatabase]) -> Result<Look, DatabaseError> {
    let by_name: BTreeMap<&String, &DesiredDatabase> = databases.iter().map(|one| (&one.name, one)).collect();
    let logins: BTreeSet<&String> = databases.iter().map(|database| &database.login).collect();
    let mut session = Session::open(admin).await?;
    let rows = session.inspect(&by_name.into_values().collect::<Vec<_>>()).await?;
    let system_identifier = session.system_identifier().await?;
    let reservations = session.reservations(logins.into_iter().cloned().collect()).await?;
    session.close().await;
    Ok(Look { rows, reservations, system_identifier })
}

fn observed_server(look: &Look, desired: &[DesiredDatabase]) -> ObservedServer {
    let by_name = |name: &String| look.rows.iter().find(|row| row.name.as_ref() == Some(name));
    let databases = desired
        .iter()
        .map(|database| {
            let observed = by_name(&database.name).map_or_else(ObservedDatabase::default, |found| {
                statements::observed(found, database, &fingerprint(database))
            });
            (database.name.clone(), observed)
        })
        .collect();
    let (version, max_connections) = look.rows.first().map_or((0, 0), |row| (row.version, row.max_connections));
    let own: Vec<&str> = desired.iter().map(|database| database.login.as_str()).collect();
    ObservedServer {
        version: version.unsigned_abs(),
        max_connections,
        reserved_by_others: reserved_by_others(&look.reservations, &own),
        system_identifier: look.system_identifier.clone(),
        databases,
    }
}

fn password(database: &DesiredDatabase) -> Password {
    let verifier = postgres_protocol::password::scram_sha_256(database.password.expose().as_bytes());
    Password { verifier, fingerprint: fingerprint(database) }
}

/// Stored in the login's COMMENT to identify the password that was set, because only a superuser can read the verifier.
fn fingerprint(database: &DesiredDatabase) -> String {
    let mut bytes = [0; FINGERPRINT_BYTES];
    let (salt, secret) = (database.login.as_bytes(), database.password.expose().as_bytes());
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, FINGERPRINT_ITERATIONS, salt, secret, &mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

#[cfg(all(test, feature = "db-tests"))]
mod tests;
