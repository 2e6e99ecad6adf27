//! A session of the admin login: its limits, the execution of statements, and the errors as types of `ports`.
//!
//! The server limits each statement, and the client waits only a little longer, so that a server that is frozen or unreachable
//! without notice blocks no task. A session in which a statement was not answered is dropped, never used again.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use agora_postgres::{is_clear_text, refuse_clear_text};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::reservations::{RESERVATIONS, Reservation};
use super::statements::{CatalogRow, INSPECT, Statement, Step};
use crate::decide::servers::{AdminDatabase, DesiredDatabase, Tls};
use crate::external::ports::{BoxError, DatabaseError, shared};

/// The database that the admin connects to: every server has it, and no Marketplace owns it.
const MAINTENANCE_DATABASE: &str = "postgres";
/// Sessions of the operator at one server at a time.
pub const SESSIONS_MAX: usize = 8;
pub const CONNECT_SECONDS_MAX: u64 = 5;
/// Limit of a statement that reads the catalogs.
pub const READ_SECONDS_MAX: u64 = 10;
/// Creating or dropping a database may wait for a checkpoint.
const CHANGE_SECONDS_MAX: u64 = 60;
/// Another operator may hold the lock of the same database.
const LOCK_SECONDS_MAX: u64 = 15;
/// Time that the client waits longer than the server's limit, so that the server's error, which names the reason, arrives.
pub const ANSWER_GRACE_SECONDS: u64 = 3;
/// A session whose operator has vanished is ended by the server after this time: it may hold a lock.
const ABANDONED_SECONDS_MAX: u64 = 90;
const KEEPALIVE_IDLE_SECONDS: u64 = 10;
const KEEPALIVE_INTERVAL_SECONDS: u64 = 5;
const KEEPALIVE_PROBES: u64 = 3;
const END_SESSION_MS_MAX: i64 = 5_000;
const END_SESSION_ATTEMPTS_MAX: u32 = 20;
/// A login that began before the role was locked may become a session after it.
const END_SESSION_DELAY: Duration = Duration::from_millis(100);

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
pub struct Session<'a> {
    _permit: Option<OwnedSemaphorePermit>,
    admin: &'a AdminDatabase,
    connection: PgConnection,
}

