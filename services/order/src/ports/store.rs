//! The store of orders, their history, their sagas and the idempotency leases of the requests that create them.
//!
//! Every method is one transaction and uses the clock of the database.

use std::collections::HashSet;

use agora_outbox::{DedupKey, Outcome, StoreError, StoredResponse};
use agora_vocab::{CommandId, OrderId, Page, PageSize, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;

use super::PersonalData;
use crate::domain::{LimitReached, Order, OrderDraft, Refused, RunnerId, SagaEvent, SagaLease, State};

/// Everything that this service stores.
pub trait OrderStore: Orders + Sagas + OrderReads + IdempotencyLeases + PersonalData {}

impl<T: Orders + Sagas + OrderReads + IdempotencyLeases + PersonalData> OrderStore for T {}

/// Orders and their history.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Writes a new order, its first event, its saga, leased by `runner`, and the use of its coupon, unless it would exceed a
    /// limit of its user's unpaid orders or of the coupon. Of parallel orders of a user, each counts those that were written before it.
    async fn create(&self, draft: OrderDraft, issued: Issued, runner: RunnerId) -> Result<SagaSnapshot, CreateError>;

    /// Applies [`crate::domain::decide`] to each event in turn and writes order, history, event and saga in one transaction,
    /// with an optimistic check of the revision. With a `runner`, acquires the lease if a step is due and the lease is
    /// free; releases it when none is due. A rejection is stored with the deduplication key and repeated. The change that
    /// completes the request that created the order stores its response.
    async fn apply(
        &self,
        order: OrderId,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError>;

    /// The commands among these under whose key a result is stored.
    async fn applied_commands(&self, commands: &[CommandId]) -> Result<HashSet<CommandId>, StoreError>;
}

/// Sagas and their leases.
#[async_trait]
pub trait Sagas: Send + Sync {
    /// Like [`Orders::apply`], but starts from `known` and reads only if that is outdated.
    async fn advance(
        &self,
        known: SagaSnapshot,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: RunnerId,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError>;

    /// Loads an order and its saga, and acquires the lease if a step is due and the lease is free.
    async fn acquire_lease(&self, order: OrderId, runner: RunnerId) -> Result<Option<SagaSnapshot>, StoreError>;

    /// Leases sagas with a due step, the longest waiting first, at most `limit`.
    async fn lease_due(&self, runner: RunnerId, limit: u32) -> Result<Vec<SagaSnapshot>, StoreError>;

    /// Releases a lease early, so that another runner can continue at once. No effect if `runner` does not hold it.
    async fn release_lease(&self, order: OrderId, runner: RunnerId) -> Result<(), StoreError>;

    /// Number of stuck sagas.
    async fn stuck(&self) -> Result<u64, StoreError>;
}

/// Reads of orders, without locks or leases.
#[async_trait]
pub trait OrderReads: Send + Sync {
    /// Loads an order and its saga.
    async fn load(&self, order: OrderId) -> Result<Option<SagaSnapshot>, StoreError>;

    /// Returns an order for a client. It has every change that was answered; only while a cache is away from some replicas, it
    /// may be some seconds old.
    async fn find(&self, order: OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.load(order).await?.map(|snapshot| snapshot.state.order))
    }

    /// Returns when an order was paid first, from its history; `None` if it never was.
    async fn paid_at(&self, order: OrderId) -> Result<Option<OffsetDateTime>, StoreError>;

    /// Returns a page of orders, newest first; `next` is the id of its last order if older ones exist.
    async fn page(&self, listing: &Listing) -> Result<Page<Order>, StoreError>;

    /// Returns those of these orders that are of `user`, or all if `user` is `None`, in any order.
    async fn many(&self, orders: &[OrderId], user: Option<UserId>) -> Result<Vec<Order>, StoreError>;
}

/// Idempotency leases of the requests that create orders.
#[async_trait]
pub trait IdempotencyLeases: Send + Sync {
    /// Acquires the idempotency lease of a request of `user`; `fresh` becomes the order's id if the key is new.
    async fn acquire_idempotency_lease(
        &self,
        dedup_key: &DedupKey,
        fresh: OrderId,
        user: UserId,
    ) -> Result<RequestLease, StoreError>;

    /// Deletes an idempotency lease without an order, so that its key can be used again. `false` if the order exists.
    async fn cancel_idempotency_lease(&self, order: OrderId) -> Result<bool, StoreError>;

    /// Order ids of expired idempotency leases older than a minute, at most `limit`. Extends each lease, so that
    /// no other worker gets it meanwhile.
    async fn expired_idempotency_leases(&self, limit: u32) -> Result<Vec<OrderId>, StoreError>;
}

/// An order and its saga at one moment of the database's clock.
#[derive(Clone, Debug)]
pub struct SagaSnapshot {
    /// The order and its saga.
    pub state: State,
    /// The database's time of this snapshot.
    pub now: OffsetDateTime,
    /// The lease of the saga.
    pub lease: SagaLease,
    /// Whether the caller holds the lease and has to run the next step.
    pub leased: bool,
    /// Revision of the saga; each write raises it by one.
    pub revision: i64,
}

/// Filter and position of a page of orders, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only orders of this user; all if absent.
    pub user: Option<UserId>,
    /// Number of orders.
    pub size: PageSize,
    /// Only orders older than this one.
    pub before: Option<OrderId>,
    /// Number of orders to skip.
    pub offset: u64,
}

/// Number and creation time of an order, assigned by the database with the idempotency lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The order number, for example `A-1000001`. Numbers of requests that fail are not used again.
    pub number: String,
    /// The database's time.
    pub at: OffsetDateTime,
}

/// Result of [`IdempotencyLeases::acquire_idempotency_lease`].
#[derive(Clone, Debug, PartialEq)]
pub enum RequestLease {
    /// The caller holds the lease and places this order.
    Held {
        /// Id of the order.
        order: OrderId,
        /// Whether an earlier holder's lease expired: the order may exist.
        resumed: bool,
        /// Number and time for an order that does not exist.
        issued: Issued,
    },
    /// Another caller holds the lease.
    InProgress,
    /// The user is blocked, as far as their events have arrived. Nothing is stored.
    Blocked,
    /// The request was completed before.
    Completed(StoredResponse),
}

/// Error of [`Orders::create`].
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The order exists: a concurrent duplicate of the request created it.
    #[error("the order exists")]
    Exists,
    /// Another live order has this version of the cart.
    #[error("another order has this cart")]
    CartAlreadyOrdered,
    /// The user has as many unpaid orders or held units as a user can have.
    #[error(transparent)]
    LimitReached(LimitReached),
    /// All uses of the coupon, or all of the user's, are claimed.
    #[error("the coupon is used up")]
    CouponExhausted,
    /// The idempotency lease of the request was cancelled meanwhile.
    #[error("the idempotency lease of the order was cancelled")]
    LeaseLost,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Error of [`Orders::apply`].
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The order does not exist.
    #[error("no such order")]
    NotFound,
    /// The order's state does not allow the change.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
