//! The other services that orders call: cart, catalog, payment and user. Every command is idempotent.

use agora_chassis::BoxError;
use agora_vocab::{Address, AddressId, CommandId, Money, OrderId, PaymentId, ProductId, ReturnId, UserId};
use async_trait::async_trait;

use crate::domain::{CartVersion, Method, PaymentOutcome, Product, RequestedLine, Shortage, Token};

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

    /// Puts units of a committed reservation back into stock; idempotent by return.
    async fn take_back(&self, command: CommandId, units: &ReturnedUnits) -> Result<(), CallFailed>;

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

    /// Refunds an amount of a payment, or what remains if that is less; idempotent by return. `false` while the refund has no
    /// result. The result of the payment itself arrives as an event and as a command.
    async fn refund_part(
        &self,
        command: CommandId,
        payment: &Payable,
        part: (ReturnId, Money),
    ) -> Result<bool, CallFailed>;
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

/// Units of a return that go into stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnedUnits {
    pub order: OrderId,
    /// Number of the reservation that sold them.
    pub hold: i32,
    pub id: ReturnId,
    pub lines: Vec<RequestedLine>,
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
