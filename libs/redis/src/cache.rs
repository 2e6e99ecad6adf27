//! Cache-aside: what others have loaded a moment ago, else what the loader gives.
//!
//! A value belongs to tags. Each tag has a random mark on the server, and a value is valid while its tags have the marks that
//! they had before it was loaded: dropping a mark drops the values of the tag, also one that is being loaded meanwhile.
//!
//! Knows keys and times to live; must not be needed for a right answer.

use std::{pin::pin, sync::Arc, time::Duration};

use fred::{
    interfaces::KeysInterface,
    types::{Expiration, SetOptions},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Redis};

/// Time to live of a mark. Values of an ended mark are loaded again.
const MARK_TTL_S: i64 = 24 * 60 * 60;
/// Between the marks and the value.
const SEPARATOR: char = '\n';

impl Redis {
    /// The value of a key: from Redis where it is there and readable, else from `load`, kept for `ttl` or until
    /// [`forget`](Self::forget) names the key. Only `load` can fail.
    pub async fn get_or_load<T, E>(
        &self,
        key: &str,
        ttl: Duration,
        load: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
    {
        self.get_or_load_tagged(key, &[key], ttl, load).await
    }

    /// As [`get_or_load`](Self::get_or_load), with the tags whose [`forget`](Self::forget) drops the value.
    pub async fn get_or_load_tagged<T, E>(
        &self,
        key: &str,
        tags: &[&str],
        ttl: Duration,
        load: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
    {
        let looked = self.look(key, tags).await;
        let cached = looked.as_ref().and_then(|look| serde_json::from_str(look.value.as_deref()?).ok());
        if let Some(found) = cached {
            self.count("hit");
            return Ok(found);
        }
        self.count("miss");
        let marks = looked.map(|look| look.marks);
        // Who loads keeps the value; who waited reads the text that it left. After a drop, nobody waits for an older load.
        let flight = format!("{key}{SEPARATOR}{}", marks.as_deref().unwrap_or_default());
        let (mut load, mut loaded) = (pin!(load), None);
        let flight = self.0.flights.join(&flight, async {
            if marks.is_some()
                && let Some(kept) = self.kept::<T>(key, tags).await
            {
                return Ok(kept);
            }
            let value = load.as_mut().await?;
            let text: Arc<str> = serde_json::to_string(&value).unwrap_or_default().into();
            if let Some(marks) = &marks {
                self.keep(key, ttl, &format!("{marks}{SEPARATOR}{text}")).await;
            }
            loaded = Some(value);
            Ok(text)
        });
        let text = flight.await?;
        match loaded.or_else(|| serde_json::from_str(&text).ok()) {
            Some(value) => Ok(value),
            None => load.await,
        }
    }

    /// Makes the next reader of the values of these tags load them again, also those that are being loaded.
    pub async fn forget(&self, tags: &[&str]) -> Result<(), Error> {
        let marks: Vec<String> = tags.iter().map(|tag| self.mark(tag)).collect();
        let client = self.client()?;
        Box::pin(client.del::<(), _>(marks)).await.map_err(Error::Unavailable)
    }

    /// The value of a key, if it is valid, and the marks of its tags. `None`: Redis is away.
    async fn look(&self, key: &str, tags: &[&str]) -> Option<Look> {
        let client = self.client().ok()?;
        let names: Vec<String> = tags.iter().map(|tag| self.mark(tag)).chain([self.key(key)]).collect();
        // Boxed, like every command: fred's futures are 10 KiB, which every caller would carry.
        let mut found: Vec<Option<String>> = Box::pin(client.mget(names.clone())).await.ok()?;
        let text = found.pop()?;
        if let Some(marks) = joined(&found) {
            let value = text.and_then(|text| Some(text.strip_prefix(&marks)?.strip_prefix(SEPARATOR)?.to_owned()));
            return Some(Look { value, marks });
        }
        for (name, _) in names.iter().zip(&found).filter(|(_, mark)| mark.is_none()) {
            let mark = self.0.ids.next().to_string();
            let expiration = Some(Expiration::EX(MARK_TTL_S));
            Box::pin(client.set::<(), _, _>(name, mark, expiration, Some(SetOptions::NX), false)).await.ok()?;
        }
        let marks: Vec<Option<String>> = Box::pin(client.mget(names[..tags.len()].to_vec())).await.ok()?;
        Some(Look { value: None, marks: joined(&marks)? })
    }

    /// What a reader kept that looked at the same time as this one, and has ended since. Without this second look the value
    /// would be loaded twice.
    async fn kept<T: DeserializeOwned>(&self, key: &str, tags: &[&str]) -> Option<Arc<str>> {
        let text = self.look(key, tags).await?.value?;
        serde_json::from_str::<T>(&text).is_ok().then(|| text.into())
    }

    async fn keep(&self, key: &str, ttl: Duration, text: &str) {
        let Ok(client) = self.client() else { return };
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).max(1);
        let kept = client.set::<(), _, _>(self.key(key), text, Some(Expiration::PX(ttl_ms)), None, false);
        if let Err(error) = Box::pin(kept).await {
            tracing::debug!(%error, "not cached");
        }
    }

    /// The name of a tag's mark.
    fn mark(&self, tag: &str) -> String {
        self.key(&format!("mark:{tag}"))
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("cache_total", "service" => self.0.service, "outcome" => outcome).increment(1);
    }
}

/// What Redis holds of a key.
struct Look {
    value: Option<String>,
    /// The marks of all tags, as they stand before the value.
    marks: String,
}

/// `None`: a tag has no mark.
fn joined(marks: &[Option<String>]) -> Option<String> {
    Some(marks.iter().map(Option::as_deref).collect::<Option<Vec<_>>>()?.join(","))
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
    use tokio::task::JoinSet;

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

    /// One that looks before another has kept the value, and goes on after the other has ended.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_that_looked_before_another_ended_loads_nothing() {
        let redis = connected(&agora_testkit::redis().await, "late").await;
        let loads = Arc::new(AtomicU32::new(0));
        for round in 0..100 {
            let mut readers = JoinSet::new();
            for _ in 0..8 {
                let (redis, loads, key) = (redis.clone(), Arc::clone(&loads), format!("p{round}"));
                readers.spawn(async move {
                    let counted = async { Ok::<_, Infallible>(loads.fetch_add(1, Ordering::SeqCst)) };
                    redis.get_or_load(&key, MINUTE, counted).await.expect("infallible")
                });
            }
            assert_eq!(readers.join_all().await, [round; 8]);
        }
    }

