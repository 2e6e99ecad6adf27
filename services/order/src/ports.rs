//! What lies outside the process: the order's own tables, and the services whose commands an order needs.
//!
//! A method names what is atomic. Names no SQL, no HTTP, no wire type.

use agora_chassis::BoxError;
pub use agora_outbox::StoreError;
use agora_outbox::{Acquisition, DedupKey, Outcome};
use agora_vocab::{AddressId, CommandId, Money, OrderId, Page, PageSize, PaymentId, ProductId, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{
    Address, CartVersion, Command, Draft, Method, Order, PaymentOutcome, Product, Refused, Shortage, State, Token,
    Wanted,
};

/// An order and its saga as they are at a moment of the database's clock.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The order and its saga.
    pub state: State,
    /// The moment.
    pub now: OffsetDateTime,
    /// Whether the caller holds the saga's lease and is to take its next step.
    pub leased: bool,
    /// Which write of the saga this is: every one raises it.
    pub revision: i64,
}

/// Who takes an order's steps: drawn by each driver for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver(pub Uuid);

/// Which orders a page shows, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Those of one user; all if absent.
    pub user: Option<UserId>,
    /// How many.
    pub size: PageSize,
    /// Those older than this one.
    pub before: Option<OrderId>,
    /// How many to pass over.
    pub offset: u64,
}

/// Orders, their history, their sagas, and the claims of the requests that make them.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Claims a request's key; `fresh` becomes the order's id if it is new.
    async fn claim(&self, dedup_key: &DedupKey, fresh: OrderId) -> Result<Acquisition, StoreError>;

    /// Gives a claim up that has no order, so that its key starts afresh. `false`: it has one, and stays.
    async fn abandon(&self, order: OrderId) -> Result<bool, StoreError>;

    /// The orders-to-be of claims older than a minute that nobody works on, at most `limit`; nobody else is given them
    /// for the time of a claim's lease.
    async fn stale_claims(&self, limit: u32) -> Result<Vec<OrderId>, StoreError>;

    /// Writes a new order, its first fact and its saga, which `driver` leases. The number and all times are drawn here.
    async fn create(&self, draft: Draft, driver: Driver) -> Result<Progress, CreateError>;

    /// What [`crate::domain::decide`] makes of an order, with history, fact and saga, all or nothing, and never of an
    /// order that somebody has changed meanwhile. With a `driver` the lease is taken if there is a step to take and nobody
    /// else has it; it ends when there is none. A refusal is remembered with the cause and repeated. The change that lets
    /// the request that made the order be answered stores that answer.
    async fn apply(
        &self,
        order: OrderId,
        command: &Command,
        dedup_key: &DedupKey,
        driver: Option<Driver>,
    ) -> Result<Outcome<Progress>, ApplyError>;

    /// The same for the driver who holds the lease: the order as he knows it is not read again unless it has changed.
    async fn advance(
        &self,
        known: Progress,
        command: &Command,
        dedup_key: &DedupKey,
        driver: Driver,
    ) -> Result<Outcome<Progress>, ApplyError>;

    /// An order, its saga, and whether `driver` leases it now.
    async fn load(&self, order: OrderId, driver: Option<Driver>) -> Result<Option<Progress>, StoreError>;

    /// Leases sagas that have a step to take, the longest waiting first, at most `limit`.
    async fn lease_due(&self, driver: Driver, limit: u32) -> Result<Vec<Progress>, StoreError>;

    /// Ends a lease before its time: somebody else may go on at once.
    async fn yield_lease(&self, order: OrderId, driver: Driver) -> Result<(), StoreError>;

    /// A page of orders, newest first; `next` is the id of its last order if there are older ones.
    async fn page(&self, listing: &Listing) -> Result<Page<Order>, StoreError>;

    /// How many sagas are stuck.
    async fn stuck(&self) -> Result<u64, StoreError>;
}

