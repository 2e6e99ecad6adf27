//! Products in Redis. Depends on `ports` and `domain` only; no answer is wrong without it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use agora_chassis::chain;
use agora_redis::Redis;
use agora_vocab::ProductId;
use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{
    domain::Listed,
    ports::{ProductCache, StoreError},
};

/// Time for which a product is cached unless a change drops it before. A replica that cannot reach Redis while another one
/// can does not drop what it changes: the other one serves it for this time at most.
const PRODUCT_TTL: Duration = Duration::from_mins(1);
/// The tag of every product.
const EVERYTHING: &str = "products";

/// Products in Redis, each with its own tag and the tag of everything.
#[derive(Debug)]
pub struct RedisCache {
    redis: Redis,
    /// How often changed products were not dropped. 1 at first: a process may have ended between a change and its drop.
    missed: AtomicU64,
    /// Its value when everything was last dropped. Until then, nothing is read from Redis.
    flushed: AtomicU64,
}

impl RedisCache {
    pub const fn new(redis: Redis) -> Self {
        Self { redis, missed: AtomicU64::new(1), flushed: AtomicU64::new(0) }
    }

    fn is_stale(&self) -> bool {
        self.missed.load(Ordering::SeqCst) != self.flushed.load(Ordering::SeqCst)
    }

    /// Whether it succeeded.
    async fn drop_tags(&self, tags: &[&str]) -> bool {
        let dropped = self.redis.forget(tags).await;
        if let Err(error) = &dropped {
            tracing::debug!(error = chain(error), "cached products are dropped when Redis is back");
        }
        dropped.is_ok()
    }
}

#[async_trait]
impl ProductCache for RedisCache {
    async fn get_or_load(
        &self,
        id: ProductId,
        load: BoxFuture<'_, Result<Option<Listed>, StoreError>>,
    ) -> Result<Option<Listed>, StoreError> {
        if self.is_stale() {
            return load.await;
        }
        let tag = tag(id);
        self.redis.get_or_load_tagged(&tag, &[EVERYTHING, &tag], PRODUCT_TTL, load).await
    }

    async fn drop_products(&self, ids: &[ProductId]) {
        if ids.is_empty() {
            return;
        }
        let tags: Vec<String> = ids.iter().map(|id| tag(*id)).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        // Everything is dropped soon, and a server that did not answer is not waited for again.
        if self.is_stale() || !self.drop_tags(&tags).await {
            self.missed.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn flush(&self) {
        let missed = self.missed.load(Ordering::SeqCst);
        if missed != self.flushed.load(Ordering::SeqCst) && self.drop_tags(&[EVERYTHING]).await {
            self.flushed.store(missed, Ordering::SeqCst);
        }
    }
}

fn tag(id: ProductId) -> String {
    format!("product:{id}")
}
