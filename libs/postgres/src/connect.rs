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

/// A handle on the database, at once. The readiness gate `database` opens when the server answers and no migration of
/// this binary is missing; until then the reason names what is. A changed login or authority is taken over by itself.
pub async fn connect(config: &Config, migrations: &'static Migrator, process: &Process) -> Db {
    let how = How { service: process.service(), pool_size: config.pool_size, ca: config.ca.clone() };
    let db = Db::lazy(how, &config.url.current());
    let watch = Watch {
        db: db.clone(),
        migrations,
        service: process.service(),
        gate: process.gate("database"),
        dependency: process.dependency("database"),
    };
    let shutdown = process.shutdown();
    process.spawn("database-check", async move {
        shutdown.run_until_cancelled(watch.run()).await;
        Ok(())
    });
    let login = Login { url: config.url.clone(), ca: config.ca.clone() };
    let (shutdown, following) = (process.shutdown(), db.clone());
    process.spawn("database-login", async move {
        shutdown.run_until_cancelled(follow(following, login)).await;
        Ok(())
    });
    db
}

struct Watch {
    db: Db,
    migrations: &'static Migrator,
    service: &'static str,
    gate: Gate,
    dependency: Dependency,
}

impl Watch {
    async fn run(self) {
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

    async fn what_is_missing(&self) -> Option<String> {
        let pending = async { migrate::pending(&mut *self.db.acquire().await?, self.migrations).await };
        match pending.await {
            Err(error) => Some(format!("the database does not answer: {error}")),
            Ok(names) => {
                let first = names.first()?;
                Some(format!(
                    "{} migrations are pending, the first is {first}: run `agora migrate {}`",
                    names.len(),
                    self.service
                ))
            }
        }
    }

    fn measure(&self) {
        let (open, idle) = self.db.connections();
        let idle = u32::try_from(idle).unwrap_or(u32::MAX);
        let gauge = |state, value: u32| {
            metrics::gauge!("db_pool_connections", "service" => self.service, "state" => state).set(f64::from(value));
        };
        gauge("idle", idle);
        gauge("busy", open.saturating_sub(idle));
        metrics::gauge!("db_pool_connections_max", "service" => self.service).set(f64::from(self.db.pool_size()));
    }
}

/// What connections are opened with.
struct Login {
    url: WatchedSecret,
    ca: Option<WatchedFile>,
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
async fn follow(db: Db, mut login: Login) {
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