/// Carts, as far as an order needs them.
#[async_trait]
pub trait Carts: Send + Sync {
    /// Moves the lines of a user's cart into the order.
    async fn take(&self, command: CommandId, order: OrderId, user: UserId) -> Result<Taken, TakeError>;

    /// Undoes a take, or forbids one that comes late.
    async fn give_back(&self, command: CommandId, order: OrderId) -> Result<(), CallFailed>;
}

/// The catalogue, as far as an order needs it.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// What products cost now; those that are not in the answer do not exist.
    async fn quote(&self, products: &[ProductId]) -> Result<Vec<Product>, CallFailed>;

    /// Holds all lines of the order or none.
    async fn reserve(&self, command: CommandId, hold: &NewHold) -> Result<Reserving, CallFailed>;

    /// Sells what the order holds; false if the hold is gone.
    async fn commit(&self, command: CommandId, order: OrderId, hold: i32) -> Result<bool, CallFailed>;

    /// Frees what the order holds, calls back what it bought, or forbids a hold that comes late.
    async fn release(&self, command: CommandId, order: OrderId, hold: i32) -> Result<(), CallFailed>;
}

/// Payments, as far as an order needs them.
#[async_trait]
pub trait Payments: Send + Sync {
    /// Makes a payment; the same one however often it is called.
    async fn pay(&self, command: CommandId, payment: &Payable, with: (Method, &Token)) -> Result<Report, CallFailed>;

    /// What became of a payment. One that is not known becomes voided.
    async fn settle(&self, command: CommandId, payment: &Payable) -> Result<Report, CallFailed>;

    /// Calls a payment off unless it has a result.
    async fn void(&self, command: CommandId, payment: &Payable) -> Result<Report, CallFailed>;

    /// Gives back what is left of a payment.
    async fn refund(&self, command: CommandId, payment: &Payable) -> Result<Report, CallFailed>;
}

/// Address books.
#[async_trait]
pub trait Addresses: Send + Sync {
    /// An entry of a user's own address book.
    async fn find(&self, user: UserId, address: AddressId) -> Result<Option<Address>, CallFailed>;
}

/// What an order took from a cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The cart and its version.
    pub cart: CartVersion,
    /// Its lines.
    pub lines: Vec<Wanted>,
}

/// What is to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// For which order.
    pub order: OrderId,
    /// Which hold of it.
    pub hold: i32,
    /// What.
    pub lines: Vec<Wanted>,
    /// How long, by the catalogue's clock.
    pub seconds: u32,
}

/// What became of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserving {
    /// All lines are held.
    Held,
    /// Nothing is held: this was missing.
    Short(Shortage),
}

/// A payment and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payable {
    /// The payment.
    pub payment: PaymentId,
    /// The order that it pays.
    pub order: OrderId,
    /// Who pays.
    pub user: UserId,
    /// How much.
    pub total: Money,
}

/// What payment says about a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The result; `None` while there is none.
    pub outcome: Option<PaymentOutcome>,
    /// The result's own id: it counts once, whichever way it comes.
    pub result: Option<CommandId>,
}

/// A call that gave no answer to use: whether the other service did anything is unknown, so it is repeated.
#[derive(Debug, thiserror::Error)]
#[error("calling {callee}")]
pub struct CallFailed {
    /// The other service.
    pub callee: &'static str,
    /// Why.
    #[source]
    pub source: BoxError,
}

/// Why a cart was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// There is nothing in it.
    #[error("the cart is empty")]
    Empty,
    /// This order has given the cart back before: it can take nothing any more.
    #[error("the cart was given back")]
    Undone,
    /// The call gave no answer.
    #[error(transparent)]
    Failed(#[from] CallFailed),
}

/// Why an order was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// It exists: another driver of the same request was faster.
    #[error("the order exists")]
    Exists,
    /// Another live order has this version of the cart.
    #[error("another order has this cart")]
    CartTaken,
    /// The claim that it was made for was given up meanwhile.
    #[error("the order's claim is gone")]
    ClaimGone,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a command was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// No such order.
    #[error("no such order")]
    NotFound,
    /// The order's state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}