    #[tokio::test]
    async fn a_value_that_was_dropped_while_it_was_loaded_is_loaded_again() {
        let redis = connected(&agora_testkit::redis().await, "dropped").await;
        for tag in ["all", "p"] {
            let slow = async {
                redis.forget(&[tag]).await.expect("an answer");
                Ok::<_, Infallible>(0)
            };
            assert_eq!(redis.get_or_load_tagged("p", &["all", "p"], MINUTE, slow).await, Ok(0), "what it loaded");
            let fresh = async { Ok::<_, Infallible>(7) };
            assert_eq!(redis.get_or_load_tagged("p", &["all", "p"], MINUTE, fresh).await, Ok(7));
            let unneeded = async { Ok::<_, Infallible>(8) };
            assert_eq!(redis.get_or_load_tagged("p", &["all", "p"], MINUTE, unneeded).await, Ok(7));
            redis.forget(&["p"]).await.expect("an answer");
        }
    }

    #[tokio::test]
    async fn da12_a_tag_drops_all_of_its_values_and_no_other() {
        let redis = connected(&agora_testkit::redis().await, "tags").await;
        let loads = AtomicU32::new(0);
        let load = async |key: &str, tags: &[&str]| {
            let counted = async { Ok::<_, Infallible>(loads.fetch_add(1, Ordering::SeqCst)) };
            redis.get_or_load_tagged(key, tags, MINUTE, counted).await.expect("infallible")
        };
        let all = async || [load("a", &["x", "y"]).await, load("b", &["y"]).await, load("c", &["z"]).await];
        assert_eq!((all().await, all().await), ([0, 1, 2], [0, 1, 2]));
        redis.forget(&["y", "none"]).await.expect("an answer");
        assert_eq!((all().await, all().await), ([3, 4, 2], [3, 4, 2]));
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

    #[tokio::test]
    async fn de11_hits_and_misses_of_the_cache_are_counted_and_the_connection_shows() {
        agora_chassis::telemetry::metrics_handle();
        let server = RedisServer::start();
        let process = Process::for_test("counted");
        let redis = Redis::connect(&Config::fixed(&server.url(), "counted"), &process);
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let loads = AtomicU32::new(0);
        for _ in 0..3 {
            load(&redis, "p", &loads).await;
        }
        let shown = agora_chassis::telemetry::series_value;
        assert_eq!(shown("cache_total{service=\"counted\",outcome=\"miss\"}"), Some(1.0));
        assert_eq!(shown("cache_total{service=\"counted\",outcome=\"hit\"}"), Some(2.0));
        let status = || shown("redis_connection_status{service=\"counted\"}");
        assert_eq!(status(), Some(1.0));

        server.stop();

        let give_up = tokio::time::Instant::now() + MINUTE;
        while status() != Some(0.0) {
            assert!(tokio::time::Instant::now() < give_up, "the gauge still shows a connection");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        process.end().await;
    }
}
