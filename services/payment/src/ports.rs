//! Interfaces to everything outside this process: the store, the payment provider and the order service.
//!
//! Depends on `domain` only. Every method of [`Payments`] is one transaction and uses the clock of the database.

use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::{CommandId, Money, OrderId, Page, PageSize, PaymentId, RefundId, Secret, UserId};
use async_trait::async_trait;

use crate::domain::{Attempt, ChargeOutcome, Initiator, Method, Payment, ProviderDetails, TransitionError};

/// The cause of a port's failure, for the log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A payment to create.
#[derive(Clone, Debug)]
pub struct NewPayment {
    /// Its id, chosen by the initiator.
    pub id: PaymentId,
    /// The order to pay.
    pub order: OrderId,
    /// The payer.
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

/// The result of acquiring the idempotency lease of a request.
#[derive(Clone, Debug)]
pub enum Acquired {
    /// The caller holds the lease of a payment and continues it.
    Payment(Box<LeasedPayment>),
    /// The caller holds the lease of a refund and continues this attempt.
    Refund(Box<Attempt>),
    /// Another process holds the lease.
    InProgress {
        /// Seconds until the lease may be free.
        retry_after_s: u32,
    },
    /// The request is complete; this is its stored response.
    Completed(StoredResponse),
}

/// A payment whose lease the caller holds.
#[derive(Clone, Debug)]
pub struct LeasedPayment {
    /// The payment as stored.
    pub payment: Payment,
    /// True if this call created the payment, so that no attempt exists yet.
    pub created: bool,
}

/// A payment whose capture attempt is stored, before the call to the provider.
#[derive(Clone, Debug)]
pub struct PreparedCapture {
    /// The payment as stored.
    pub payment: Payment,
    /// The attempt to send to the provider; none if the payment is no longer `pending`.
    pub attempt: Option<Attempt>,
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

/// A payment result that the order service has not acknowledged yet. A row of `order_notice`.
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

/// The store of payments, their attempts and the ledger.
#[async_trait]
pub trait Payments: Send + Sync {
    /// Acquires the idempotency lease of the key and inserts the payment as `pending`. A later call with the same key
    /// returns the same payment.
    async fn create(&self, new: &NewPayment, dedup_key: &DedupKey) -> Result<Acquired, StoreError>;
    /// Inserts the payment of an order as `pending`, or returns it if it exists. Idempotent by payment id. Returns
    /// `Cancelled` for a voided payment.
    async fn create_for_order(&self, new: &NewPayment) -> Result<LeasedPayment, StoreError>;
    /// Reads a payment without a lock.
    async fn find(&self, id: PaymentId) -> Result<Option<Payment>, StoreError>;
    /// Returns the newest payment of an order that was captured, even if it was refunded since.
    async fn find_captured(&self, order: OrderId) -> Result<Option<Payment>, StoreError>;
    /// Returns a page, newest first.
    async fn page(&self, filter: Filter, limit: PageSize) -> Result<Page<Payment>, StoreError>;
    /// Returns the newest capture attempt.
    async fn capture(&self, id: PaymentId) -> Result<Option<Attempt>, StoreError>;
    /// Marks a payment that the order rejected as `failed`. Publishes no event, because the order has not changed. With
    /// a `response`, the request is completed with it; without one its lease is cancelled, so that the same key can
    /// retry.
    async fn reject(
        &self,
        id: PaymentId,
        details: &ProviderDetails,
        response: Option<&StoredResponse>,
    ) -> Result<(), StoreError>;
    /// Returns a failed payment to `pending`.
    async fn reopen(&self, id: PaymentId) -> Result<Payment, StoreError>;
    /// Stores the amount due, if given and not yet stored, and inserts the next capture attempt. Returns the open
    /// attempt if there is one.
    async fn prepare_capture(&self, id: PaymentId, due: Option<Money>) -> Result<PreparedCapture, StoreError>;
    /// Stores the outcome of a capture: payment, attempt, ledger, event and order callback. A capture that is already
    /// complete is not changed. `known` is the payment as the caller last read it, which saves one read unless the
    /// payment has changed since.
    async fn complete_capture(
        &self,
        known: Option<Payment>,
        attempt: &Attempt,
        outcome: ChargeOutcome,
    ) -> Result<Payment, StoreError>;
    /// Voids a payment; an unknown id is inserted as voided. A payment with an open attempt stays `pending`.
    async fn void(&self, new: &NewPayment) -> Result<Payment, StoreError>;
    /// Acquires the idempotency lease of the key, checks the refundable amount and inserts the refund's attempt.
    async fn create_refund(
        &self,
        id: RefundId,
        payment: PaymentId,
        amount: Option<Money>,
        dedup_key: &DedupKey,
    ) -> Result<Acquired, StoreError>;
    /// Inserts an attempt to refund the remaining amount, or returns the open attempt; none if nothing remains.
    async fn prepare_refund(&self, id: RefundId, payment: PaymentId) -> Result<Option<Attempt>, StoreError>;
    /// Returns the newest attempt of a refund.
    async fn refund(&self, id: RefundId) -> Result<Option<Attempt>, StoreError>;
    /// Stores the outcome of a refund: payment, attempt, ledger, event and order callback. Idempotent by attempt.
    async fn complete_refund(&self, attempt: &Attempt, outcome: RefundOutcome) -> Result<Payment, StoreError>;
    /// Stores the response of a request, which ends its lease, and deletes the callback of the `acknowledged` result.
    async fn complete_request(
        &self,
        recovery_id: uuid::Uuid,
        response: &StoredResponse,
        acknowledged: Option<CommandId>,
    ) -> Result<(), StoreError>;
    /// Releases the idempotency lease, so that the same key can continue at once.
    async fn release_request(&self, recovery_id: uuid::Uuid) -> Result<(), StoreError>;
    /// Leases at most `limit` pending payments whose lease has expired.
    async fn lease_payments(&self, limit: u16) -> Result<Vec<PaymentId>, StoreError>;
    /// Leases at most `limit` open refund attempts whose lease has expired.
    async fn lease_refunds(&self, limit: u16) -> Result<Vec<Attempt>, StoreError>;
    /// Leases at most `limit` order callbacks that are due.
    async fn lease_callbacks(&self, limit: u16) -> Result<Vec<PendingOrderCallback>, StoreError>;
    /// Deletes the callback of a result that the order acknowledged. Idempotent.
    async fn complete_callback(&self, result: CommandId) -> Result<(), StoreError>;
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The idempotency key belongs to a request with another body or route.
    #[error("the idempotency key was used for another request")]
    KeyReused,
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
    /// The database is unreachable or returned an unexpected result.
    #[error("the database is unavailable")]
    Unavailable(#[source] BoxError),
}

/// The payment provider. Every call carries the attempt's idempotency key and can be repeated.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Authorises and captures `amount`.
    async fn charge(&self, key: &str, amount: Money, token: &Secret) -> Result<ChargeOutcome, ProviderError>;
    /// Refunds `amount` of the charge with reference `charge`.
    async fn refund(&self, key: &str, charge: &str, amount: Money) -> Result<RefundOutcome, ProviderError>;
    /// Returns the outcome of a charge. If the key is unknown, the provider never executes it later.
    async fn find_charge(&self, key: &str) -> Result<ChargeOutcome, ProviderError>;
    /// Returns the outcome of a refund. If the key is unknown, the provider never executes it later.
    async fn find_refund(&self, key: &str) -> Result<RefundOutcome, ProviderError>;
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
