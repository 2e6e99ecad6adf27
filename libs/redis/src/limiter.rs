//! A limit of how often each key may do something: counted on the server, and in this process while the server is away.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use agora_chassis::Process;
use agora_vocab::{Allowance, Allowances, Clock};

use crate::{Bucket, Redis, Taken};

/// Keys that are counted in this process at most.
const KEYS_MAX: usize = 10_000;

/// A limit for each key.
pub struct Limiter {
    redis: Redis,
    name: &'static str,
    bucket: Bucket,
    /// By the hash of the key.
    local: Allowances<u64>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("name", &self.name).field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Limiter {
    /// A limit with a name, which two limits of one service must not share.
    pub fn new(redis: Redis, name: &'static str, allowance: Allowance, process: &Process) -> Self {
        let bucket = Bucket { burst: allowance.burst, per_second: 1.0 / allowance.pause.as_secs_f64() };
        let local = Allowances::new(allowance, KEYS_MAX);
        Self { redis, name, bucket, local, hasher: RandomState::new(), clock: process.clock() }
    }

    /// Counts one try of the key, or returns after what time there is another. While Redis is away, each process counts by
    /// itself, so that a service of several processes allows more.
    pub async fn take(&self, key: &str) -> Result<(), Duration> {
        match self.redis.take(&format!("{}:{key}", self.name), self.bucket).await {
            Ok(Taken::Yes { .. }) => Ok(()),
            Ok(Taken::No { retry_after }) => Err(retry_after),
            Err(error) => {
                tracing::debug!(%error, limit = self.name, "counted in this process");
                self.local.take(self.hasher.hash_one(key), self.clock.now())
            }
        }
    }
}

#[cfg(all(test, feature = "db-tests"))]
mod tests {
    use agora_testkit::RedisServer;

    use super::*;
    use crate::Config;

    #[tokio::test]
    async fn a_limit_holds_with_and_without_a_server() {
        let (server, process) = (RedisServer::start(), Process::for_test("recommendation"));
        let redis = Redis::connect(&Config::fixed(&server.url(), "limit"), &process);
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let allowance = Allowance { burst: 3, pause: Duration::from_mins(1) };
        let limiter = Limiter::new(redis.clone(), "requests", allowance, &process);
        for _ in 0..2 {
            for _ in 0..3 {
                assert_eq!(limiter.take("one").await, Ok(()));
            }
            let wait = limiter.take("one").await.expect_err("a fourth of three");
            assert!((1..=60).contains(&wait.as_secs()), "{wait:?}");
            assert_eq!(limiter.take("another").await, Ok(()));
            server.stop();
            while redis.ping().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
