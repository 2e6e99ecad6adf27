//! Applies migrations, and lists pending ones.
//!
//! Knows sqlx's table of migrations; must not run at a service's start.

use std::collections::BTreeMap;

use agora_chassis::WatchedFile;
use agora_vocab::Secret;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection,
    migrate::{Migrate, MigrateError, Migration, Migrator},
};

use crate::{Error, config::connect_options};

/// A migration that waits longer for a lock fails, so that no statement queues behind it; the caller tries again.
const GIVE_UP_WAITING: &str = "set lock_timeout = '3s'";

/// Applies what is missing, in order, each in its own transaction, and returns how many that were. Two at once are one
/// after the other. Migrations that the database holds and this binary does not know (a newer release's) are left alone.
/// `ca`: the authorities to trust, as PEM; with them the server's certificate and name are verified.
pub async fn migrate(url: &Secret, ca: Option<&WatchedFile>, migrations: &Migrator) -> Result<usize, Error> {
    let ca = ca.map(WatchedFile::current);
    let options = connect_options(url, ca.as_ref())?.disable_statement_logging().application_name("migrate");
    let mut connection = PgConnection::connect_with(&options).await.map_err(Error::Connect)?;
    connection.lock().await.map_err(Error::List)?;
    let result = migrate_locked(&mut connection, migrations).await;
    // The lock ends with the session in any case.
    drop(connection.close().await);
    result
}

async fn migrate_locked(connection: &mut PgConnection, migrations: &Migrator) -> Result<usize, Error> {
    let table = &*migrations.table_name;
    connection.execute(GIVE_UP_WAITING).await.map_err(Error::Connect)?;
    connection.ensure_migrations_table(table).await.map_err(Error::List)?;
    let applied = connection.list_applied_migrations(table).await.map_err(Error::List)?;
    let applied: BTreeMap<i64, _> = applied.into_iter().map(|found| (found.version, found.checksum)).collect();
    let mut count = 0;
    for migration in forward(migrations) {
        match applied.get(&migration.version) {
            Some(checksum) if *checksum == migration.checksum => {}
            Some(_) => return Err(Error::Edited { version: migration.version }),
            None => {
                connection.apply(table, migration).await.map_err(|source| failed(migration, source))?;
                count += 1;
            }
        }
    }
    Ok(count)
}

/// The names of the migrations that this binary needs and the database does not hold.
pub(crate) async fn pending(connection: &mut PgConnection, migrations: &Migrator) -> Result<Vec<String>, sqlx::Error> {
    let sql = format!("select version from {} where success", migrations.table_name);
    let held: Vec<i64> = match sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await {
        Ok(held) => held,
        Err(error) if no_such_table(&error) => Vec::new(),
        Err(error) => return Err(error),
    };
    let missing = forward(migrations).filter(|migration| !held.contains(&migration.version));
    Ok(missing.map(|migration| format!("{}_{}", migration.version, migration.description.replace(' ', "_"))).collect())
}

fn forward(migrations: &Migrator) -> impl Iterator<Item = &Migration> {
    migrations.iter().filter(|migration| !migration.migration_type.is_down_migration())
}

fn failed(migration: &Migration, source: MigrateError) -> Error {
    Error::Apply { version: migration.version, description: migration.description.to_string(), source }
}

fn no_such_table(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(refusal) if refusal.code().as_deref() == Some("42P01"))
}
