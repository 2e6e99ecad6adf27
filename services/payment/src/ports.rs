//! What lies outside this process: the store, the payment provider, the order service.
//!
//! Every method of the store is one transaction. Time is the database's.

use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::{CommandId, Money, OrderId, Page, PageSize, PaymentId, RefundId, Secret, UserId};
use async_trait::async_trait;

use crate::domain::{Attempt, ChargeOutcome, Door, Facts, Method, Payment, Refused};

/// Whatever a port could not do, for the log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A payment as it begins.
#[derive(Clone, Debug)]
pub struct NewPayment {
    /// The payment.
    pub id: PaymentId,
    /// The order that it pays.
    pub order: OrderId,
    /// Who pays.
    pub user: UserId,
    /// Who asked for it.
    pub door: Door,
    /// What the payer believes it costs; of the order's own payments, what it costs.
    pub amount: Option<Money>,
    /// How.
    pub method: Method,
    /// The provider's token.
    pub token: Option<Secret>,
}

/// What became of a claim.
#[derive(Clone, Debug)]
pub enum Opened {
    /// The caller drives it on.
    Mine(Box<Driven>),
    /// The same for a refund.
    Refund(Box<Attempt>),
    /// Somebody else drives it.
    Running {
        /// When to ask again, in seconds.
        retry_after_s: u32,
    },
    /// It was answered before.
    Answered(StoredResponse),
}

/// A payment that the caller drives on.
#[derive(Clone, Debug)]
pub struct Driven {
    /// The payment.
    pub payment: Payment,
    /// It was written just now, so nobody has tried to charge it; else whoever began it is gone.
    pub new: bool,
}

/// A payment before its provider is called.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The payment.
    pub payment: Payment,
    /// What the provider is called for; none if the payment is not `pending` any more.
    pub attempt: Option<Attempt>,
}

/// Which payments of a list.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    /// Those of this payer; of everybody for admins.
    pub user: Option<UserId>,
    /// Those of this order.
    pub order: Option<OrderId>,
    /// Those before this one (newest first).
    pub before: Option<PaymentId>,
}

/// A result that the order must still be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The result's own id.
    pub result: CommandId,
    /// The payment.
    pub payment: PaymentId,
    /// The order.
    pub order: OrderId,
    /// The payment's status after the result.
    pub status: String,
}

