//! `DatabaseAdmin` for PostgreSQL 15 and later, through an admin login that is no superuser.
//!
//! Opens one connection per call, because inspections are a minute apart. `statements` decides which SQL is needed; this
//! file executes it and maps the errors. Passwords are sent as SCRAM verifiers only.

mod quote;
mod statements;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_lc_rs::pbkdf2;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::decide::servers::{AdminDatabase, DesiredDatabase, ObservedDatabase, ObservedServer, Tls};
use crate::external::ports::{BoxError, DatabaseAdmin, DatabaseError};
use statements::{CatalogRow, INSPECT, Password, RESERVED, Statement, Step};

/// The database that the admin connects to: every server has it, and no Marketplace owns it.
const MAINTENANCE_DATABASE: &str = "postgres";
/// Sessions of the operator at one server at a time.
const SESSIONS_MAX: usize = 8;
const CONNECT_SECONDS_MAX: u64 = 5;
/// Creating or dropping a database may wait for a checkpoint.
const STATEMENT_SECONDS_MAX: u32 = 60;
/// Another operator may hold the lock of the same database.
const LOCK_SECONDS_MAX: u32 = 15;
const END_SESSION_MS_MAX: i64 = 5_000;
const END_SESSION_ATTEMPTS_MAX: u32 = 20;
/// A login that began before the role was locked may become a session after it.
const END_SESSION_DELAY: Duration = Duration::from_millis(100);
/// As many as a SCRAM verifier has, so that the fingerprint reveals no more about the password than a verifier does.
const FINGERPRINT_ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).unwrap();
const FINGERPRINT_BYTES: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
pub struct PgDatabases;

#[async_trait]
impl DatabaseAdmin for PgDatabases {
    async fn inspect(
        &self,
        admin: &AdminDatabase,
        databases: &[DesiredDatabase],
    ) -> Result<ObservedServer, DatabaseError> {
        let mut session = Session::open(admin).await?;
        let rows = session.inspect(&databases.iter().collect::<Vec<_>>()).await?;
        let system_identifier = session.system_identifier().await?;
        let reserved_by_others = session.reserved_by_others(databases).await?;
        session.close().await;
        Ok(ObservedServer { reserved_by_others, system_identifier, ..observed_server(&rows, databases) })
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

/// Permits for sessions, by server. With many Marketplaces, their tasks would otherwise open all at once after a start.
static SESSIONS: LazyLock<Mutex<BTreeMap<String, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);

async fn permit(admin: &AdminDatabase) -> Option<OwnedSemaphorePermit> {
    let permits = {
        let mut servers = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
        let server = servers.entry(format!("{}:{}", admin.host, admin.port));
        server.or_insert_with(|| Arc::new(Semaphore::new(SESSIONS_MAX))).clone()
    };
    // It is never closed.
    permits.acquire_owned().await.ok()
}

/// A connection of the admin login.
struct Session<'a> {
    _permit: Option<OwnedSemaphorePermit>,
    admin: &'a AdminDatabase,
    connection: PgConnection,
}

impl<'a> Session<'a> {
    async fn open(admin: &'a AdminDatabase) -> Result<Self, DatabaseError> {
        let permit = permit(admin).await;
        let options = options(admin);
        let deadline = Duration::from_secs(CONNECT_SECONDS_MAX);
        let connection = match tokio::time::timeout(deadline, options.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) if is_untrusted(&error) => return Err(untrusted(admin, error)),
            Ok(Err(error)) => return Err(failure(admin, "log in", error)),
            Err(elapsed) => return Err(unreachable(admin, elapsed)),
        };
        Ok(Self { _permit: permit, admin, connection })
    }

    async fn inspect(&mut self, databases: &[&DesiredDatabase]) -> Result<Vec<CatalogRow>, DatabaseError> {
        let column = |of: fn(&DesiredDatabase) -> &String| databases.iter().map(|d| of(d).clone()).collect::<Vec<_>>();
        sqlx::query_as(INSPECT)
            .persistent(false)
            .bind(column(|d| &d.name))
            .bind(column(|d| &d.owner_role))
            .bind(column(|d| &d.login))
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| failure(self.admin, "read the system catalogs", error))
    }

    async fn reserved_by_others(&mut self, databases: &[DesiredDatabase]) -> Result<i32, DatabaseError> {
        let own: Vec<String> = databases.iter().map(|database| database.login.clone()).collect();
        let read = sqlx::query_scalar(RESERVED).persistent(false).bind(own).fetch_one(&mut self.connection).await;
        read.map_err(|error| failure(self.admin, "read the reservations of connections", error))
    }

    /// `None` if the login may not read it: some providers revoke the right.
    async fn system_identifier(&mut self) -> Result<Option<String>, DatabaseError> {
        let read = sqlx::query_scalar("select system_identifier::text from pg_control_system()")
            .persistent(false)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| failure(self.admin, "read the system identifier", error));
        match read {
            Ok(identifier) => Ok(Some(identifier)),
            Err(DatabaseError::Unreachable { host, port, source }) => {
                Err(DatabaseError::Unreachable { host, port, source })
            }
            Err(_) => Ok(None),
        }
    }

    /// Takes the advisory lock of the database, so that only one client changes it, and reads its state. The lock is
    /// released when the connection closes.
    async fn lock_and_inspect(&mut self, database: &DesiredDatabase) -> Result<CatalogRow, DatabaseError> {
        sqlx::query("select pg_advisory_lock(hashtextextended($1, 0))")
            .bind(&database.name)
            .execute(&mut self.connection)
            .await
            .map_err(|error| failure(self.admin, &format!("lock the database {}", database.name), error))?;
        Ok(self.inspect(&[database]).await?.pop().unwrap_or_default())
    }

    async fn execute(&mut self, steps: &[Step]) -> Result<(), DatabaseError> {
        for step in steps {
            match step {
                Step::Transaction(statements) => self.transaction(statements).await?,
                Step::Single(statement) => run(self.admin, &mut self.connection, statement).await?,
                Step::EndSessions { login } => self.end_sessions(login).await?,
            }
        }
        Ok(())
    }

    async fn transaction(&mut self, statements: &[Statement]) -> Result<(), DatabaseError> {
        let admin = self.admin;
        let mut transaction =
            self.connection.begin().await.map_err(|error| failure(admin, "begin a transaction", error))?;
        for statement in statements {
            run(admin, &mut transaction, statement).await?;
        }
        transaction.commit().await.map_err(|error| failure(admin, "commit a transaction", error))
    }

    /// Ends sessions until two queries in a row find none, because a login may be in progress during the first one.
    async fn end_sessions(&mut self, login: &str) -> Result<(), DatabaseError> {
        let mut empty = 0;
        for _ in 0..END_SESSION_ATTEMPTS_MAX {
            let ended: i64 = sqlx::query_scalar(
                "select count(pg_terminate_backend(pid, $2)) from pg_stat_activity where usename = $1",
            )
            .bind(login)
            .bind(END_SESSION_MS_MAX)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| failure(self.admin, &format!("end the sessions of {login}"), error))?;
            empty = if ended == 0 { empty + 1 } else { 0 };
            if empty == 2 {
                return Ok(());
            }
            tokio::time::sleep(END_SESSION_DELAY).await;
        }
        Err(DatabaseError::Failed {
            action: format!("end the sessions of {login}"),
            source: "new sessions appear although the role is locked".into(),
        })
    }

    /// An error is ignored: the statements were executed before.
    async fn close(self) {
        let _ = tokio::time::timeout(Duration::from_secs(CONNECT_SECONDS_MAX), self.connection.close()).await;
    }
}

