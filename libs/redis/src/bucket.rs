//! A token bucket: so many at once, so many a second.
//!
//! Knows the server's clock; must not decide what happens while Redis is away.

use std::time::Duration;

use fred::interfaces::LuaInterface;

use crate::{Error, Redis};

/// How many tokens, and how they come back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Tokens at most.
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

/// Arguments: burst, tokens a second. Deletes a bucket that has been full for long.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local burst, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local held = redis.call('HMGET', KEYS[1], 'n', 't')
local n, last = tonumber(held[1]) or burst, tonumber(held[2]) or now
n = math.min(burst, n + math.max(0, now - last) * rate / 1000)
local taken = 0
if n >= 1 then n = n - 1; taken = 1 end
redis.call('HSET', KEYS[1], 'n', tostring(n), 't', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst * 1000 / rate) + 1000)
return {taken, math.floor(n), math.max(1, math.ceil((1 - n) * 1000 / rate))}";

impl Redis {
    /// Takes a token of the bucket of that key.
    pub async fn take(&self, key: &str, bucket: Bucket) -> Result<Taken, Error> {
        let arguments = vec![bucket.burst.to_string(), bucket.per_second.to_string()];
        let key = vec![self.key(&format!("bucket:{key}"))];
        let client = self.client()?;
        let answer = Box::pin(client.eval(TAKE, key, arguments)).await;
        let (taken, left, wait_ms): (u8, u32, u64) = answer.map_err(Error::Unavailable)?;
        Ok(if taken == 1 { Taken::Yes { left } } else { Taken::No { retry_after: Duration::from_millis(wait_ms) } })
    }
}

#[cfg(all(test, feature = "db-tests"))]
mod tests {
    use agora_chassis::Process;

    use super::*;
    use crate::Config;

    #[tokio::test]
    async fn a_bucket_gives_its_burst_and_then_says_when_to_come_back() {
        let config = Config::fixed(&agora_testkit::redis().await, "bucket");
        let redis = Redis::connect(&config, &Process::for_test("gateway"));
        while redis.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
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
}
