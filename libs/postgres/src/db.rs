//! The handle on a service's database: a pool that can be exchanged while others use it.
//!
//! Knows connections; must not know settings files, readiness or migrations.

use std::{
    fmt,
    future::Future,
    io,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agora_vocab::Secret;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgPool, Row as _,
    migrate::Migrator,
    postgres::{PgConnection, PgPoolOptions},
};
use tokio::sync::Mutex;

use crate::{
    Error, Session, Tx,
    clear_text::refuse_clear_text,
    config::{How, SessionSettings},
    error::connection_lost,
    migrate,
    probe::Probe,
    refusals::Refusals,
};

/// How long a caller waits for a connection.
const ACQUIRE_MAX: Duration = Duration::from_secs(3);
/// A connection that was idle for longer is tried before it is handed out.
const TRUSTED_IDLE_MAX: Duration = Duration::from_secs(1);
/// A connection is closed at this age, so that settings of the server, a role or a database reach every session.
const LIFETIME_MAX: Duration = Duration::from_mins(10);
/// After so long a wait for a connection the server is asked directly.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long the old pool's busy connections are waited for; later ones end when they are returned.
const CLOSE_MAX: Duration = Duration::from_secs(30);
/// Pause before a server that refused a connection is asked for its method again.
const CHECK_RETRY: Duration = Duration::from_millis(50);

/// A service's database. Cheap to clone; clones see the same swaps.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    how: How,
    /// `None`: the URL has not been readable yet.
    pool: RwLock<Option<PgPool>>,
    swapping: Mutex<()>,
    /// Whether the server was asked how it wants the password: before the first login, and again after a lost connection.
    is_checked: AtomicBool,
    /// Held by the caller that asks.
    checking: Mutex<()>,
    probe: Probe,
    refusals: Arc<Refusals>,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("service", &self.0.how.service).finish_non_exhaustive()
    }
}

impl Db {
    /// A handle that opens connections when they are needed. An unreadable URL is reported by every use until a swap.
    pub(crate) fn lazy(how: How, url: &Secret) -> Self {
        let refusals = Arc::<Refusals>::default();
        let pool = how.options(url).ok().map(|options| pool_options(&how, &refusals).connect_lazy_with(options));
        Self(Arc::new(Inner {
            how,
            pool: RwLock::new(pool),
            swapping: Mutex::new(()),
            is_checked: AtomicBool::new(false),
            checking: Mutex::new(()),
            probe: Probe::new(),
            refusals,
        }))
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
        let session = SessionSettings::DEFAULT;
        Self::lazy(How { service: "test", pool_size: 10, ca: None, session, address: None }, &url)
    }

