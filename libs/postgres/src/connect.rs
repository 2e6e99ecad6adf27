//! A service's database as part of its process: readiness, degradation, metrics, and a login that follows its secret.
//!
//! Knows the process; must not know what the database is for.

use std::time::Duration;

use agora_chassis::{Dependency, Gate, Process, WatchedFile, WatchedSecret};
use agora_vocab::Secret;
use sqlx::migrate::Migrator;

use crate::{Config, Db, config::How, migrate};

const CHECK_BEFORE_READY: Duration = Duration::from_millis(500);
const CHECK_WHEN_READY: Duration = Duration::from_secs(5);
const SWAP_RETRY: Duration = Duration::from_secs(1);

const IS_READ_ONLY: &str = "select current_setting('transaction_read_only') = 'on'";
const READ_ONLY: &str = "the database refuses writes: it is a standby, or `default_transaction_read_only` is on";
const SHARED_SESSIONS: &str = "connections share sessions: the server is behind a connection pooler with transaction pooling \
    (PgBouncer's `pool_mode=transaction`), which would mix up prepared statements and settings; connect to PostgreSQL directly, \
    or use `pool_mode=session`";

/// A handle on the database, at once. The readiness gate `database` opens when the server answers, accepts writes,
/// gives each connection a session of its own, and misses no migration of this binary; until then the reason names what is. A changed login or authority is taken over by itself.
pub async fn connect(config: &Config, migrations: &'static Migrator, process: &Process) -> Db {
    let Config { url: _, pool_size, ref ca, name, session } = *config;
    let pool = name.unwrap_or(process.service());
    let how = How { service: pool, pool_size, ca: ca.clone(), session, address: None };
    let readiness = name.map_or_else(|| "database".to_owned(), |name| format!("database/{name}"));
    let db = Db::lazy(how, &config.url.current());
    let watch = Watch {
        db: db.clone(),
        migrations,
        service: process.service(),
        pool,
        sessions_are_own: false,
        gate: process.gate(&readiness),
        dependency: process.dependency(&readiness),
    };
    supervise(process, "database-check", move || watch.clone().run());
    let (following, login) = (db.clone(), Login { url: config.url.clone(), ca: config.ca.clone() });
    supervise(process, "database-login", move || follow(following.clone(), login.clone()));
    db
}

/// A handle for a command that ends by itself, named `command` in the server's list of sessions: without a readiness gate, and
/// with one login.
pub fn open(config: &Config, command: &'static str) -> Db {
    let Config { url, pool_size, ca, session, .. } = config;
    let how = How { service: command, pool_size: *pool_size, ca: ca.clone(), session: *session, address: None };
    Db::lazy(how, &url.current())
}

/// Runs a task that does not end by itself until the process shuts down, again if it panics.
pub(crate) fn supervise<F>(process: &Process, name: &'static str, mut start: impl FnMut() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let shutdown = process.shutdown();
    process.supervise(name, move || {
        let (task, shutdown) = (start(), shutdown.clone());
        async move {
            shutdown.run_until_cancelled(task).await;
            Ok(())
        }
    });
}

#[derive(Clone)]
struct Watch {
    db: Db,
    migrations: &'static Migrator,
    service: &'static str,
    /// Whether it was found that each connection has a session of its own.
    sessions_are_own: bool,
    /// The pool's name in metrics.
    pool: &'static str,
    gate: Gate,
    dependency: Dependency,
}

impl Watch {
    async fn run(mut self) {
        let mut pause = CHECK_BEFORE_READY;
        loop {
            match self.what_is_missing().await {
                None => {
                    self.gate.open();
                    self.dependency.up();
                    pause = CHECK_WHEN_READY;
                }
                Some(reason) => {
                    self.gate.close(reason.clone());
                    self.dependency.down(reason);
                }
            }
            self.measure();
            tokio::time::sleep(pause).await;
        }
    }

    async fn what_is_missing(&mut self) -> Option<String> {
        match self.inspect().await {
            Err(error) => Some(format!("the database does not answer: {error}")),
            Ok(missing) => missing,
        }
    }

    async fn inspect(&mut self) -> Result<Option<String>, sqlx::Error> {
        if !self.sessions_are_own {
            if self.db.sessions_are_shared().await? {
                return Ok(Some(SHARED_SESSIONS.to_owned()));
            }
            self.sessions_are_own = true;
        }
        let mut session = self.db.acquire().await?;
        let names = migrate::pending(&mut session, self.migrations).await?;
        if let Some(first) = names.first() {
            let (count, service) = (names.len(), self.service);
            let pending =
                format!("{count} migrations are pending, the first is {first}: run `agora migrate {service}`");
            return Ok(Some(pending));
        }
        let read_only: bool = sqlx::query_scalar(IS_READ_ONLY).fetch_one(&mut *session).await?;
        if read_only {
            // Another session may be allowed to write already.
            session.discard();
        }
        Ok(read_only.then(|| READ_ONLY.to_owned()))
    }

    fn measure(&self) {
        let (open, idle) = self.db.connections();
        let idle = u32::try_from(idle).unwrap_or(u32::MAX);
        let gauge = |state, value: u32| {
            metrics::gauge!("db_pool_connections", "service" => self.pool, "state" => state).set(f64::from(value));
        };
        gauge("idle", idle);
        gauge("busy", open.saturating_sub(idle));
        metrics::gauge!("db_pool_connections_max", "service" => self.pool).set(f64::from(self.db.pool_size()));
    }
}

/// What connections are opened with.
#[derive(Clone)]
pub(crate) struct Login {
    pub url: WatchedSecret,
    pub ca: Option<WatchedFile>,
}

impl Login {
    /// The URL, once it or the authorities differ from what was seen here before. May be cancelled without losing a change.
    async fn changed(&mut self) -> Secret {
        let Some(ca) = &mut self.ca else { return self.url.changed().await };
        tokio::select! {
            url = self.url.changed() => url,
            _ = ca.changed() => self.url.current(),
        }
    }
}

/// Takes over each new login, trying again until it works or a newer one comes.
pub(crate) async fn follow(db: Db, mut login: Login) {
    let mut wanted = login.changed().await;
    loop {
        match db.swap(&wanted).await {
            Ok(()) => {
                tracing::info!("took over a new database login or authority");
                wanted = login.changed().await;
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the new database login does not work yet; the old one stays"
                );
                if let Ok(newer) = tokio::time::timeout(SWAP_RETRY, login.changed()).await {
                    wanted = newer;
                }
            }
        }
    }
}
