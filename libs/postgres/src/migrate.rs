//! Applies migrations, and lists pending ones.
//!
//! Knows sqlx's table of migrations; must not run at a service's start.

use std::{collections::BTreeMap, io, time::Duration};

use agora_chassis::WatchedFile;
use agora_vocab::Secret;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection,
    migrate::{Migrate, MigrateError, Migration, Migrator},
    postgres::PgConnectOptions,
};
use tokio::time::{sleep, timeout};

use crate::{Error, clear_text::connect_safely, config::connect_options};

/// A migration that waits longer for a lock fails, so that no statement queues behind it; the caller tries again.
const GIVE_UP_WAITING: &str = "set lock_timeout = '3s'";

/// The server ends a session whose client is gone, and with it the lock of the migrations, within half a minute.
const KEEP_ALIVE: &str = "set tcp_keepalives_idle = 15; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3";

/// The settings of the login may have a limit of time: it is for the statements of the service.
const NO_TIME_LIMIT: &str = "set statement_timeout = 0";

const WATCH: Watch = Watch { interval: Duration::from_secs(5), answer_max: Duration::from_secs(10), unanswered_max: 3 };

/// How the session of a migration is watched. Its statements have no limit of time: an index of a large table takes hours. A
/// second connection finds out whether the server still works on them.
#[derive(Clone, Copy)]
struct Watch {
    /// Between two questions.
    interval: Duration,
    /// Longest time until the server answers one.
    answer_max: Duration,
    /// Unanswered ones in a row after which the server is given up.
    unanswered_max: u32,
}

/// A statement is planned once for each connection, not at each execution: no statement of a service depends on its values
/// for a good plan, and planning one costs more than running it. A setting of the database, so that it holds behind a pooler
/// (docs/adr/0009).
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
/// `ca`: the authorities to trust, as PEM; with them the server's certificate and name are verified. A server that does not
/// answer any more is an error within a minute; what it did not commit is rolled back.
pub async fn migrate(url: &Secret, ca: Option<&WatchedFile>, migrations: &Migrator) -> Result<usize, Error> {
    let ca = ca.map(WatchedFile::current);
    let options = connect_options(url, ca.as_ref())?.disable_statement_logging().application_name("migrate");
    let (mut connection, pid) = open(&options, WATCH).await.map_err(Error::Connect)?;
    let result = tokio::select! {
        result = run(&mut connection, migrations) => result,
        error = until_lost(&options, pid, WATCH) => return Err(Error::Connect(error)),
    };
    // The lock ends with the session in any case.
    drop(timeout(WATCH.answer_max, connection.close()).await);
    result
}

/// A connection, and the number of its session.
async fn open(options: &PgConnectOptions, watch: Watch) -> Result<(PgConnection, i32), sqlx::Error> {
    let opening = async {
        let mut connection = connect_safely(options).await?;
        connection.execute(KEEP_ALIVE).await?;
        connection.execute(NO_TIME_LIMIT).await?;
        let pid = sqlx::query_scalar("select pg_backend_pid()").persistent(false).fetch_one(&mut connection).await?;
        Ok::<_, sqlx::Error>((connection, pid))
    };
    timeout(watch.answer_max, opening).await.unwrap_or_else(|_| Err(silent()))
}

/// Ends with the error when the server does not answer any more, or has ended the session.
async fn until_lost(options: &PgConnectOptions, pid: i32, watch: Watch) -> sqlx::Error {
    let mut unanswered = 0;
    while unanswered < watch.unanswered_max {
        sleep(watch.interval).await;
        match timeout(watch.answer_max, session_exists(options, pid)).await {
            Ok(Ok(false)) => {
                return sqlx::Error::Io(io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    "the server ended the session",
                ));
            }
            // A refusal, as of one connection too many, is an answer too.
            Ok(Ok(true) | Err(sqlx::Error::Database(_))) => unanswered = 0,
            Ok(Err(_)) | Err(_) => unanswered += 1,
        }
    }
    silent()
}

async fn session_exists(options: &PgConnectOptions, pid: i32) -> Result<bool, sqlx::Error> {
    let mut connection = connect_safely(options).await?;
    let exists = sqlx::query_scalar("select exists (select from pg_stat_activity where pid = $1)").bind(pid);
    let exists = exists.persistent(false).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(exists)
}

fn silent() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database does not answer"))
}

async fn run(connection: &mut PgConnection, migrations: &Migrator) -> Result<usize, Error> {
    connection.lock().await.map_err(Error::List)?;
    let result = migrate_locked(connection, migrations).await;
    if matches!(result, Ok(applied) if applied > 0) {
        prepare_planner(connection).await;
    }
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

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgSslMode;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_migration_at_a_server_that_does_not_answer_any_more_ends() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = server.local_addr().expect("an address").port();
        let options = PgConnectOptions::new().host("127.0.0.1").port(port).ssl_mode(PgSslMode::Disable);
        let watch =
            Watch { interval: Duration::from_millis(10), answer_max: Duration::from_millis(50), unanswered_max: 3 };
        let error = open(&options, watch).await.expect_err("it accepts connections and does not answer");
        assert!(error.to_string().contains("does not answer"), "{error}");
        let lost = timeout(Duration::from_secs(20), until_lost(&options, 1, watch)).await.expect("it ends");
        assert!(lost.to_string().contains("does not answer"), "{lost}");
        let mut asked = 0;
        while let Ok(Ok(_)) = timeout(Duration::from_millis(10), server.accept()).await {
            asked += 1;
        }
        assert_eq!(asked, 1 + watch.unanswered_max);
    }
}
