//! A store of orders whose process ends at a chosen call: before its effect, or after it with the answer lost.

use std::sync::Arc;

use agora_order::{
    domain::{Command, Draft, Order},
    fakes::{Burnt, Fuse},
    ports::{ApplyError, CreateError, Driver, Listing, Orders, Progress, StoreError},
};
use agora_outbox::{Acquisition, DedupKey, Outcome};
use agora_vocab::{OrderId, Page};
use async_trait::async_trait;

/// Passes the fuse before and after each call.
pub struct Fused {
    orders: Arc<dyn Orders>,
    fuse: Fuse,
}

impl Fused {
    pub fn new(orders: Arc<dyn Orders>, fuse: Fuse) -> Self {
        Self { orders, fuse }
    }

    fn pass(&self) -> Result<(), StoreError> {
        self.fuse.pass().map_err(|burnt: Burnt| StoreError::Unavailable(burnt.into()))
    }

    async fn around<T, E: From<StoreError>>(&self, call: impl Future<Output = Result<T, E>> + Send) -> Result<T, E> {
        self.pass()?;
        let result = call.await;
        self.pass()?;
        result
    }
}

#[async_trait]
impl Orders for Fused {
    async fn claim(&self, dedup_key: &DedupKey, fresh: OrderId) -> Result<Acquisition, StoreError> {
        self.around(self.orders.claim(dedup_key, fresh)).await
    }

    async fn abandon(&self, order: OrderId) -> Result<bool, StoreError> {
        self.around(self.orders.abandon(order)).await
    }

    async fn stale_claims(&self, limit: u32) -> Result<Vec<OrderId>, StoreError> {
        self.around(self.orders.stale_claims(limit)).await
    }

    async fn create(&self, draft: Draft, driver: Driver) -> Result<Progress, CreateError> {
        self.around(self.orders.create(draft, driver)).await
    }

    async fn apply(
        &self,
        order: OrderId,
        command: &Command,
        dedup_key: &DedupKey,
        driver: Option<Driver>,
    ) -> Result<Outcome<Progress>, ApplyError> {
        self.around(self.orders.apply(order, command, dedup_key, driver)).await
    }

    async fn advance(
        &self,
        known: Progress,
        command: &Command,
        dedup_key: &DedupKey,
        driver: Driver,
    ) -> Result<Outcome<Progress>, ApplyError> {
        self.around(self.orders.advance(known, command, dedup_key, driver)).await
    }

    async fn load(&self, order: OrderId, driver: Option<Driver>) -> Result<Option<Progress>, StoreError> {
        self.around(self.orders.load(order, driver)).await
    }

    async fn lease_due(&self, driver: Driver, limit: u32) -> Result<Vec<Progress>, StoreError> {
        self.around(self.orders.lease_due(driver, limit)).await
    }

    async fn yield_lease(&self, order: OrderId, driver: Driver) -> Result<(), StoreError> {
        self.around(self.orders.yield_lease(order, driver)).await
    }

    async fn page(&self, listing: &Listing) -> Result<Page<Order>, StoreError> {
        self.around(self.orders.page(listing)).await
    }

    async fn stuck(&self) -> Result<u64, StoreError> {
        self.around(self.orders.stuck()).await
    }
}
