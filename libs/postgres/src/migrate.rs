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

/// A statement is planned once for each connection, not at each execution: no statement of a service depends on its values
/// for a good plan, and planning one costs more than running it. A setting of the database, so that it holds behind a pooler.
const PLAN_ONCE: &str = "do $$ begin \
    execute format('alter database %I set plan_cache_mode = force_generic_plan', current_database()); end $$";

/// An empty table is left out: until autovacuum has seen rows in it, the planner shall expect them.
const ANALYZE: &str = "do $$ declare name regclass; begin
    for name in
        select c.oid from pg_class as c
        where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace and pg_relation_size(c.oid) > 0
    loop
        execute format('analyze %s', name);
    end loop;
end $$";

/// Applies what is missing, in order, each in its own transaction, and returns how many that were. Two at once are one
/// after the other. Migrations that the database holds and this binary does not know (a newer release's) are left alone.
/// `ca`: the authorities to trust, as PEM; with them the server's certificate and name are verified.
pub async fn migrate(url: &Secret, ca: Option<&WatchedFile>, migrations: &Migrator) -> Result<usize, Error> {
    let ca = ca.map(WatchedFile::current);
    let options = connect_options(url, ca.as_ref())?.disable_statement_logging().application_name("migrate");
    let mut connection = PgConnection::connect_with(&options).await.map_err(Error::Connect)?;
    connection.lock().await.map_err(Error::List)?;
    let result = migrate_locked(&mut connection, migrations).await;
    if matches!(result, Ok(applied) if applied > 0) {
        prepare_planner(&mut connection).await;
    }
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

/// Statistics for the planner, so that new tables and indexes are used before autovacuum has seen them, and the database's
/// plan cache mode. Without either the service works, only slower.
async fn prepare_planner(connection: &mut PgConnection) {
    for statement in [PLAN_ONCE, ANALYZE] {
        if let Err(error) = connection.execute(statement).await {
            tracing::warn!(%error, "could not prepare the planner; plans may be slow until autovacuum has run");
        }
    }
}

/// The names of the migrations that this binary needs and the database does not hold.
pub(crate) async fn pending(
    connection: &mut crate::Connection,
    migrations: &Migrator,
) -> Result<Vec<String>, sqlx::Error> {
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