    /// Begins a transaction, after at most 3 s; at once an error where the server is known not to answer. A connection that
    /// turns out to be dead is replaced: nothing has been done on it yet.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        self.on_current(|pool| async move { self.session(&pool).await?.begin().await }).await
    }

    /// A connection for statements that need no transaction; the limits of [`Db::begin`] hold.
    pub async fn acquire(&self) -> Result<Session, sqlx::Error> {
        self.on_current(|pool| async move { self.session(&pool).await }).await
    }

    async fn session(&self, pool: &PgPool) -> Result<Session, sqlx::Error> {
        self.check(pool).await?;
        let statement_time_max = self.0.how.session.statement_time_max;
        Ok(Session::new(pool.acquire().await?, self.0.refusals.clone(), statement_time_max))
    }

    /// Fails if a new connection would send the password in clear text. Open ones go on.
    async fn check(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let Inner { is_checked, checking, .. } = &*self.0;
        if is_checked.load(Ordering::Relaxed) || pool.num_idle() > 0 {
            return Ok(());
        }
        let _one_at_a_time = checking.lock().await;
        while !is_checked.load(Ordering::Relaxed) {
            match refuse_clear_text(&pool.connect_options()).await {
                Ok(true) => is_checked.store(true, Ordering::Relaxed),
                Ok(false) => break,
                // As sqlx does: the server may be starting. The caller's limit holds.
                Err(sqlx::Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    tokio::time::sleep(CHECK_RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Switches to another login: tests it, uses it for new connections, and closes old connections as they become idle
    /// (waits at most 30 s). A login that fails changes nothing.
    pub async fn swap(&self, url: &Secret) -> Result<(), Error> {
        let _one_at_a_time = self.0.swapping.lock().await;
        let options = self.0.how.options(url)?;
        let known = tokio::time::timeout(ACQUIRE_MAX, refuse_clear_text(&options)).await;
        let known = known.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(Error::Connect)?;
        let fresh = pool_options(&self.0.how, &self.0.refusals).connect_with(options).await.map_err(Error::Connect)?;
        let old = self.0.pool.write().unwrap_or_else(PoisonError::into_inner).replace(fresh);
        self.0.is_checked.store(known, Ordering::Relaxed);
        if let Some(old) = old
            && tokio::time::timeout(CLOSE_MAX, old.close()).await.is_err()
        {
            tracing::warn!("connections of the old login are still in use; each ends when it is returned");
        }
        Ok(())
    }

    /// Whether two connections share one session of the server, as behind a pooler that gives a session to each transaction:
    /// session settings and prepared statements of one would then apply to the other.
    pub(crate) async fn sessions_are_shared(&self) -> Result<bool, sqlx::Error> {
        const PID: &str = "select pg_backend_pid()";
        let options = self.pool()?.connect_options();
        let mut first = self.acquire().await?;
        let before: i32 = sqlx::raw_sql(PID).fetch_one(&mut *first).await?.try_get(0)?;
        let in_a_transaction = async {
            let mut second = PgConnection::connect_with(&options).await?;
            second.execute("begin").await?;
            let other: i32 = sqlx::raw_sql(PID).fetch_one(&mut second).await?.try_get(0)?;
            Ok::<_, sqlx::Error>((second, other))
        };
        let (second, other) =
            tokio::time::timeout(ACQUIRE_MAX, in_a_transaction).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        let after: i32 = sqlx::raw_sql(PID).fetch_one(&mut *first).await?.try_get(0)?;
        drop(tokio::time::timeout(ACQUIRE_MAX, second.close()).await);
        Ok(before == other || before != after)
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
        if let Some(kind) = self.0.probe.refused() {
            return Err(away(kind));
        }
        let attempt = async {
            let mut dead = 0;
            loop {
                let pool = self.pool()?;
                // Boxed: connecting takes 16 KiB of state, which every caller would carry.
                match Box::pin(work(pool)).await {
                    Err(sqlx::Error::PoolClosed) if self.pool().is_ok_and(|current| !current.is_closed()) => {}
                    Err(error) if connection_lost(&error) && dead < self.0.how.pool_size => {
                        self.0.is_checked.store(false, Ordering::Relaxed);
                        dead += 1;
                    }
                    result => return result,
                }
            }
        };
        let options = || Some((*self.pool().ok()?.connect_options()).clone());
        tokio::select! {
            biased;
            result = attempt => result,
            kind = self.0.probe.until_refused(PATIENCE, options) => Err(away(kind)),
            () = tokio::time::sleep(ACQUIRE_MAX) => Err(sqlx::Error::PoolTimedOut),
        }
    }
}

fn away(kind: io::ErrorKind) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(kind, "the database does not answer"))
}

fn pool_options(how: &How, refusals: &Arc<Refusals>) -> PgPoolOptions {
    let (refusals, settings) = (refusals.clone(), how.session.sql());
    PgPoolOptions::new()
        .max_connections(how.pool_size)
        .acquire_timeout(ACQUIRE_MAX)
        .max_lifetime(LIFETIME_MAX)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let set = sqlx::raw_sql(AssertSqlSafe(settings.clone()));
            Box::pin(async move { set.execute(connection).await.map(drop) })
        })
        .before_acquire(move |connection, meta| {
            let refuses_writes = refusals.concern(meta.age);
            Box::pin(async move {
                Ok(!refuses_writes && (meta.idle_for < TRUSTED_IDLE_MAX || connection.ping().await.is_ok()))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_lives_for_ten_minutes_at_most_so_that_new_settings_and_servers_reach_every_one() {
        let session = SessionSettings::DEFAULT;
        let how = How { service: "test", pool_size: 4, ca: None, session, address: None };
        let db = Db::lazy(how, &Secret::new("postgres://login:password@127.0.0.1:1/none"));
        let pool = db.pool().expect("a pool that has not connected yet");
        assert_eq!(pool.options().get_max_lifetime(), Some(Duration::from_mins(10)));
        assert_eq!((pool.options().get_max_connections(), pool.options().get_acquire_timeout()), (4, ACQUIRE_MAX));
    }
}