/// Payments, their attempts and the ledger.
#[async_trait]
pub trait Payments: Send + Sync {
    /// Claims the key and writes the payment `pending`; a later call of the same key finds the same payment.
    async fn open(&self, new: &NewPayment, dedup_key: &DedupKey) -> Result<Opened, StoreError>;
    /// Writes the payment of an order `pending` unless it is there; `Cancelled` if it was called off before.
    async fn open_for_order(&self, new: &NewPayment) -> Result<Driven, StoreError>;
    /// One payment.
    async fn find(&self, id: PaymentId) -> Result<Option<Payment>, StoreError>;
    /// The newest payment of an order that money was taken with.
    async fn captured_of(&self, order: OrderId) -> Result<Option<Payment>, StoreError>;
    /// A page, newest first.
    async fn page(&self, filter: Filter, limit: PageSize) -> Result<Page<Payment>, StoreError>;
    /// The newest capture attempt.
    async fn capture(&self, id: PaymentId) -> Result<Option<Attempt>, StoreError>;
    /// Ends a payment that the order refused: `failed`, without a fact, since nothing happened to the order. The claim
    /// is answered if `answer` is some, else forgotten, so that the same key may ask again.
    async fn refuse(&self, id: PaymentId, facts: &Facts, answer: Option<&StoredResponse>) -> Result<(), StoreError>;
    /// Tries a failed payment again.
    async fn reopen(&self, id: PaymentId) -> Result<Payment, StoreError>;
    /// Notes what the order says the payment costs, if it is told now, and writes the next capture attempt or gives the one
    /// that is under way.
    async fn prepare_capture(&self, id: PaymentId, due: Option<Money>) -> Result<Prepared, StoreError>;
    /// Ends the capture: payment, attempt, ledger, fact, notice. A payment that was concluded before stays as it is. `known`
    /// is the payment if the caller has just read it: it is not read again unless it has changed.
    async fn conclude(
        &self,
        known: Option<Payment>,
        attempt: &Attempt,
        outcome: ChargeOutcome,
    ) -> Result<Payment, StoreError>;
    /// Calls off a payment; an unknown one is written as voided. One under way at the provider stays `pending`.
    async fn void(&self, new: &NewPayment) -> Result<Payment, StoreError>;
    /// Claims the key, checks what is left and writes the refund's attempt.
    async fn open_refund(
        &self,
        id: RefundId,
        payment: PaymentId,
        amount: Option<Money>,
        dedup_key: &DedupKey,
    ) -> Result<Opened, StoreError>;
    /// Writes a refund of what is left, or gives the one under way; none if nothing is left.
    async fn prepare_refund(&self, id: RefundId, payment: PaymentId) -> Result<Option<Attempt>, StoreError>;
    /// The newest attempt of a refund.
    async fn refund(&self, id: RefundId) -> Result<Option<Attempt>, StoreError>;
    /// Ends the refund: payment, attempt, ledger, fact, notice.
    async fn conclude_refund(&self, attempt: &Attempt, outcome: RefundOutcome) -> Result<Payment, StoreError>;
    /// Stores the answer to a claim, which ends it, and takes note that the order was told `told`.
    async fn answer(
        &self,
        recovery_id: uuid::Uuid,
        answer: &StoredResponse,
        told: Option<CommandId>,
    ) -> Result<(), StoreError>;
    /// Lets the same key go on at once.
    async fn unlock(&self, recovery_id: uuid::Uuid) -> Result<(), StoreError>;
    /// Leases payments that are pending and that nobody drives.
    async fn lease_payments(&self, limit: u16) -> Result<Vec<PaymentId>, StoreError>;
    /// Leases refunds that are under way and that nobody drives.
    async fn lease_refunds(&self, limit: u16) -> Result<Vec<Attempt>, StoreError>;
    /// Leases results that an order must still be told.
    async fn lease_notices(&self, limit: u16) -> Result<Vec<Notice>, StoreError>;
    /// The order took note.
    async fn told(&self, result: CommandId) -> Result<(), StoreError>;
}

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// No such payment.
    #[error("no payment {0}")]
    NotFound(PaymentId),
    /// The payment was called off before it began.
    #[error("payment {0} was called off")]
    Cancelled(PaymentId),
    /// The same payment id with another order, payer or amount.
    #[error("payment {0} is another one")]
    Mismatch(PaymentId),
    /// The domain refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The database is away, or answered what it never should.
    #[error("the database could not be used")]
    Unavailable(#[source] BoxError),
}

/// The payment provider. Every call carries the attempt's key and may be repeated.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Takes money.
    async fn charge(&self, key: &str, amount: Money, token: &Secret) -> Result<ChargeOutcome, ProviderError>;
    /// Gives money back.
    async fn refund(&self, key: &str, charge: &str, amount: Money) -> Result<RefundOutcome, ProviderError>;
    /// What became of a charge; a charge that the provider does not know by then will never be made.
    async fn charged(&self, key: &str) -> Result<ChargeOutcome, ProviderError>;
    /// What became of a refund; one that the provider does not know by then will never be made.
    async fn refunded(&self, key: &str) -> Result<RefundOutcome, ProviderError>;
}

/// How a refund ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOutcome {
    /// The money went back; the provider's reference.
    Succeeded(String),
    /// It did not.
    Failed,
}

/// Why the provider gave no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No answer in time: what became of it is unknown.
    #[error("the payment provider did not answer in time")]
    NoAnswer,
    /// It cannot be reached or fails: what became of it is unknown.
    #[error("the payment provider could not be used")]
    Unavailable(#[source] BoxError),
}

/// The order service.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Asks whether an order may be paid by this payment, and what it costs.
    async fn begin(&self, payment: &Payment) -> Result<Money, OrderError>;
    /// Tells a result; repeated until answered. The order's status after it.
    async fn tell(&self, notice: &Notice) -> Result<String, OrderError>;
}

/// Why the order service did not say yes.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It said no; the client gets its words.
    #[error("the order refused")]
    Refused(Box<agora_api::Problem>, Option<u32>),
    /// It could not be asked.
    #[error("the order service could not be asked")]
    Unavailable(#[source] BoxError),
}
