//! Redis as a hint: a pool, the key namespace, cache-aside, a token bucket, a limit by key, the list of revoked sessions.
//!
//! Knows keys and how to do without a server; must not hold anything whose loss would make an answer wrong.

mod bucket;
mod cache;
mod flight;
mod limiter;
mod revoked;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use agora_chassis::{Process, Reader, WatchedSecret};
use agora_vocab::Ids;
use fred::prelude::{Builder, Client, ClientLike, Pool, ReconnectPolicy};

pub use bucket::{Bucket, BucketLevel, Taken, TakenOfEach};
pub use limiter::Limiter;
pub use revoked::{REVOKED_SESSIONS_MAX, RevokedSession, RevokedSessions};

const ISOLATION_KEY_DEFAULT: &str = "agora";
const CONNECTIONS: usize = 4;
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// A hint that takes longer is worth less than the truth.
const COMMAND_MAX: Duration = Duration::from_millis(250);
const RECONNECT_MS_MIN: u32 = 100;
const RECONNECT_MS_MAX: u32 = 2_000;
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Why Redis gave no hint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none.
    #[error("REDIS_URL is not a Redis URL")]
    Url(#[source] fred::error::Error),
    /// The server is away or slow, or refused.
    #[error("asking Redis")]
    Unavailable(#[source] fred::error::Error),
    /// There is none at the moment.
    #[error("there is no connection to Redis")]
    Unconnected,
}

/// Settings of Redis.
#[derive(Clone, Debug)]
pub struct Config {
    url: WatchedSecret,
    /// In place of one in the URL.
    password: Option<WatchedSecret>,
    isolation_key: String,
    /// How many connections the pool has.
    connections: usize,
}

impl Config {
    /// Reads `REDIS_URL`, `REDIS_PASSWORD` and `ISOLATION_KEY`.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            url: reader.secret("REDIS_URL"),
            password: reader.optional_secret("REDIS_PASSWORD"),
            isolation_key: reader.default("ISOLATION_KEY", ISOLATION_KEY_DEFAULT.to_owned()),
            connections: CONNECTIONS,
        }
    }

    /// A server at a fixed URL.
    pub fn fixed(url: &str, isolation_key: &str) -> Self {
        let isolation_key = isolation_key.to_owned();
        Self { url: WatchedSecret::fixed(url), password: None, isolation_key, connections: CONNECTIONS }
    }

    /// The same server over one connection, for what asks it seldom.
    #[must_use]
    pub fn with_one_connection(self) -> Self {
        Self { connections: 1, ..self }
    }

    /// The settings of a connection, as they are now.
    fn connection(&self) -> Result<fred::types::config::Config, Error> {
        let mut connection = fred::types::config::Config::from_url(self.url.current().expose()).map_err(Error::Url)?;
        if let Some(password) = &self.password {
            connection.password = Some(password.current().expose().to_owned());
        }
        // Its absence at the start is no reason to stop trying.
        connection.fail_fast = false;
        Ok(connection)
    }

    /// Returns when the address or the password is another one.
    async fn changed(&mut self) {
        let Self { url, password, .. } = self;
        let password_changed = async {
            match password {
                Some(password) => drop(password.changed().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = url.changed() => {}
            () = password_changed => {}
        }
    }
}

/// A service's share of Redis. Cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    prefix: String,
    /// Of the keys that all services share.
    shared_prefix: String,
    service: &'static str,
    pool: RwLock<Option<Pool>>,
    flights: flight::Flights,
    ids: Arc<dyn Ids>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

impl Redis {
    /// A handle at once; connections come and go behind it. While Redis does not answer, `redis` is listed as degraded.
    pub fn connect(config: &Config, process: &Process) -> Self {
        let redis = Self(Arc::new(Inner {
            prefix: format!("{}:{}:", config.isolation_key, process.service()),
            shared_prefix: format!("{}:", config.isolation_key),
            service: process.service(),
            pool: RwLock::new(None),
            flights: flight::Flights::default(),
            ids: process.ids(),
        }));
        let dependency = process.dependency("redis").measured_by("redis_connection_status");
        let (watched, config) = (redis.clone(), config.clone());
        if let Err(error) = redis.open(&config) {
            dependency.down(error.to_string());
        }
        let shutdown = process.shutdown();
        process.supervise("redis", move || {
            let (watched, config, dependency) = (watched.clone(), config.clone(), dependency.clone());
            let shutdown = shutdown.clone();
            async move {
                shutdown.run_until_cancelled(watched.watch(config, dependency)).await;
                Ok(())
            }
        });
        redis
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let client = self.client()?;
        Box::pin(client.ping::<()>(None)).await.map_err(Error::Unavailable)
    }

    /// The name that a key has on the server.
    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.0.prefix)
    }

    /// The name on the server of a key that all services share.
    fn shared_key(&self, key: &str) -> String {
        format!("{}{key}", self.0.shared_prefix)
    }

    /// A client that is connected; waiting for one would take longer than doing without.
    fn client(&self) -> Result<Client, Error> {
        let pool = self.0.pool.read().unwrap_or_else(PoisonError::into_inner);
        let client = pool.as_ref().map(Pool::next_connected).filter(|client| client.is_connected());
        client.cloned().ok_or(Error::Unconnected)
    }

    /// Replaces the connections; the old ones end when their last command does.
    fn open(&self, config: &Config) -> Result<(), Error> {
        let pool = Builder::from_config(config.connection()?)
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT_MAX;
                connection.max_command_attempts = 1;
            })
            .with_performance_config(|performance| performance.default_command_timeout = COMMAND_MAX)
            .set_policy(ReconnectPolicy::new_exponential(0, RECONNECT_MS_MIN, RECONNECT_MS_MAX, 2))
            .build_pool(config.connections)
            .map_err(Error::Url)?;
        drop(pool.connect());
        *self.0.pool.write().unwrap_or_else(PoisonError::into_inner) = Some(pool);
        Ok(())
    }

    async fn watch(self, mut config: Config, dependency: agora_chassis::Dependency) {
        loop {
            if tokio::time::timeout(CHECK_EVERY, config.changed()).await.is_ok()
                && let Err(error) = self.replace(&config).await
            {
                tracing::warn!(%error, "the new address or password of Redis is not taken over");
            }
            match self.ping().await {
                Ok(()) => dependency.up(),
                Err(error) => dependency.down(error.to_string()),
            }
        }
    }

    async fn replace(&self, config: &Config) -> Result<(), Error> {
        let old = self.0.pool.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.open(config)?;
        if let Some(old) = old {
            old.quit().await.map_err(Error::Unavailable)?;
        }
        Ok(())
    }
}
