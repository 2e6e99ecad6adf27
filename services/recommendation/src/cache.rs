//! Results and limits in Redis. Depends on `ports` and `domain` only; nothing here is needed for a right answer.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use agora_chassis::{Process, chain};
use agora_redis::{Limiter, Redis};
use agora_vocab::{Allowance, UserId};
use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{
    domain::Recommendation,
    ports::{RequestLimit, ResultCache, Stale, StoreError},
};

/// Time for which a result is cached unless an event drops it before. The order among best sellers, which every purchase changes,
/// is as old at most.
const RESULT_TTL: Duration = Duration::from_mins(5);
/// The tag of every result.
const EVERYTHING: &str = "everything";
/// 100 requests a minute.
const REQUESTS: Allowance = Allowance { burst: 100, pause: Duration::from_millis(600) };

/// Results in Redis, each with the tag of its user and the tag of everything.
#[derive(Debug)]
pub struct RedisCache {
    redis: Redis,
    /// Whether results could not be dropped. True at first: a process may have ended between a change and its drop.
    missed: AtomicBool,
}

impl RedisCache {
    pub fn new(redis: Redis) -> Self {
        Self { redis, missed: AtomicBool::new(true) }
    }

    async fn drop_tags(&self, tags: &[&str]) {
        if let Err(error) = self.redis.forget(tags).await {
            tracing::debug!(error = chain(&error), "cached recommendations are dropped when Redis is back");
            self.missed.store(true, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl ResultCache for RedisCache {
    async fn get_or_compute(
        &self,
        user: UserId,
        compute: BoxFuture<'_, Result<Vec<Recommendation>, StoreError>>,
    ) -> Result<Vec<Recommendation>, StoreError> {
        self.flush().await;
        if self.missed.load(Ordering::SeqCst) {
            // What is cached may be stale.
            return compute.await;
        }
        let tag = tag(user);
        self.redis
            .get_or_load_tagged(&format!("recommendations:{user}"), &[EVERYTHING, &tag], RESULT_TTL, compute)
            .await
    }

    async fn drop_results(&self, stale: Stale<'_>) {
        match stale {
            Stale::Everything => self.drop_tags(&[EVERYTHING]).await,
            Stale::Users(users) => {
                let tags: Vec<_> = users.iter().map(|user| tag(*user)).collect();
                self.drop_tags(&tags.iter().map(String::as_str).collect::<Vec<_>>()).await;
            }
        }
    }

    async fn flush(&self) {
        if self.missed.swap(false, Ordering::SeqCst) {
            self.drop_tags(&[EVERYTHING]).await;
        }
    }
}

fn tag(user: UserId) -> String {
    format!("user:{user}")
}

/// 100 requests of each user a minute, counted in Redis; while it is away, by each process.
#[derive(Debug)]
pub struct RedisLimit(Limiter);

impl RedisLimit {
    pub fn new(redis: Redis, process: &Process) -> Self {
        Self(Limiter::new(redis, "requests", REQUESTS, process))
    }
}

#[async_trait]
impl RequestLimit for RedisLimit {
    async fn take(&self, user: UserId) -> Result<(), Duration> {
        self.0.take(&user.to_string()).await
    }
}
