//! Single orders in Redis, around any store. Depends on `ports` and `domain` only; no answer is wrong without Redis.

use std::{collections::HashSet, sync::Arc, time::Duration};

use agora_chassis::chain;
use agora_outbox::{DedupKey, Outcome};
use agora_redis::Redis;
use agora_vocab::{CommandId, OrderId, Page, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{
    domain::{Order, OrderDraft, RunnerId, SagaEvent},
    ports::{
        ApplyError, CreateError, IdempotencyLeases, Issued, Listing, OrderReads, OrderStore, Orders, PersonalData,
        RequestLease, SagaSnapshot, Sagas, StoreError,
    },
};

/// Time for which an order is cached unless a change drops it before. A replica that cannot reach Redis while another one can
/// does not drop what it changes: the other one serves it for this time at most.
pub const ORDER_TTL: Duration = Duration::from_secs(5);

/// A store whose [`OrderReads::find`] is answered by Redis.
pub struct CachedOrders {
    pub store: Arc<dyn OrderStore>,
    pub redis: Redis,
    /// Time for which an order is kept.
    pub ttl: Duration,
}

impl CachedOrders {
    /// Drops the order after a change that is committed, or may be.
    async fn drop_changed(&self, order: OrderId, done: &Result<Outcome<SagaSnapshot>, ApplyError>) {
        let unchanged = matches!(done, Ok(Outcome::Duplicate(_)) | Err(ApplyError::NotFound | ApplyError::Refused(_)));
        if !unchanged {
            self.forget(&[order]).await;
        }
    }

    async fn forget(&self, orders: &[OrderId]) {
        let keys: Vec<String> = orders.iter().copied().map(key).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        if let Err(error) = self.redis.forget(&keys).await {
            tracing::debug!(error = chain(&error), "cached orders are served until they expire");
        }
    }
}

/// Why an order cannot be cached.
enum NotCached {
    Absent,
    Failed(StoreError),
}

#[async_trait]
impl OrderReads for CachedOrders {
    async fn load(&self, order: OrderId) -> Result<Option<SagaSnapshot>, StoreError> {
        self.store.load(order).await
    }

    async fn find(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        let load = async { self.store.find(order).await.map_err(NotCached::Failed)?.ok_or(NotCached::Absent) };
        match self.redis.get_or_load(&key(order), self.ttl, load).await {
            Ok(order) => Ok(Some(order)),
            Err(NotCached::Absent) => Ok(None),
            Err(NotCached::Failed(error)) => Err(error),
        }
    }

    async fn paid_at(&self, order: OrderId) -> Result<Option<OffsetDateTime>, StoreError> {
        self.store.paid_at(order).await
    }

    async fn page(&self, listing: &Listing) -> Result<Page<Order>, StoreError> {
        self.store.page(listing).await
    }

    async fn many(&self, orders: &[OrderId], user: Option<UserId>) -> Result<Vec<Order>, StoreError> {
        self.store.many(orders, user).await
    }
}

#[async_trait]
impl Orders for CachedOrders {
    async fn create(&self, draft: OrderDraft, issued: Issued, runner: RunnerId) -> Result<SagaSnapshot, CreateError> {
        self.store.create(draft, issued, runner).await
    }

    async fn apply(
        &self,
        order: OrderId,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        let done = self.store.apply(order, events, dedup_key, runner).await;
        self.drop_changed(order, &done).await;
        done
    }

    async fn applied_commands(&self, commands: &[CommandId]) -> Result<HashSet<CommandId>, StoreError> {
        self.store.applied_commands(commands).await
    }
}

#[async_trait]
impl Sagas for CachedOrders {
    async fn advance(
        &self,
        known: SagaSnapshot,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: RunnerId,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        let order = known.state.order.id;
        let done = self.store.advance(known, events, dedup_key, runner).await;
        self.drop_changed(order, &done).await;
        done
    }

    async fn acquire_lease(&self, order: OrderId, runner: RunnerId) -> Result<Option<SagaSnapshot>, StoreError> {
        self.store.acquire_lease(order, runner).await
    }

    async fn lease_due(&self, runner: RunnerId, limit: u32) -> Result<Vec<SagaSnapshot>, StoreError> {
        self.store.lease_due(runner, limit).await
    }

    async fn release_lease(&self, order: OrderId, runner: RunnerId) -> Result<(), StoreError> {
        self.store.release_lease(order, runner).await
    }

    async fn stuck(&self) -> Result<u64, StoreError> {
        self.store.stuck().await
    }
}

#[async_trait]
impl IdempotencyLeases for CachedOrders {
    async fn acquire_idempotency_lease(
        &self,
        dedup_key: &DedupKey,
        fresh: OrderId,
        user: UserId,
    ) -> Result<RequestLease, StoreError> {
        self.store.acquire_idempotency_lease(dedup_key, fresh, user).await
    }

    async fn cancel_idempotency_lease(&self, order: OrderId) -> Result<bool, StoreError> {
        self.store.cancel_idempotency_lease(order).await
    }

    async fn expired_idempotency_leases(&self, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        self.store.expired_idempotency_leases(limit).await
    }
}

#[async_trait]
impl PersonalData for CachedOrders {
    async fn erase_ended_orders(&self, limit: u16, pause: Duration) -> Result<Option<Vec<OrderId>>, StoreError> {
        let erased = self.store.erase_ended_orders(limit, pause).await?;
        if let Some(orders) = &erased
            && !orders.is_empty()
        {
            self.forget(orders).await;
        }
        Ok(erased)
    }
}

fn key(order: OrderId) -> String {
    format!("order:{order}")
}
