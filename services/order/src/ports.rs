//! Ports of the order service: the store of orders and the other services.
//!
//! Each method is atomic. Must not depend on SQL, HTTP or wire types.

use std::collections::HashSet;

use agora_chassis::BoxError;
pub use agora_outbox::StoreError;
use agora_outbox::{DedupKey, Outcome, StoredResponse};
use agora_vocab::{AddressId, CommandId, Money, OrderId, Page, PageSize, PaymentId, ProductId, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;

use crate::domain::{
    Address, CartVersion, Method, Order, OrderDraft, PaymentOutcome, Product, Refused, RequestedLine, RunnerId,
    SagaEvent, SagaLease, Shortage, State, Token,
};

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

/// Result of [`Orders::acquire_idempotency_lease`].
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
    /// The request was completed before.
    Completed(StoredResponse),
}

/// Store of orders, their history, their sagas and the idempotency leases of the requests that create them.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Acquires the idempotency lease of a request; `fresh` becomes the order's id if the key is new.
    async fn acquire_idempotency_lease(&self, dedup_key: &DedupKey, fresh: OrderId)
    -> Result<RequestLease, StoreError>;

    /// Deletes an idempotency lease without an order, so that its key can be used again. `false` if the order exists.
    async fn cancel_idempotency_lease(&self, order: OrderId) -> Result<bool, StoreError>;

    /// Order ids of expired idempotency leases older than a minute, at most `limit`. Extends each lease, so that
    /// no other worker gets it meanwhile.
    async fn expired_idempotency_leases(&self, limit: u32) -> Result<Vec<OrderId>, StoreError>;

    /// Writes a new order, its first event and its saga, leased by `runner`.
    async fn create(&self, draft: OrderDraft, issued: Issued, runner: RunnerId) -> Result<SagaSnapshot, CreateError>;

    /// Applies [`crate::domain::decide`] to each event in turn and writes order, history, event and saga in one transaction, with an optimistic
    /// check of the revision. With a `runner`, acquires the lease if a step is due and the lease is free; releases it when
    /// none is due. A rejection is stored with the deduplication key and repeated. The change that completes the request
    /// that created the order stores its response.
    async fn apply(
        &self,
        order: OrderId,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: Option<RunnerId>,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError>;

    /// The commands among these under whose key a result is stored.
    async fn applied_commands(&self, commands: &[CommandId]) -> Result<HashSet<CommandId>, StoreError>;

    /// Like [`Orders::apply`], but starts from `known` and reads only if that is outdated.
    async fn advance(
        &self,
        known: SagaSnapshot,
        events: &[SagaEvent],
        dedup_key: &DedupKey,
        runner: RunnerId,
    ) -> Result<Outcome<SagaSnapshot>, ApplyError>;

    /// Loads an order and its saga; with a `runner`, also acquires the lease if a step is due and the lease is free.
    async fn load(&self, order: OrderId, runner: Option<RunnerId>) -> Result<Option<SagaSnapshot>, StoreError>;

    /// Leases sagas with a due step, the longest waiting first, at most `limit`.
    async fn lease_due(&self, runner: RunnerId, limit: u32) -> Result<Vec<SagaSnapshot>, StoreError>;

    /// Releases a lease early, so that another runner can continue at once. No effect if `runner` does not hold it.
    async fn release_lease(&self, order: OrderId, runner: RunnerId) -> Result<(), StoreError>;

    /// Returns a page of orders, newest first; `next` is the id of its last order if older ones exist.
    async fn page(&self, listing: &Listing) -> Result<Page<Order>, StoreError>;

    /// Number of stuck sagas.
    async fn stuck(&self) -> Result<u64, StoreError>;
}

/// The cart service.
#[async_trait]
pub trait Carts: Send + Sync {
    /// Moves the lines of a user's cart into the order; idempotent by order.
    async fn begin_checkout(&self, command: CommandId, order: OrderId, user: UserId)
    -> Result<Checkout, CheckoutError>;

    /// Returns the lines to the cart, or blocks a checkout that arrives later; idempotent.
    async fn cancel_checkout(&self, command: CommandId, order: OrderId) -> Result<(), CallFailed>;
}

/// The catalog service.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Current prices; a product that is absent from the result does not exist.
    async fn quote(&self, products: &[ProductId]) -> Result<Vec<Product>, CallFailed>;

    /// Reserves all lines of the order or none; idempotent by order and reservation number.
    async fn reserve(&self, command: CommandId, hold: &NewHold) -> Result<Reserving, CallFailed>;

    /// Commits a reservation; `false` if it expired or was released. Idempotent.
    async fn commit(&self, command: CommandId, order: OrderId, hold: i32) -> Result<bool, CallFailed>;

    /// Releases a reservation, committed or not, or blocks one that arrives later; idempotent.
    async fn release(&self, command: CommandId, order: OrderId, hold: i32) -> Result<(), CallFailed>;
}

/// The payment service.
#[async_trait]
pub trait Payments: Send + Sync {
    /// Makes a payment; idempotent by payment id.
    async fn pay(&self, command: CommandId, payment: &Payable, with: (Method, &Token)) -> Result<Report, CallFailed>;

    /// Returns the outcome of a payment. An unknown payment becomes voided.
    async fn settle(&self, command: CommandId, payment: &Payable) -> Result<Report, CallFailed>;

    /// Voids a payment unless it has a result.
    async fn void(&self, command: CommandId, payment: &Payable) -> Result<Report, CallFailed>;

    /// Refunds the remaining amount of a payment.
    async fn refund(&self, command: CommandId, payment: &Payable) -> Result<Report, CallFailed>;
}

/// The user service's address book.
#[async_trait]
pub trait Addresses: Send + Sync {
    /// Returns an entry of a user's own address book.
    async fn find(&self, user: UserId, address: AddressId) -> Result<Option<Address>, CallFailed>;
}

/// Result of [`Carts::begin_checkout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The cart and its version.
    pub cart: CartVersion,
    /// Lines of the cart.
    pub lines: Vec<RequestedLine>,
}

/// A stock reservation to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// Order that reserves.
    pub order: OrderId,
    /// Number of the reservation, from 1.
    pub hold: i32,
    /// Lines to reserve.
    pub lines: Vec<RequestedLine>,
    /// Duration in seconds, by catalog's clock.
    pub seconds: u32,
}

/// Result of [`Catalog::reserve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserving {
    /// All lines are reserved.
    Held,
    /// No line is reserved because of this shortage.
    Short(Shortage),
}

/// A payment of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payable {
    /// Id of the payment.
    pub payment: PaymentId,
    /// The order to pay.
    pub order: OrderId,
    /// User who pays.
    pub user: UserId,
    /// Amount to pay.
    pub total: Money,
}

/// State of a payment as the payment service reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The outcome; `None` while the payment is pending.
    pub outcome: Option<PaymentOutcome>,
    /// Id of the result; deduplicates results that arrive by command and by event.
    pub result: Option<CommandId>,
}

/// A call without a usable response. Its effect is unknown, so the caller retries it.
#[derive(Debug, thiserror::Error)]
#[error("calling {callee}")]
pub struct CallFailed {
    /// Name of the called service.
    pub callee: &'static str,
    /// The underlying error.
    #[source]
    pub source: BoxError,
}

/// Error of [`Carts::begin_checkout`].
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The cart has no lines.
    #[error("the cart is empty")]
    Empty,
    /// The order's checkout was cancelled before; it cannot begin again.
    #[error("the checkout was cancelled")]
    Cancelled,
    /// The call failed.
    #[error(transparent)]
    Failed(#[from] CallFailed),
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
