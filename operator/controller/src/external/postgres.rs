//! Databases and logins on a real PostgreSQL, through an admin login that is no superuser.
//!
//! Opens a connection per call and closes it: none is held between two looks a minute apart. What to say is decided in
//! `statements`; this file says it and names what went wrong. No clear password leaves the process.

mod quote;
mod statements;

use std::{borrow::Cow, num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use aws_lc_rs::pbkdf2;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use crate::decide::servers::{AdminDatabase, DatabaseSeen, DatabaseWanted, ServerFacts, Tls};
use crate::external::ports::{DatabaseAdmin, DatabaseError};
use statements::{FACTS, Found, Password, Statement, Step};

/// Where the admin logs in: every server has it, and no Marketplace owns it.
const MAINTENANCE_DATABASE: &str = "postgres";
const CONNECT_SECONDS_MAX: u64 = 5;
/// Creating or dropping a database may wait for a checkpoint.
const STATEMENT_SECONDS_MAX: u32 = 60;
/// Another reconcile may be at work on the same database.
const LOCK_SECONDS_MAX: u32 = 15;
const END_SESSION_MS_MAX: i64 = 5_000;
const SWEEPS_MAX: u32 = 20;
/// A session that logged in before the lock may show up after it.
const BETWEEN_SWEEPS: Duration = Duration::from_millis(100);
/// As many as a SCRAM verifier has: who reads the mark learns no more than from a verifier.
const MARK_ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).unwrap();
const MARK_BYTES: usize = 8;

/// PostgreSQL servers, 15 and later.
#[derive(Clone, Copy, Debug, Default)]
pub struct PgDatabases;

#[async_trait]
impl DatabaseAdmin for PgDatabases {
    async fn inspect(&self, admin: &AdminDatabase, wanted: &[DatabaseWanted]) -> Result<ServerFacts, DatabaseError> {
        let mut session = Session::open(admin).await?;
        let rows = session.facts(&wanted.iter().collect::<Vec<_>>()).await?;
        session.close().await;
        Ok(server_facts(&rows, wanted))
    }

    async fn ensure(&self, admin: &AdminDatabase, wanted: &DatabaseWanted) -> Result<(), DatabaseError> {
        let mut session = Session::open(admin).await?;
        let found = session.lock_and_find(wanted).await?;
        let steps = statements::ensure(&found, wanted, &password(wanted))?;
        session.perform(&steps).await?;
        session.close().await;
        Ok(())
    }

    async fn drop(&self, admin: &AdminDatabase, wanted: &DatabaseWanted) -> Result<(), DatabaseError> {
        let mut session = Session::open(admin).await?;
        let found = session.lock_and_find(wanted).await?;
        session.perform(&statements::drop(&found, wanted)).await?;
        session.close().await;
        Ok(())
    }

    async fn lock(&self, admin: &AdminDatabase, wanted: &DatabaseWanted) -> Result<(), DatabaseError> {
        let mut session = Session::open(admin).await?;
        let found = session.lock_and_find(wanted).await?;
        session.perform(&statements::lock(&found, wanted)).await?;
        session.close().await;
        Ok(())
    }
}

/// A connection of the admin and whom to name in its errors.
struct Session<'a> {
    admin: &'a AdminDatabase,
    connection: PgConnection,
}