impl<'a> Session<'a> {
    pub async fn open(admin: &'a AdminDatabase) -> Result<Self, DatabaseError> {
        let permit = permit(admin).await;
        let options = options(admin);
        let deadline = Duration::from_secs(CONNECT_SECONDS_MAX);
        let login = async {
            refuse_clear_text(&options).await?;
            Box::pin(options.connect()).await
        };
        let connection = match timeout(deadline, login).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) if is_clear_text(&error) => return Err(clear_text(admin)),
            Ok(Err(error)) if is_untrusted(&error) => return Err(untrusted(admin, error)),
            Ok(Err(error)) => return Err(failure(admin, "log in", error)),
            Err(_) => return Err(unreachable(admin, format!("no answer to the login in {CONNECT_SECONDS_MAX} s"))),
        };
        Ok(Self { _permit: permit, admin, connection })
    }

    /// One row for each desired database, or one without a name.
    pub async fn inspect(&mut self, databases: &[&DesiredDatabase]) -> Result<Vec<CatalogRow>, DatabaseError> {
        let column = |of: fn(&DesiredDatabase) -> &String| databases.iter().map(|d| of(d).clone()).collect::<Vec<_>>();
        let read = sqlx::query_as(INSPECT)
            .persistent(false)
            .bind(column(|d| &d.name))
            .bind(column(|d| &d.owner_role))
            .bind(column(|d| &d.login))
            .fetch_all(&mut self.connection);
        answered(self.admin, READ_SECONDS_MAX, "read the system catalogs", read).await
    }

    /// The connections that logins reserve; those of `logins` also if they reserve none.
    pub async fn reservations(&mut self, logins: Vec<String>) -> Result<Vec<Reservation>, DatabaseError> {
        let read = sqlx::query_as(RESERVATIONS).persistent(false).bind(logins).fetch_all(&mut self.connection);
        answered(self.admin, READ_SECONDS_MAX, "read the reservations of connections", read).await
    }

    /// `None` if the login may not read it: some providers revoke the right.
    pub async fn system_identifier(&mut self) -> Result<Option<String>, DatabaseError> {
        let read = sqlx::query_scalar("select system_identifier::text from pg_control_system()")
            .persistent(false)
            .fetch_one(&mut self.connection);
        match answered(self.admin, READ_SECONDS_MAX, "read the system identifier", read).await {
            Ok(identifier) => Ok(Some(identifier)),
            Err(error @ DatabaseError::Unreachable { .. }) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Takes the advisory lock of the database, so that only one client changes it, and reads its state. The lock is
    /// released when the connection closes.
    pub async fn lock_and_inspect(&mut self, database: &DesiredDatabase) -> Result<CatalogRow, DatabaseError> {
        let lock = sqlx::query("select pg_advisory_lock(hashtextextended($1, 0))")
            .bind(&database.name)
            .execute(&mut self.connection);
        answered(self.admin, LOCK_SECONDS_MAX, &format!("lock the database {}", database.name), lock).await?;
        Ok(self.inspect(&[database]).await?.pop().unwrap_or_default())
    }

    pub async fn execute(&mut self, steps: &[Step]) -> Result<(), DatabaseError> {
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
        let begin = self.connection.begin();
        let mut transaction = answered(admin, CHANGE_SECONDS_MAX, "begin a transaction", begin).await?;
        for statement in statements {
            run(admin, &mut transaction, statement).await?;
        }
        answered(admin, CHANGE_SECONDS_MAX, "commit a transaction", transaction.commit()).await
    }

    /// Ends sessions until two queries in a row find none, because a login may be in progress during the first one.
    async fn end_sessions(&mut self, login: &str) -> Result<(), DatabaseError> {
        let mut empty = 0;
        for _ in 0..END_SESSION_ATTEMPTS_MAX {
            let end = sqlx::query_scalar(
                "select count(pg_terminate_backend(pid, $2)) from pg_stat_activity where usename = $1",
            )
            .bind(login)
            .bind(END_SESSION_MS_MAX)
            .fetch_one(&mut self.connection);
            let ended: i64 =
                answered(self.admin, CHANGE_SECONDS_MAX, &format!("end the sessions of {login}"), end).await?;
            empty = if ended == 0 { empty + 1 } else { 0 };
            if empty == 2 {
                return Ok(());
            }
            tokio::time::sleep(END_SESSION_DELAY).await;
        }
        Err(DatabaseError::Failed {
            action: format!("end the sessions of {login}"),
            source: shared("new sessions appear although the role is locked"),
        })
    }

    /// An error is ignored: the statements were executed before.
    pub async fn close(self) {
        let _ = timeout(Duration::from_secs(CONNECT_SECONDS_MAX), self.connection.close()).await;
    }
}

async fn run(admin: &AdminDatabase, connection: &mut PgConnection, statement: &Statement) -> Result<(), DatabaseError> {
    // Such statements have no parameters; their names and texts are quoted by `quote`.
    let execution = sqlx::raw_sql(AssertSqlSafe(statement.sql.clone())).execute(connection);
    answered(admin, CHANGE_SECONDS_MAX, &statement.action, execution).await.map(drop)
}

/// The result of a statement that the server limits to `seconds`. After an error `Unreachable` the state of the session is
/// unknown.
async fn answered<T>(
    admin: &AdminDatabase,
    seconds: u64,
    action: &str,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DatabaseError> {
    let limit = seconds + ANSWER_GRACE_SECONDS;
    match timeout(Duration::from_secs(limit), statement).await {
        Ok(result) => result.map_err(|error| failure(admin, action, error)),
        Err(_) => Err(unreachable(admin, format!("no answer in {limit} s to the request to {action}"))),
    }
}

fn options(admin: &AdminDatabase) -> PgConnectOptions {
    let seconds = |seconds: u64| format!("{seconds}s");
    let options = PgConnectOptions::new_without_pgpass()
        .host(&admin.host)
        .port(admin.port)
        .username(&admin.user)
        .password(admin.password.expose())
        .database(MAINTENANCE_DATABASE)
        .application_name("agora-operator")
        .options([
            ("statement_timeout", seconds(CHANGE_SECONDS_MAX)),
            ("lock_timeout", seconds(LOCK_SECONDS_MAX)),
            ("idle_session_timeout", seconds(ABANDONED_SECONDS_MAX)),
            ("idle_in_transaction_session_timeout", seconds(ABANDONED_SECONDS_MAX)),
            ("tcp_keepalives_idle", seconds(KEEPALIVE_IDLE_SECONDS)),
            ("tcp_keepalives_interval", seconds(KEEPALIVE_INTERVAL_SECONDS)),
            ("tcp_keepalives_count", KEEPALIVE_PROBES.to_string()),
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

fn failure(admin: &AdminDatabase, action: &str, error: sqlx::Error) -> DatabaseError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(Cow::into_owned);
    match code.as_deref() {
        Some("28P01" | "28000") => DatabaseError::AuthenticationFailed { user: admin.user.clone() },
        Some("42501") => DatabaseError::Forbidden { user: admin.user.clone(), action: action.to_owned() },
        // Connection exceptions, too many connections, server shutting down or starting.
        Some(code) if code.starts_with("08") || code.starts_with("57P") || code == "53300" => unreachable(admin, error),
        Some(_) => DatabaseError::Failed { action: action.to_owned(), source: shared(error) },
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

fn clear_text(admin: &AdminDatabase) -> DatabaseError {
    DatabaseError::ClearTextPassword { host: admin.host.clone(), port: admin.port }
}

fn untrusted(admin: &AdminDatabase, error: sqlx::Error) -> DatabaseError {
    DatabaseError::Untrusted { host: admin.host.clone(), port: admin.port, source: shared(error) }
}

fn unreachable(admin: &AdminDatabase, source: impl Into<BoxError>) -> DatabaseError {
    DatabaseError::Unreachable { host: admin.host.clone(), port: admin.port, source: shared(source) }
}
