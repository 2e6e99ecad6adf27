//! The store of payments, refunds, the ledger and order callbacks.
//!
//! Every method is one transaction and uses the clock of the database.

use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::{CommandId, Money, OrderId, Page, PageSize, PaymentId, RefundId, Secret};
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Acquired, Filter, NewPayment, OrderPayment, PaymentError, PendingOrderCallback, RefundOutcome, StoreError,
};
use crate::domain::{ChargeOutcome, Payment, ProviderDetails, RefundAttempt};

/// Everything that this service stores.
pub trait PaymentStore: Payments + PaymentReads + Refunds + Recovery {}

impl<T: Payments + PaymentReads + Refunds + Recovery> PaymentStore for T {}

/// Payments until their capture.
#[async_trait]
pub trait Payments: Send + Sync {
    /// Acquires the idempotency lease of the key and inserts the payment as `pending`. A later call with the same key
    /// returns the same payment.
    async fn create(&self, new: &NewPayment, dedup_key: &DedupKey) -> Result<Acquired<Payment>, PaymentError>;
    /// Inserts the payment of an order as `pending` with its first attempt, or acquires the lease of the payment that
    /// exists. Idempotent by payment id. Returns `Cancelled` for a voided payment.
    async fn create_for_order(&self, new: &NewPayment) -> Result<OrderPayment, PaymentError>;
    /// Marks a payment that the order rejected as `failed`. Publishes no event, because the order has not changed. With
    /// a `response`, the request is completed with it; without one its lease is cancelled, so that the same key can
    /// retry.
    async fn reject(
        &self,
        id: PaymentId,
        details: &ProviderDetails,
        response: Option<&StoredResponse>,
    ) -> Result<(), StoreError>;
    /// Returns a failed payment to `pending`, with the token of the request that tries again.
    async fn reopen(&self, id: PaymentId, token: Option<&Secret>) -> Result<Payment, PaymentError>;
    /// Stores the amount due, if given and not yet stored, and opens the next capture attempt. An open attempt stays.
    /// Returns the payment as stored; without an open attempt if it is no longer `pending` or has no amount due.
    async fn prepare_capture(&self, id: PaymentId, due: Option<Money>) -> Result<Payment, PaymentError>;
    /// Stores the outcome of the open attempt of `payment`: payment, ledger, event and order callback. Returns the stored
    /// payment, unchanged if the outcome of this attempt is stored already.
    async fn complete_capture(&self, payment: Payment, outcome: ChargeOutcome) -> Result<Payment, PaymentError>;
    /// Voids a payment; an unknown id is inserted as voided. A payment with an open attempt stays `pending`.
    async fn void(&self, new: &NewPayment) -> Result<Payment, PaymentError>;
}

/// Reads of payments, without locks.
#[async_trait]
pub trait PaymentReads: Send + Sync {
    /// Returns a payment.
    async fn find(&self, id: PaymentId) -> Result<Option<Payment>, StoreError>;
    /// Returns the newest payment of an order that was captured: one that is not fully refunded, if there is one.
    async fn find_captured(&self, order: OrderId) -> Result<Option<Payment>, StoreError>;
    /// Returns a page, newest first.
    async fn page(&self, filter: Filter, limit: PageSize) -> Result<Page<Payment>, StoreError>;
}

/// Refunds of captured payments.
#[async_trait]
pub trait Refunds: Send + Sync {
    /// Acquires the idempotency lease of the key, checks the refundable amount and inserts the refund's attempt.
    async fn create_refund(
        &self,
        id: RefundId,
        payment: PaymentId,
        amount: Option<Money>,
        dedup_key: &DedupKey,
    ) -> Result<Acquired<RefundAttempt>, PaymentError>;
    /// Inserts an attempt to refund the remaining amount, or returns the open attempt; none if nothing remains.
    async fn prepare_refund(&self, id: RefundId, payment: PaymentId) -> Result<Option<RefundAttempt>, PaymentError>;
    /// Returns the newest attempt of a refund.
    async fn find_refund(&self, id: RefundId) -> Result<Option<RefundAttempt>, StoreError>;
    /// Stores the outcome of a refund: payment, attempt, ledger, event and, with `call_back`, the order callback.
    /// Idempotent by attempt.
    async fn complete_refund(
        &self,
        attempt: &RefundAttempt,
        outcome: RefundOutcome,
        call_back: bool,
    ) -> Result<Payment, PaymentError>;
}

/// Requests, leases and callbacks: what a process continues after another one stopped.
#[async_trait]
pub trait Recovery: Send + Sync {
    /// Stores the response of a request, which ends its lease, and deletes the callback of the `acknowledged` result.
    async fn complete_request(
        &self,
        recovery_id: Uuid,
        response: &StoredResponse,
        acknowledged: Option<CommandId>,
    ) -> Result<(), StoreError>;
    /// Releases the idempotency lease, so that the same key can continue at once.
    async fn release_request(&self, recovery_id: Uuid) -> Result<(), StoreError>;
    /// Leases at most `limit` pending payments whose lease has expired.
    async fn lease_payments(&self, limit: u16) -> Result<Vec<PaymentId>, StoreError>;
    /// Leases at most `limit` open refund attempts whose lease has expired.
    async fn lease_refunds(&self, limit: u16) -> Result<Vec<RefundAttempt>, StoreError>;
    /// Leases at most `limit` order callbacks that are due.
    async fn lease_callbacks(&self, limit: u16) -> Result<Vec<PendingOrderCallback>, StoreError>;
    /// Deletes the callback of a result that the order acknowledged. Idempotent.
    async fn complete_callback(&self, result: CommandId) -> Result<(), StoreError>;
}