async fn run(admin: &AdminDatabase, connection: &mut PgConnection, statement: &Statement) -> Result<(), DatabaseError> {
    // Such statements have no parameters; their names and texts are quoted by `quote`.
    sqlx::raw_sql(AssertSqlSafe(statement.sql.clone()))
        .execute(connection)
        .await
        .map(drop)
        .map_err(|error| failure(admin, &statement.action, error))
}

fn options(admin: &AdminDatabase) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&admin.host)
        .port(admin.port)
        .username(&admin.user)
        .password(admin.password.expose())
        .database(MAINTENANCE_DATABASE)
        .application_name("agora-operator")
        .options([
            ("statement_timeout", format!("{STATEMENT_SECONDS_MAX}s")),
            ("lock_timeout", format!("{LOCK_SECONDS_MAX}s")),
            // Suppresses the notice for a grant that exists already.
            ("client_min_messages", "warning".to_owned()),
        ])
        // A statement may contain a SCRAM verifier, which must not be logged.
        .disable_statement_logging();
    match &admin.tls {
        Tls::Disable => options.ssl_mode(PgSslMode::Disable),
        Tls::VerifyFull { ca_pem: None } => options.ssl_mode(PgSslMode::VerifyFull),
        Tls::VerifyFull { ca_pem: Some(pem) } => {
            options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert_from_pem(pem.clone().into_bytes())
        }
    }
}

fn observed_server(rows: &[CatalogRow], desired: &[DesiredDatabase]) -> ObservedServer {
    let by_name = |name: &String| rows.iter().find(|row| row.name.as_ref() == Some(name));
    let databases = desired
        .iter()
        .map(|database| {
            let observed = by_name(&database.name).map_or_else(ObservedDatabase::default, |found| {
                statements::observed(found, database, &fingerprint(database))
            });
            (database.name.clone(), observed)
        })
        .collect();
    let (version, max_connections) = rows.first().map_or((0, 0), |row| (row.version, row.max_connections));
    ObservedServer {
        version: version.unsigned_abs(),
        max_connections,
        reserved_by_others: 0,
        system_identifier: None,
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

fn failure(admin: &AdminDatabase, action: &str, error: sqlx::Error) -> DatabaseError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(Cow::into_owned);
    match code.as_deref() {
        Some("28P01" | "28000") => DatabaseError::AuthenticationFailed { user: admin.user.clone() },
        Some("42501") => DatabaseError::Forbidden { user: admin.user.clone(), action: action.to_owned() },
        // Connection exceptions, too many connections, server shutting down or starting.
        Some(code) if code.starts_with("08") || code.starts_with("57P") || code == "53300" => unreachable(admin, error),
        Some(_) => DatabaseError::Failed { action: action.to_owned(), source: error.into() },
        None => unreachable(admin, error),
    }
}

/// Whether the TLS handshake failed, which rustls reports as invalid data.
fn is_untrusted(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

fn untrusted(admin: &AdminDatabase, error: sqlx::Error) -> DatabaseError {
    DatabaseError::Untrusted { host: admin.host.clone(), port: admin.port, source: error.into() }
}

fn unreachable(admin: &AdminDatabase, source: impl Into<BoxError>) -> DatabaseError {
    DatabaseError::Unreachable { host: admin.host.clone(), port: admin.port, source: source.into() }
}

#[cfg(all(test, feature = "db-tests"))]
mod tests;
