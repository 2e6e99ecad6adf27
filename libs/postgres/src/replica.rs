//! Reads that may lag behind: at a read replica while it follows the primary closely, otherwise at the primary.
//!
//! Knows replication positions; must not know what is read.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agora_chassis::{Dependency, Process, Reader};
use sqlx::migrate::Migrator;
use tokio::time::Instant;

use crate::{
    Config, Db, Session,
    config::{Address, How},
    connect::{Login, follow, supervise},
    migrate,
};

const CHECK_EVERY: Duration = Duration::from_secs(1);
const LAG_SECONDS_DEFAULT: u64 = 10;
const LAG_SECONDS_MAX: u64 = 3_600;

const SYSTEM: &str = "select system_identifier::text from pg_control_system()";
const WRITTEN: &str = "select pg_current_wal_lsn()::text";
const IS_STANDBY: &str = "select pg_is_in_recovery()";
const HAS_REPLAYED: &str = "select coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)";

/// Where the read replica is, a physical standby of the service's database with the same logins.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// The standby's server; database, login and TLS are those of the primary.
    pub address: Address,
    /// A replica that has not replayed what was written so long ago is not used.
    pub lag_max: Duration,
}

impl ReplicaConfig {
    /// Reads `DATABASE_READ_ADDRESS` and `DATABASE_READ_LAG_SECONDS_MAX`; `None` without an address.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let address: Option<String> = reader.optional("DATABASE_READ_ADDRESS");
        let lag_seconds = reader.default("DATABASE_READ_LAG_SECONDS_MAX", LAG_SECONDS_DEFAULT);
        if !(1..=LAG_SECONDS_MAX).contains(&lag_seconds) {
            reader.fault("DATABASE_READ_LAG_SECONDS_MAX", format!("must be from 1 to {LAG_SECONDS_MAX}"));
        }
        let parsed = Address::parse(&address?);
        if parsed.is_none() {
            reader.fault("DATABASE_READ_ADDRESS", "must be like replica.example:5432 or [fd00::5]:5432");
        }
        Some(Self { address: parsed?, lag_max: Duration::from_secs(lag_seconds) })
    }
}

/// Connections for reads that may lag behind. Clones share them.
#[derive(Clone, Debug)]
pub struct ReadDb {
    primary: Db,
    replica: Option<Replica>,
}

#[derive(Clone, Debug)]
struct Replica {
    db: Db,
    is_usable: Arc<AtomicBool>,
}

impl From<Db> for ReadDb {
    /// Reads at the primary alone.
    fn from(primary: Db) -> Self {
        Self { primary, replica: None }
    }
}

impl ReadDb {
    /// A connection to the replica if it is usable, otherwise to the primary; the limits of [`Db::begin`] hold for each.
    pub async fn acquire(&self) -> Result<Session, sqlx::Error> {
        if let Some(Replica { db, is_usable }) = self.replica.as_ref().filter(|replica| replica.is_usable()) {
            match db.acquire().await {
                Ok(session) => return Ok(session),
                // Until the next check.
                Err(_) => is_usable.store(false, Ordering::Relaxed),
            }
        }
        self.primary.acquire().await
    }
}

impl Replica {
    fn is_usable(&self) -> bool {
        self.is_usable.load(Ordering::Relaxed)
    }
}

/// Reads at a replica with as many connections as `config` says, and at `primary` while the replica is not usable. `config` is
/// the primary's: the replica has its database and logins. A replica that is away, lags, misses a migration or belongs to
/// another primary is listed as the degraded dependency `database/replica`.
pub fn connect_reads(
    config: &Config,
    replica: &ReplicaConfig,
    primary: Db,
    migrations: &'static Migrator,
    process: &Process,
) -> ReadDb {
    const NAME: &str = "replica";
    let Config { pool_size, ref ca, session, .. } = *config;
    let how = How { service: NAME, pool_size, ca: ca.clone(), session, address: Some(replica.address.clone()) };
    let found = Replica { db: Db::lazy(how, &config.url.current()), is_usable: Arc::default() };
    let watch = Watch {
        primary: primary.clone(),
        replica: found.clone(),
        migrations,
        lag_max: replica.lag_max,
        dependency: process.dependency("database/replica"),
    };
    supervise(process, "replica-check", move || watch.clone().run());
    let (db, login) = (found.db.clone(), Login { url: config.url.clone(), ca: config.ca.clone() });
    supervise(process, "replica-login", move || follow(db.clone(), login.clone()));
    ReadDb { primary, replica: Some(found) }
}

#[derive(Clone)]
struct Watch {
    primary: Db,
    replica: Replica,
    migrations: &'static Migrator,
    lag_max: Duration,
    dependency: Dependency,
}

impl Watch {
    async fn run(self) {
        // What the primary had written, and when; the oldest entry is the one that the replica must have replayed.
        let mut written: VecDeque<(Instant, String)> = VecDeque::new();
        let mut system = None;
        loop {
            let missing = match self.inspect(&mut system, &mut written).await {
                Ok(missing) => missing,
                Err(error) => Some(format!("the read replica does not answer: {error}")),
            };
            self.replica.is_usable.store(missing.is_none(), Ordering::Relaxed);
            metrics::gauge!("db_replica_usable").set(if missing.is_none() { 1.0 } else { 0.0 });
            match missing {
                None => self.dependency.up(),
                Some(reason) => self.dependency.down(reason),
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    /// Why the replica is not used, `None` if it is. While the primary does not answer, nothing is written that could be missing.
    async fn inspect(
        &self,
        system: &mut Option<String>,
        written: &mut VecDeque<(Instant, String)>,
    ) -> Result<Option<String>, sqlx::Error> {
        if let Ok((identifier, position)) = self.ask_primary().await {
            *system = Some(identifier);
            written.push_back((Instant::now(), position));
        }
        while written.get(1).is_some_and(|(at, _)| at.elapsed() >= self.lag_max) {
            written.pop_front();
        }
        let (Some(system), Some((_, position))) = (system, written.front()) else {
            return Ok(Some("the primary has not answered yet, whose replica it must be".to_owned()));
        };
        let mut session = self.replica.db.acquire().await?;
        let is_standby: bool = sqlx::query_scalar(IS_STANDBY).fetch_one(&mut *session).await?;
        let identifier: String = sqlx::query_scalar(SYSTEM).fetch_one(&mut *session).await?;
        if !is_standby || identifier != *system {
            let reason = "the read replica is no standby of the database server: correct DATABASE_READ_ADDRESS \
                (spec.database.external.readHost)";
            return Ok(Some(reason.to_owned()));
        }
        if let Some(first) = migrate::pending(&mut session, self.migrations).await?.first() {
            return Ok(Some(format!("the read replica misses the migration {first}, which it will replay")));
        }
        let has_replayed: bool = sqlx::query_scalar(HAS_REPLAYED).bind(position).fetch_one(&mut *session).await?;
        let seconds = self.lag_max.as_secs();
        Ok((!has_replayed)
            .then(|| format!("the read replica lags behind by more than {seconds} s: check its replication")))
    }

    async fn ask_primary(&self) -> Result<(String, String), sqlx::Error> {
        let mut session = self.primary.acquire().await?;
        let identifier = sqlx::query_scalar(SYSTEM).fetch_one(&mut *session).await?;
        Ok((identifier, sqlx::query_scalar(WRITTEN).fetch_one(&mut *session).await?))
    }
}
