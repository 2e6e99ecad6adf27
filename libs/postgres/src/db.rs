//! The handle on a service's database: a pool that can be exchanged while others use it.
//!
//! Knows connections; must not know settings files, readiness or migrations.

use std::{
    fmt,
    future::Future,
    io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use agora_vocab::Secret;
use sqlx::{
    Connection, PgPool, Postgres,
    migrate::Migrator,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions},
};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    Error,
    config::How,
    error::{connection_lost, unavailable},
    migrate,
};

/// A transaction that owns its connection; dropped, it rolls back.
pub type Tx = sqlx::Transaction<'static, Postgres>;

/// How long a caller waits for a connection.
const ACQUIRE_MAX: Duration = Duration::from_secs(3);
/// A connection that was idle for longer is tried before it is handed out.
const TRUSTED_IDLE_MAX: Duration = Duration::from_secs(1);
/// After so long a wait for a connection the server is asked directly.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long the server may take to let one in when asked directly.
const PROBE_MAX: Duration = Duration::from_secs(1);
/// How long the result of asking is believed.
const PROBE_FRESH: Duration = Duration::from_millis(250);
/// How long the old pool's busy connections are waited for; later ones end when they are returned.
const CLOSE_MAX: Duration = Duration::from_secs(30);

/// A service's database. Cheap to clone; clones see the same swaps.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    how: How,
    /// `None`: the URL has not been readable yet.
    pool: RwLock<Option<PgPool>>,
    swapping: Mutex<()>,
    /// When the server was last asked directly, and what it said if it refused.
    probed: Mutex<Option<(Instant, Option<io::ErrorKind>)>>,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("service", &self.0.how.service).finish_non_exhaustive()
    }
}

impl Db {
    /// A handle that opens connections when they are needed. An unreadable URL is reported by every use until a swap.
    pub(crate) fn lazy(how: How, url: &Secret) -> Self {
        let pool = how.options(url).ok().map(|options| pool_options(how.pool_size).connect_lazy_with(options));
        Self(Arc::new(Inner { how, pool: RwLock::new(pool), swapping: Mutex::new(()), probed: Mutex::new(None) }))
    }

    /// A migrated database for tests.
    ///
    /// # Panics
    /// When it cannot be migrated: a test ends there.
    pub async fn for_test(url: &str, migrations: &'static Migrator) -> Self {
        let url = Secret::new(url);
        if let Err(error) = migrate(&url, None, migrations).await {
            panic!("migrating a test database: {:#}", anyhow::Error::from(error));
        }
        Self::lazy(How { service: "test", pool_size: 10, ca: None }, &url)
    }

    /// Begins a transaction, after at most 3 s; at once an error where the server is known not to answer. A connection that
    /// turns out to be dead is replaced: nothing has been done on it yet.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        self.on_current(|pool| async move { pool.begin().await }).await
    }

    /// A connection for statements that need no transaction; the limits of [`Db::begin`] hold.
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.on_current(|pool| async move { pool.acquire().await }).await
    }

    /// Switches to another login: tests it, uses it for new connections, and closes old connections as they become idle
    /// (waits at most 30 s). A login that fails changes nothing.
    pub async fn swap(&self, url: &Secret) -> Result<(), Error> {
        let _one_at_a_time = self.0.swapping.lock().await;
        let options = self.0.how.options(url)?;
        let fresh = pool_options(self.0.how.pool_size).connect_with(options).await.map_err(Error::Connect)?;
        let old = self.0.pool.write().unwrap_or_else(PoisonError::into_inner).replace(fresh);
        if let Some(old) = old
            && tokio::time::timeout(CLOSE_MAX, old.close()).await.is_err()
        {
            tracing::warn!("connections of the old login are still in use; each ends when it is returned");
        }
        Ok(())
    }

    /// Open connections and idle ones among them.
    pub(crate) fn connections(&self) -> (u32, usize) {
        self.pool().map_or((0, 0), |pool| (pool.size(), pool.num_idle()))
    }

    /// Connections at most.
    pub(crate) fn pool_size(&self) -> u32 {
        self.0.how.pool_size
    }

    fn pool(&self) -> Result<PgPool, sqlx::Error> {
        let pool = self.0.pool.read().unwrap_or_else(PoisonError::into_inner).clone();
        pool.ok_or_else(|| sqlx::Error::Configuration("DATABASE_URL is not a PostgreSQL URL".into()))
    }

    /// Runs `work` on the current pool: again if the pool was exchanged meanwhile or the connection was dead.
    async fn on_current<T, F>(&self, work: impl Fn(PgPool) -> F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        if let Some(kind) = self.known_away().await {
            return Err(away(kind));
        }
        let attempt = async {
            let mut dead = 0;
            loop {
                let pool = self.pool()?;
                // Boxed: connecting takes 16 KiB of state, which every caller would carry.
                match Box::pin(work(pool)).await {
                    Err(sqlx::Error::PoolClosed) if self.pool().is_ok_and(|current| !current.is_closed()) => {}
                    Err(error) if connection_lost(&error) && dead < self.0.how.pool_size => dead += 1,
                    result => return result,
                }
            }
        };
        tokio::select! {
            biased;
            result = attempt => result,
            kind = self.found_away() => Err(away(kind)),
            () = tokio::time::sleep(ACQUIRE_MAX) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// What a recent direct question was refused with.
    async fn known_away(&self) -> Option<io::ErrorKind> {
        let (asked, refused) = (*self.0.probed.lock().await)?;
        refused.filter(|_| asked.elapsed() < PROBE_FRESH)
    }

    /// Ends when the server, asked directly, does not answer.
    async fn found_away(&self) -> io::ErrorKind {
        loop {
            tokio::time::sleep(PATIENCE).await;
            if let Some(kind) = Box::pin(self.probe()).await {
                return kind;
            }
        }
    }

    /// Tries a direct connection, unless one was tried a moment ago.
    async fn probe(&self) -> Option<io::ErrorKind> {
        let mut probed = self.0.probed.lock().await;
        if let Some((asked, result)) = *probed
            && asked.elapsed() < PROBE_FRESH
        {
            return result;
        }
        let options = self.pool().ok()?.connect_options();
        let refused = knock(&options).await;
        *probed = Some((Instant::now(), refused));
        refused
    }
}

async fn knock(options: &PgConnectOptions) -> Option<io::ErrorKind> {
    match tokio::time::timeout(PROBE_MAX, PgConnection::connect_with(options)).await {
        Ok(Ok(connection)) => {
            drop(connection.close().await);
            None
        }
        Ok(Err(sqlx::Error::Io(error))) => Some(error.kind()),
        Ok(Err(error)) if unavailable(&error) => Some(io::ErrorKind::ConnectionAborted),
        Ok(Err(_)) => None,
        Err(_) => Some(io::ErrorKind::TimedOut),
    }
}

fn away(kind: io::ErrorKind) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(kind, "the database does not answer"))
}

fn pool_options(size: u32) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE_MAX).test_before_acquire(false).before_acquire(
        |connection, meta| {
            Box::pin(async move { Ok(meta.idle_for < TRUSTED_IDLE_MAX || connection.ping().await.is_ok()) })
        },
    )
}
