//! A decorator of the store that simulates a crash before or after the effect of a chosen call.

use std::{collections::HashSet, sync::Arc, time::Duration};

use agora_order::{
    domain::{Order, OrderDraft, RunnerId, SagaEvent},
    ports::{
        ApplyError, CreateError, IdempotencyLeases, Issued, Listing, OrderReads, OrderStore, Orders, PersonalData,
        RequestLease, SagaSnapshot, Sagas, StoreError,
    },
};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{CommandId, OrderId, Page, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;

use crate::fakes::{Crashed, Failpoint};

/// Passes the failpoint before and after each call.
pub struct CrashingStore {
    store: Arc<dyn OrderStore>,
    failpoint: Failpoint,
}

impl CrashingStore {
    pub fn new(store: Arc<dyn OrderStore>, failpoint: Failpoint) -> Self {
        Self { store, failpoint }
    }

    fn pass(&self) -> Result<(), StoreError> {
        self.failpoint.pass().map_err(|crashed: Crashed| StoreError::Unavailable(crashed.into()))
    }

    async fn around<T, E: From<StoreError>>(&self, call: impl Future<Output = Result<T, E>> + Send) -> Result<T, E> {
        self.pass()?;
        let result = call.await;
        self.pass()?;
        result
    }
}

#[async_trait]
impl Orders for CrashingStore {
    async fn create(&self, draft: OrderDraft, issued: Issued, runner: RunnerId) -> Result<SagaSnapshot, CreateError> {
        self.around(self.store.create(draft, issued, runner)).await
    }

    async fn apply(
        &self,
        order: OrderId,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        self.around(self.store.apply(order, events, dedup_key, runner)).await
    }

    async fn applied_commands(&self, commands: &[CommandId]) -> Result<HashSet<CommandId>, StoreError> {
        self.around(self.store.applied_commands(commands)).await
    }
}

#[async_trait]
impl Sagas for CrashingStore {
    async fn advance(
        &self,
        known: SagaSnapshot,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: RunnerId,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError> {
        self.around(self.store.advance(known, events, dedup_key, runner)).await
    }

    async fn acquire_lease(&self, order: OrderId, runner: RunnerId) -> Result<Option<SagaSnapshot>, StoreError> {
        self.around(self.store.acquire_lease(order, runner)).await
    }

    async fn lease_due(&self, runner: RunnerId, limit: u32) -> Result<Vec<SagaSnapshot>, StoreError> {
        self.around(self.store.lease_due(runner, limit)).await
    }

    async fn release_lease(&self, order: OrderId, runner: RunnerId) -> Result<(), StoreError> {
        self.around(self.store.release_lease(order, runner)).await
    }

    async fn stuck(&self) -> Result<u64, StoreError> {
        self.around(self.store.stuck()).await
    }
}

#[async_trait]
impl OrderReads for CrashingStore {
    async fn load(&self, order: OrderId) -> Result<Option<SagaSnapshot>, StoreError> {
        self.around(self.store.load(order)).await
    }

    async fn paid_at(&self, order: OrderId) -> Result<Option<OffsetDateTime>, StoreError> {
        self.around(self.store.paid_at(order)).await
    }

    async fn page(&self, listing: &Listing) -> Result<Page<Order>, StoreError> {
        self.around(self.store.page(listing)).await
    }

    async fn many(&self, orders: &[OrderId], user: Option<UserId>) -> Result<Vec<Order>, StoreError> {
        self.around(self.store.many(orders, user)).await
    }
}

#[async_trait]
impl IdempotencyLeases for CrashingStore {
    async fn acquire_idempotency_lease(
        &self,
        dedup_key: &DedupKey,
        fresh: OrderId,
        user: UserId,
    ) -> Result<RequestLease, StoreError> {
        self.around(self.store.acquire_idempotency_lease(dedup_key, fresh, user)).await
    }

    async fn cancel_idempotency_lease(&self, order: OrderId) -> Result<bool, StoreError> {
        self.around(self.store.cancel_idempotency_lease(order)).await
    }

    async fn expired_idempotency_leases(&self, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        self.around(self.store.expired_idempotency_leases(limit)).await
    }
}

#[async_trait]
impl PersonalData for CrashingStore {
    async fn erase_ended_orders(&self, limit: u16, pause: Duration) -> Result<Option<Vec<OrderId>>, StoreError> {
        self.around(self.store.erase_ended_orders(limit, pause)).await
    }
}
