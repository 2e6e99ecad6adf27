//! Token buckets: so many at once, so many a second.
//!
//! Knows the server's clock; must not decide what happens while Redis is away.

use std::{sync::LazyLock, time::Duration};

use fred::types::scripts::Script;

use crate::{Error, Redis};

/// How many tokens, and how they come back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Tokens at most; at least 1.
    pub burst: u32,
    /// Tokens that come back in a second; more than 0.
    pub per_second: f64,
}

/// Whether there was a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Yes {
        /// Whole tokens that are left.
        left: u32,
    },
    /// There was none.
    No {
        /// When there will be one.
        retry_after: Duration,
    },
}

/// What a bucket holds after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketLevel {
    /// Whole tokens that are left.
    pub left: u32,
    /// When there will be one; zero if there is.
    pub next_in: Duration,
}

/// The outcome of a try of several buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOfEach {
    /// Whether a token of each was taken. Otherwise none was: at least one bucket had none.
    pub taken: bool,
    /// In the order of the buckets.
    pub levels: Vec<BucketLevel>,
}

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::from_lua(include_str!("take.lua")));

impl Redis {
    /// Takes a token of the bucket of that key.
    pub async fn take(&self, key: &str, bucket: Bucket) -> Result<Taken, Error> {
        let TakenOfEach { taken, levels } = self.take_of_each(&[(key, bucket)]).await?;
        let BucketLevel { left, next_in } = levels.first().copied().ok_or(Error::Unconnected)?;
        Ok(if taken { Taken::Yes { left } } else { Taken::No { retry_after: next_in.max(Duration::from_millis(1)) } })
    }

    /// Takes a token of each of the buckets, or none of any, in one round trip.
    pub async fn take_of_each<K: AsRef<str>>(&self, buckets: &[(K, Bucket)]) -> Result<TakenOfEach, Error> {
        let keys: Vec<String> = buckets.iter().map(|(key, _)| self.key(&format!("bucket:{}", key.as_ref()))).collect();
        let numbers = buckets.iter().flat_map(|(_, bucket)| [bucket.burst.to_string(), bucket.per_second.to_string()]);
        let numbers: Vec<String> = numbers.collect();
        let client = self.client()?;
        let answer = Box::pin(TAKE.evalsha_with_reload(&client, keys, numbers)).await;
        let answer: Vec<u64> = answer.map_err(Error::Unavailable)?;
        let (taken, levels) = answer.split_first().ok_or(Error::Unconnected)?;
        let level = |[left, wait_ms]: &[u64; 2]| BucketLevel {
            left: u32::try_from(*left).unwrap_or(u32::MAX),
            next_in: Duration::from_millis(*wait_ms),
        };
        Ok(TakenOfEach { taken: *taken == 1, levels: levels.as_chunks::<2>().0.iter().map(level).collect() })
    }
}

#[cfg(all(test, feature = "db-tests"))]
mod tests {
    use agora_chassis::Process;

    use super::*;
    use crate::Config;

    async fn connected(isolation_key: &str) -> Redis {
        let config = Config::fixed(&agora_testkit::redis().await, isolation_key);
        let redis = Redis::connect(&config, &Process::for_test("gateway"));
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        redis
    }

    #[tokio::test]
    async fn a_bucket_gives_its_burst_and_then_says_when_to_come_back() {
        let redis = connected("bucket").await;
        let bucket = Bucket { burst: 3, per_second: 0.5 };
        for left in [2, 1, 0] {
            assert_eq!(redis.take("client", bucket).await.expect("an answer"), Taken::Yes { left });
        }
        let Taken::No { retry_after } = redis.take("client", bucket).await.expect("an answer") else {
            panic!("a fourth of three")
        };
        assert!((1_500..=2_000).contains(&retry_after.as_millis()), "{retry_after:?}");
        assert_eq!(redis.take("another", bucket).await.expect("an answer"), Taken::Yes { left: 2 });
    }

    #[tokio::test]
    async fn gw6_of_several_buckets_each_gives_a_token_or_none_does() {
        let redis = connected("buckets").await;
        let (small, large) = (Bucket { burst: 1, per_second: 0.1 }, Bucket { burst: 3, per_second: 0.1 });
        let both = [("small", small), ("large", large)];
        let first = redis.take_of_each(&both).await.expect("an answer");
        let left: Vec<u32> = first.levels.iter().map(|level| level.left).collect();
        assert_eq!((first.taken, left), (true, vec![0, 2]));
        for _ in 0..2 {
            let refused = redis.take_of_each(&both).await.expect("an answer");
            let [small, large] = refused.levels[..] else { panic!("{refused:?}") };
            assert!(!refused.taken && small.next_in > Duration::from_secs(8), "{small:?}");
            assert_eq!((large.left, large.next_in), (2, Duration::ZERO), "no token of the other was taken");
        }
        assert_eq!(redis.take("large", large).await.expect("an answer"), Taken::Yes { left: 1 });
    }

    #[tokio::test]
    async fn gw6_a_bucket_whose_burst_was_lowered_holds_no_more_than_the_new_one() {
        let redis = connected("lowered").await;
        let bucket = |burst| Bucket { burst, per_second: 0.001 };
        assert_eq!(redis.take("client", bucket(100)).await.expect("an answer"), Taken::Yes { left: 99 });
        assert_eq!(redis.take("client", bucket(2)).await.expect("an answer"), Taken::Yes { left: 1 });
        assert_eq!(redis.take("client", bucket(100)).await.expect("an answer"), Taken::Yes { left: 0 });
    }
}
