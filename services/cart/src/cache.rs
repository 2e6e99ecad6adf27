//! Quotes of carts and the limit of guests' carts in Redis. Depends on `ports` and `domain` only; no answer is wrong without it.

use std::{net::IpAddr, time::Duration};

use agora_chassis::{Process, chain};
use agora_redis::{Limiter, Redis};
use agora_vocab::{Allowance, ProductId};
use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{
    domain::QuoteResult,
    ports::{CatalogUnavailable, GuestLimit, QuoteCache},
};

/// Time for which a cart shows a quote unless an event of one of its products drops it before: sales change the stock without
/// an event of the product.
pub const QUOTE_TTL: Duration = Duration::from_secs(5);

/// Guests' carts that an address creates: 120 in any hour at most.
const GUEST_CARTS: Allowance = Allowance { burst: 60, pause: Duration::from_mins(1) };

/// Quotes in Redis, each under the ids of its products and with a tag for each of them.
#[derive(Clone, Debug)]
pub struct RedisQuotes {
    pub redis: Redis,
    /// Time for which a quote is kept.
    pub ttl: Duration,
}

#[async_trait]
impl QuoteCache for RedisQuotes {
    async fn get_or_load(
        &self,
        products: &[ProductId],
        load: BoxFuture<'_, Result<QuoteResult, CatalogUnavailable>>,
    ) -> Result<QuoteResult, CatalogUnavailable> {
        let tags: Vec<String> = products.iter().map(|id| tag(*id)).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let ids: Vec<String> = products.iter().map(|id| id.uuid().simple().to_string()).collect();
        self.redis.get_or_load_tagged(&format!("quote:{}", ids.join(",")), &tags, self.ttl, load).await
    }

    async fn drop_products(&self, products: &[ProductId]) {
        let tags: Vec<String> = products.iter().map(|id| tag(*id)).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        if let Err(error) = self.redis.forget(&tags).await {
            tracing::debug!(error = chain(&error), "quotes are shown until they expire");
        }
    }
}

/// 120 guests' carts of each address an hour, counted in Redis; while it is away, by each process.
#[derive(Debug)]
pub struct RedisGuestLimit(Limiter);

impl RedisGuestLimit {
    pub fn new(redis: Redis, process: &Process) -> Self {
        Self(Limiter::new(redis, "guest-carts", GUEST_CARTS, process))
    }
}

#[async_trait]
impl GuestLimit for RedisGuestLimit {
    async fn take(&self, address: IpAddr) -> Result<(), Duration> {
        self.0.take(&address.to_string()).await
    }
}

fn tag(id: ProductId) -> String {
    format!("product:{id}")
}
