//! Cache-aside: what others have loaded a moment ago, else what the loader gives.
//!
//! Knows keys and times to live; must not be needed for a right answer.

use std::{pin::pin, sync::Arc, time::Duration};

use fred::{interfaces::KeysInterface, types::Expiration};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Redis};

impl Redis {
    /// The value of a key: from Redis where it is there and readable, else from `load`, kept for `ttl`. Only `load` can fail.
    pub async fn get_or_load<T, E>(
        &self,
        key: &str,
        ttl: Duration,
        load: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
    {
        if let Some(found) = self.cached(key).await {
            self.count("hit");
            return Ok(found);
        }
        self.count("miss");
        // Who loads keeps the value; who waited reads the text that it left.
        let (mut load, mut loaded) = (pin!(load), None);
        let flight = self.0.flights.join(key, async {
            let value = load.as_mut().await?;
            let text: Arc<str> = serde_json::to_string(&value).unwrap_or_default().into();
            self.keep(key, ttl, &text).await;
            loaded = Some(value);
            Ok(text)
        });
        let text = flight.await?;
        match loaded.or_else(|| serde_json::from_str(&text).ok()) {
            Some(value) => Ok(value),
            None => load.await,
        }
    }

    /// Makes the next reader of these keys load them again. Best effort: they also end by themselves.
    pub async fn forget(&self, keys: &[&str]) -> Result<(), Error> {
        let keys: Vec<String> = keys.iter().map(|key| self.key(key)).collect();
        let client = self.client()?;
        Box::pin(client.del::<(), _>(keys)).await.map_err(Error::Unavailable)
    }

    async fn cached<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let client = self.client().ok()?;
        // Boxed, like every command: fred's futures are 10 KiB, which every caller would carry.
        let text: Option<String> = Box::pin(client.get(self.key(key))).await.ok()?;
        serde_json::from_str(&text?).ok()
    }

    async fn keep(&self, key: &str, ttl: Duration, text: &str) {
        let Ok(client) = self.client() else { return };
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1);
        let kept = client.set::<(), _, _>(self.key(key), text, Some(Expiration::PX(ttl_ms)), None, false);
        if let Err(error) = Box::pin(kept).await {
            tracing::debug!(%error, "not cached");
        }
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("cache_total", "service" => self.0.service, "outcome" => outcome).increment(1);
    }
}

#[cfg(all(test, feature = "db-tests"))]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicU32, Ordering},
    };

    use agora_chassis::Process;
    use agora_testkit::RedisServer;
    use futures::future::join_all;

    use super::*;
    use crate::Config;

    const MINUTE: Duration = Duration::from_mins(1);

    async fn connected(url: &str, isolation_key: &str) -> Redis {
        let redis = Redis::connect(&Config::fixed(url, isolation_key), &Process::for_test("catalog"));
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        redis
    }

    /// Loads the number of this load.
    async fn load(redis: &Redis, key: &str, loads: &AtomicU32) -> u32 {
        let counted = async {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(loads.fetch_add(1, Ordering::SeqCst) + 1)
        };
        redis.get_or_load(key, MINUTE, counted).await.expect("infallible")
    }

    #[tokio::test]
    async fn of_many_misses_one_loads_and_the_next_reader_loads_nothing() {
        let redis = connected(&agora_testkit::redis().await, "stampede").await;
        let loads = AtomicU32::new(0);
        let values = join_all((0..100).map(|_| load(&redis, "p", &loads))).await;
        assert_eq!(values, [1; 100]);
        assert_eq!(load(&redis, "p", &loads).await, 1);

        redis.forget(&["p"]).await.expect("an answer");

        assert_eq!(load(&redis, "p", &loads).await, 2);
    }

    #[tokio::test]
    async fn isolation_keys_share_a_server_and_see_nothing_of_each_other() {
        let url = agora_testkit::redis().await;
        let (one, other) = (connected(&url, "one").await, connected(&url, "other").await);
        let loads = AtomicU32::new(0);
        assert_eq!(load(&one, "p", &loads).await, 1);
        assert_eq!(load(&other, "p", &loads).await, 2);
    }

    #[tokio::test]
    async fn without_a_server_everything_is_loaded_quickly_and_it_recovers_by_itself() {
        let server = RedisServer::start();
        let redis = connected(&server.url(), "away").await;
        let loads = AtomicU32::new(0);
        server.stop();

        let started = tokio::time::Instant::now();
        for n in 1..=5 {
            assert_eq!(load(&redis, "p", &loads).await, n);
        }
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        assert!(redis.ping().await.is_err());

        server.resume();
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(load(&redis, "p", &loads).await, 6);
        assert_eq!(load(&redis, "p", &loads).await, 6);
    }
}
