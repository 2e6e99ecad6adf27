//! The store of payments, refunds, the ledger and order callbacks.
//!
//! Every method is one transaction and uses the clock of the database.

use std::time::Duration;

use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::{CommandId, Money, OrderId, Page, PageSize, PaymentId, RefundId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Acquired, Filter, NewPayment, OrderPayment, PaymentError, PendingOrderCallback, ProviderEvent, RefundOutcome,
    StoreError,
};
use crate::domain::{
    AttemptKind, ChargeOutcome, Difference, MoneyMovement, Payment, ProviderDetails, RefundAttempt, SealedToken, Slice,
};

/// Everything that this service stores.
pub trait PaymentStore:
    Payments + Attempts + PaymentReads + Refunds + Recovery + SealedTokens + ProviderEvents + Reconciliation
{
}

impl<T> PaymentStore for T where
    T: Payments + Attempts + PaymentReads + Refunds + Recovery + SealedTokens + ProviderEvents + Reconciliation
{
}

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
    async fn reopen(&self, id: PaymentId, token: Option<&SealedToken>) -> Result<Payment, PaymentError>;
    /// Voids a payment that was not charged; an unknown id is inserted as voided. A payment with an open attempt, and one
    /// that is authorised, stays.
    async fn void(&self, new: &NewPayment) -> Result<Payment, PaymentError>;
}

/// Attempts to charge, capture and void.
#[async_trait]
pub trait Attempts: Send + Sync {
    /// Stores the amount due, if given and not yet stored, and opens the next attempt to charge. An open attempt stays.
    /// Returns the payment as stored; without an open attempt if it is no longer `pending` or has no amount due. Returns
    /// `OtherLive` if another payment of the order holds money.
    async fn prepare_charge(&self, id: PaymentId, due: Option<Money>) -> Result<Payment, PaymentError>;
    /// Opens an attempt to capture or void an authorised payment and leases it. `amount` is the amount to capture: the whole
    /// authorised amount if none. Returns `Busy` while an attempt is open.
    async fn prepare_operation(
        &self,
        id: PaymentId,
        kind: AttemptKind,
        amount: Option<Money>,
    ) -> Result<Payment, PaymentError>;
    /// Stores the provider's outcome of `payment` as it was read: payment, ledger, event and order callback. Returns the
    /// stored payment, unchanged if it has changed since.
    async fn apply_outcome(&self, payment: Payment, outcome: ChargeOutcome) -> Result<Payment, PaymentError>;
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
    /// Returns the payment whose charge has this reference.
    async fn find_by_reference(&self, reference: &str) -> Result<Option<Payment>, StoreError>;
    /// Returns at most `limit` entries of a payment's log, oldest first.
    async fn log(&self, id: PaymentId, limit: u16) -> Result<Vec<LogEntry>, StoreError>;
}

/// An entry of a payment's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub at: OffsetDateTime,
    /// What happened: `created`, `captured`, `refund_succeeded` and so on.
    pub kind: String,
    pub amount: Option<Money>,
    /// The provider's reference.
    pub reference: Option<String>,
    pub message: Option<String>,
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
    /// Inserts an attempt to refund `amount`, or what remains if that is less, or returns the refund's last attempt unless it
    /// failed; none if nothing remains.
    async fn prepare_part(
        &self,
        id: RefundId,
        payment: PaymentId,
        amount: Money,
    ) -> Result<Option<RefundAttempt>, PaymentError>;
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

/// Encrypted tokens, for the rotation of keys.
#[async_trait]
pub trait SealedTokens: Send + Sync {
    /// Returns at most `limit` tokens that do not begin with `prefix`.
    async fn tokens_without(&self, prefix: &[u8], limit: u16) -> Result<Vec<StoredToken>, StoreError>;
    /// Replaces a token, unless it has changed since it was read.
    async fn replace_token(&self, stored: &StoredToken, token: &SealedToken) -> Result<(), StoreError>;
}

/// The token of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    pub payment: PaymentId,
    pub order: OrderId,
    pub token: SealedToken,
}

/// Messages of the provider.
#[async_trait]
pub trait ProviderEvents: Send + Sync {
    /// Stores a message and leases it; false if it is stored already.
    async fn insert_event(&self, provider: &str, event: &ProviderEvent) -> Result<bool, StoreError>;
    /// Leases at most `limit` messages that are not processed and due.
    async fn lease_events(&self, limit: u16) -> Result<Vec<StoredEvent>, StoreError>;
    /// Marks a message as processed. Idempotent.
    async fn complete_event(&self, event: &StoredEvent) -> Result<(), StoreError>;
    /// Deletes at most `limit` messages that were processed longer than `age` ago. Returns how many.
    async fn delete_events(&self, age: Duration, limit: u16) -> Result<u64, StoreError>;
}

/// A stored message of the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    pub provider: String,
    pub id: String,
    /// The provider's id of the charge, if the message is about one.
    pub reference: Option<String>,
}

/// Comparison of the ledger with the provider.
#[async_trait]
pub trait Reconciliation: Send + Sync {
    /// Acquires the right to reconcile unless another process did so less than `every` ago.
    async fn begin_reconciliation(&self, every: Duration) -> Result<Option<ReconciliationRun>, StoreError>;
    /// Returns captures and refunds of the ledger in a slice of time, and those that carry one of `references`.
    async fn movements(&self, slice: Slice, references: &[String]) -> Result<Vec<MoneyMovement>, StoreError>;
    /// Replaces the stored differences of a slice of time by these.
    async fn store_differences(&self, slice: Slice, differences: &[Difference]) -> Result<(), StoreError>;
    /// Stores that all movements before a time are compared.
    async fn advance_reconciliation(&self, until: OffsetDateTime) -> Result<(), StoreError>;
    /// Returns at most `limit` stored differences, oldest first.
    async fn differences(&self, limit: u16) -> Result<Vec<Difference>, StoreError>;
}

/// The right to reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconciliationRun {
    /// The time of the database.
    pub now: OffsetDateTime,
    /// Until when all movements are compared.
    pub compared_until: OffsetDateTime,
}