impl<'a> Session<'a> {
    async fn open(admin: &'a AdminDatabase) -> Result<Self, DatabaseError> {
        let options = options(admin);
        let patience = Duration::from_secs(CONNECT_SECONDS_MAX);
        let connection = match tokio::time::timeout(patience, options.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) if is_untrusted(&error) => return Err(untrusted(admin, error)),
            Ok(Err(error)) => return Err(failure(admin, "log in", error)),
            Err(elapsed) => return Err(unreachable(admin, elapsed)),
        };
        Ok(Self { admin, connection })
    }

    async fn facts(&mut self, wanted: &[&DatabaseWanted]) -> Result<Vec<Found>, DatabaseError> {
        let column = |of: fn(&DatabaseWanted) -> &String| wanted.iter().map(|w| of(w).clone()).collect::<Vec<_>>();
        sqlx::query_as(FACTS)
            .persistent(false)
            .bind(column(|w| &w.name))
            .bind(column(|w| &w.owner_role))
            .bind(column(|w| &w.login))
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| failure(self.admin, "read the catalogues", error))
    }

    /// Reads the facts about one database once nobody else is at work on it; the lock ends with the connection.
    async fn lock_and_find(&mut self, wanted: &DatabaseWanted) -> Result<Found, DatabaseError> {
        sqlx::query("select pg_advisory_lock(hashtextextended($1, 0))")
            .bind(&wanted.name)
            .execute(&mut self.connection)
            .await
            .map_err(|error| failure(self.admin, "wait for its turn", error))?;
        Ok(self.facts(&[wanted]).await?.pop().unwrap_or_default())
    }

    async fn perform(&mut self, steps: &[Step]) -> Result<(), DatabaseError> {
        for step in steps {
            match step {
                Step::Together(statements) => self.together(statements).await?,
                Step::Alone(statement) => run(self.admin, &mut self.connection, statement).await?,
                Step::EndSessions { login } => self.end_sessions(login).await?,
            }
        }
        Ok(())
    }

    async fn together(&mut self, statements: &[Statement]) -> Result<(), DatabaseError> {
        let admin = self.admin;
        let mut transaction =
            self.connection.begin().await.map_err(|error| failure(admin, "begin a transaction", error))?;
        for statement in statements {
            run(admin, &mut transaction, statement).await?;
        }
        transaction.commit().await.map_err(|error| failure(admin, "commit a transaction", error))
    }

    /// Ends sessions until two looks in a row find none, so that one in the middle of its login is caught too.
    async fn end_sessions(&mut self, login: &str) -> Result<(), DatabaseError> {
        let mut quiet = 0;
        for _ in 0..SWEEPS_MAX {
            let ended: i64 = sqlx::query_scalar(
                "select count(pg_terminate_backend(pid, $2)) from pg_stat_activity where usename = $1",
            )
            .bind(login)
            .bind(END_SESSION_MS_MAX)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| failure(self.admin, &format!("end the sessions of {login}"), error))?;
            quiet = if ended == 0 { quiet + 1 } else { 0 };
            if quiet == 2 {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_SWEEPS).await;
        }
        Err(DatabaseError::Failed {
            action: format!("ending the sessions of {login}"),
            source: "sessions go on appearing after the role was locked".into(),
        })
    }

    /// The work is done: a connection that does not close well is no failure of it.
    async fn close(self) {
        let _ = tokio::time::timeout(Duration::from_secs(CONNECT_SECONDS_MAX), self.connection.close()).await;
    }
}

async fn run(admin: &AdminDatabase, connection: &mut PgConnection, statement: &Statement) -> Result<(), DatabaseError> {
    // Names and texts in it went through `quote`; these statements take no parameters.
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
            // That a grant exists already is no news.
            ("client_min_messages", "warning".to_owned()),
        ])
        // Statements may hold verifiers: they do not go into our log either.
        .disable_statement_logging();
    match &admin.tls {
        Tls::Disable => options.ssl_mode(PgSslMode::Disable),
        Tls::VerifyFull { ca_pem: None } => options.ssl_mode(PgSslMode::VerifyFull),
        Tls::VerifyFull { ca_pem: Some(pem) } => {
            options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert_from_pem(pem.clone().into_bytes())
        }
    }
}

fn server_facts(rows: &[Found], wanted: &[DatabaseWanted]) -> ServerFacts {
    let by_name = |name: &String| rows.iter().find(|row| row.name.as_ref() == Some(name));
    let databases = wanted
        .iter()
        .map(|wanted| {
            let seen = by_name(&wanted.name)
                .map_or_else(DatabaseSeen::default, |found| statements::seen(found, wanted, &mark(wanted)));
            (wanted.name.clone(), seen)
        })
        .collect();
    let (version, max_connections) = rows.first().map_or((0, 0), |row| (row.version, row.max_connections));
    ServerFacts { version: version.unsigned_abs(), max_connections, databases }
}

fn password(wanted: &DatabaseWanted) -> Password {
    let verifier = postgres_protocol::password::scram_sha_256(wanted.password.expose().as_bytes());
    Password { verifier, mark: mark(wanted) }
}

/// Tells in the login's COMMENT which password was set: the server's own record of it is for superusers alone.
fn mark(wanted: &DatabaseWanted) -> String {
    let mut bytes = [0; MARK_BYTES];
    let (salt, secret) = (wanted.login.as_bytes(), wanted.password.expose().as_bytes());
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, MARK_ITERATIONS, salt, secret, &mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

// --- errors

fn failure(admin: &AdminDatabase, action: &str, error: sqlx::Error) -> DatabaseError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(Cow::into_owned);
    match code.as_deref() {
        Some("28P01" | "28000") => DatabaseError::AuthenticationFailed { user: admin.user.clone() },
        Some("42501") => DatabaseError::Forbidden { user: admin.user.clone(), action: action.to_owned() },
        // Connection exceptions, too many connections, shutting down or not up yet.
        Some(code) if code.starts_with("08") || code.starts_with("57P") || code == "53300" => unreachable(admin, error),
        Some(_) => DatabaseError::Failed { action: action.to_owned(), source: error.into() },
        None => unreachable(admin, error),
    }
}

/// Whether TLS could not be agreed upon: what the peer sent is then no valid data to the client.
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

fn unreachable(admin: &AdminDatabase, source: impl Into<crate::external::ports::BoxError>) -> DatabaseError {
    DatabaseError::Unreachable { host: admin.host.clone(), port: admin.port, source: source.into() }
}

#[cfg(all(test, feature = "db-tests"))]
mod tests;
