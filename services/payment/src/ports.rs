//! Interfaces to everything outside this process: the store, the payment provider and the order service.
//!
//! Depends on `domain` only.

mod store;

use agora_chassis::BoxError;
use agora_vocab::{CommandId, Money, OrderId, PaymentId, Secret, UserId};
use async_trait::async_trait;

pub use self::store::{PaymentReads, PaymentStore, Payments, Recovery, Refunds};
pub use agora_outbox::StoreError;

use crate::domain::{ChargeOutcome, Initiator, Method, Payment, TransitionError};

/// A payment to create.
#[derive(Clone, Debug)]
pub struct NewPayment {
    /// Its id, chosen by the initiator.
    pub id: PaymentId,
    /// The order to pay.
    pub order: OrderId,
    pub user: UserId,
    /// The party that requested the payment.
    pub initiator: Initiator,
    /// The amount that a shopper expects to pay, if stated; the amount due if the order is the initiator.
    pub amount: Option<Money>,
    /// The payment method.
    pub method: Method,
    /// The provider's token of the payer's card.
    pub token: Option<Secret>,
}

impl NewPayment {
    /// The request that would create this payment, without its token.
    pub fn of(payment: &Payment) -> Self {
        Self {
            id: payment.id,
            order: payment.order,
            user: payment.user,
            initiator: payment.initiator,
            amount: payment.due.or(payment.expected),
            method: payment.method,
            token: None,
        }
    }
}

/// The result of acquiring the idempotency lease of a request. `T` is what the request works on.
#[derive(Clone, Debug)]
pub enum Acquired<T> {
    /// The caller holds the lease and continues.
    Held(Box<T>),
    /// Another process holds the lease.
    InProgress {
        /// Seconds until the lease may be free.
        retry_after_s: u32,
    },
    /// The request is complete; this is its stored response.
    Completed(agora_outbox::StoredResponse),
}

/// The payment of an order's command.
#[derive(Clone, Debug)]
pub enum OrderPayment {
    /// Inserted by this call with its first attempt, which the caller sends to the provider.
    New(Payment),
    /// Inserted before; the caller holds its lease and continues it.
    Resumed(Payment),
    /// Inserted before; it is final, or another process holds its lease.
    Unchanged(Payment),
}

/// A filter of a list of payments, newest first. All conditions apply.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    /// Payments of this payer; all payers if none.
    pub user: Option<UserId>,
    /// Payments of this order.
    pub order: Option<OrderId>,
    /// Payments created before this one.
    pub before: Option<PaymentId>,
}

/// A payment result that the order service has not acknowledged yet. A row of `pending_order_callback`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingOrderCallback {
    /// The result's id, also the command id of the callback.
    pub result: CommandId,
    /// The payment that has the result.
    pub payment: PaymentId,
    /// The order to call back.
    pub order: OrderId,
    /// The payment's status after the result.
    pub status: String,
}

impl PendingOrderCallback {
    /// The callback for the newest result of a payment; none without a result.
    pub fn of(payment: &Payment) -> Option<Self> {
        let result = payment.result?;
        Some(Self { result, payment: payment.id, order: payment.order, status: payment.status.as_str().to_owned() })
    }
}

/// A change of a payment that the store rejects.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// No payment has this id.
    #[error("payment {0} does not exist")]
    NotFound(PaymentId),
    /// The payment was voided before it was created.
    #[error("payment {0} is voided")]
    Cancelled(PaymentId),
    /// The payment exists with another order, payer or amount.
    #[error("payment {0} exists with another order, payer or amount")]
    Mismatch(PaymentId),
    /// The domain does not allow the change.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The payment provider. Every call carries the attempt's idempotency key; a repeated one returns the outcome of the first.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Authorises and captures `amount`.
    async fn charge(&self, key: &str, amount: Money, token: &Secret) -> Result<ChargeOutcome, ProviderError>;
    /// Refunds `amount` of the charge with reference `charge`.
    async fn refund(&self, key: &str, charge: &str, amount: Money) -> Result<RefundOutcome, ProviderError>;
    /// Returns the outcome of a charge. If the key is unknown, the provider never executes it later.
    async fn find_charge(&self, key: &str) -> Result<ChargeOutcome, ProviderError>;
}

/// The provider's outcome of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The money was refunded; contains the provider's reference.
    Succeeded(String),
    /// The money was not refunded.
    Failed,
}

/// The provider returned no outcome: the call may or may not have been executed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No response before the deadline.
    #[error("the payment provider did not respond in time")]
    Timeout,
    /// The provider is unreachable or failed.
    #[error("the payment provider is unavailable")]
    Unavailable(#[source] BoxError),
}

/// The order service.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Begins this payment at its order and returns the amount due. Idempotent by payment id.
    async fn begin_payment(&self, payment: &Payment) -> Result<Money, OrderError>;
    /// Delivers a payment result and returns the order's status after it. Idempotent by result id.
    async fn report_result(&self, callback: &PendingOrderCallback) -> Result<String, OrderError>;
}

/// An error of the order service.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The order rejected the call with this problem, which is returned to the client, and an optional retry delay in
    /// seconds.
    #[error("the order rejected the request")]
    Rejected(Box<agora_api::Problem>, Option<u32>),
    /// The order service is unreachable or failed.
    #[error("the order service is unavailable")]
    Unavailable(#[source] BoxError),
}
