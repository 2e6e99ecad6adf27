//! Interfaces to everything outside this process: the store, the payment provider and the order service.
//!
//! Depends on `domain` only.

mod cipher;
mod provider;
mod store;
mod webhook;

use agora_chassis::BoxError;
use agora_vocab::{CommandId, Money, OrderId, PaymentId, UserId};
use async_trait::async_trait;

pub use self::{
    cipher::{CipherError, TokenCipher},
    provider::{Challenges, Charges, NewCharge, Provider, ProviderError, ProviderRefunds, RefundOutcome, Reports},
    store::{
        Attempts, LogEntry, PaymentReads, PaymentStore, Payments, ProviderEvents, Reconciliation, ReconciliationRun,
        Recovery, Refunds, SealedTokens, StoredEvent, StoredToken,
    },
    webhook::{ProviderEvent, WebhookError, Webhooks},
};
pub use agora_outbox::StoreError;

use crate::domain::{CaptureMethod, Initiator, Method, Payment, SealedToken, TransitionError};

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
    /// Whether the charge also captures.
    pub capture_method: CaptureMethod,
    /// The provider's token of the payer's card.
    pub token: Option<SealedToken>,
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
            capture_method: payment.capture_method,
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
        let result = payment.result.filter(|_| payment.status.is_result())?;
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
    /// Another payment of the order holds money, or is about to.
    #[error("another payment of the order is live")]
    OtherLive,
    /// Another process works on the payment.
    #[error("another request works on the payment")]
    Busy,
    /// The domain does not allow the change.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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
