//! Use cases of shoppers, admins, the order service and the worker.
//!
//! Depends on `ports` and `domain`, not on HTTP or SQL. No transaction is open during a call to the provider or to the
//! order service.

mod callbacks;
mod charge;
mod operations;
mod reconcile;
mod recover;
mod refunds;
mod webhooks;

use std::{sync::Arc, time::Duration};

use agora_api::Problem;
use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::{CommandId, Ids, OrderId, Page, PageSize, PaymentId, Secret, UserId};

pub use self::reconcile::ReconciliationSchedule;
use crate::{
    domain::{Payment, RefundAttempt, SealedToken, Status},
    ports::{
        Acquired, Challenges, CipherError, Filter, LogEntry, NewPayment, OrderError, OrderPayment, Orders,
        PaymentError, PaymentStore, Provider, ProviderError, StoreError, TokenCipher, WebhookError, Webhooks,
    },
};

/// Deadline of one call to the provider.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(5);
/// Age of an attempt, in seconds, from which its key is not sent again: providers forget keys after a day, and would execute
/// it again. The outcome is then asked for.
const KEY_LIFETIME_S: i64 = 23 * 3600;
/// Maximum number of entries of a payment's log in one answer.
const LOG_ENTRIES_MAX: u16 = 500;

/// The use cases of payments. Cheap to clone.
#[derive(Clone)]
pub struct PaymentService {
    pub store: Arc<dyn PaymentStore>,
    /// The payment provider; none if the shop has none configured.
    pub provider: Option<Arc<dyn Provider>>,
    /// Verifies the provider's messages; none for a provider that sends none.
    pub webhooks: Option<Arc<dyn Webhooks>>,
    /// Answers challenges of the simulated provider; none for a real one.
    pub challenges: Option<Arc<dyn Challenges>>,
    /// Encrypts the tokens of cards.
    pub cipher: Arc<dyn TokenCipher>,
    /// The order service.
    pub orders: Arc<dyn Orders>,
    /// Generates ids of payments and refunds.
    pub ids: Arc<dyn Ids>,
    /// Deadline of one call to the provider: [`PROVIDER_TIMEOUT`], shorter in tests.
    pub provider_timeout: Duration,
}

/// The result of a request to pay.
#[derive(Debug)]
pub enum Paid {
    /// The key is complete: the stored response.
    Replayed(StoredResponse),
    /// The payment after this request, and the order's acknowledgement if the order service was reachable.
    Executed(Box<Payment>, Option<OrderAcknowledged>),
}

/// The order's response to a payment result. It must be passed to [`PaymentService::complete_request`] or
/// [`PaymentService::release_request`]; otherwise the worker delivers the result again.
#[derive(Clone, Debug)]
pub struct OrderAcknowledged {
    /// The id of the acknowledged result.
    pub result: CommandId,
    /// The order's status after the result.
    pub order_status: String,
}

/// The result of a request to refund.
#[derive(Debug)]
pub enum Refunded {
    /// The key is complete: the stored response.
    Replayed(StoredResponse),
    /// The refund's newest attempt and the payment after it.
    Executed(Box<RefundAttempt>, Box<Payment>),
}

/// An error of a use case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No provider is configured.
    #[error("no payment provider is configured")]
    NoProvider,
    /// Another request with the same key is in progress.
    #[error("a request with the same key is in progress")]
    InProgress {
        /// Seconds until the client should retry.
        retry_after_s: u32,
    },
    /// The payment does not exist, or belongs to another user.
    #[error("the payment does not exist")]
    NotFound,
    /// The order rejected the payment with this problem and an optional retry delay in seconds.
    #[error("the order rejected the payment")]
    OrderRejected(Box<Problem>, Option<u32>),
    /// The order service is unreachable. The worker continues the payment.
    #[error("the order service is unavailable")]
    OrderUnavailable(#[source] OrderError),
    /// A token cannot be encrypted: the shop's keys are not usable.
    #[error("the token cannot be encrypted")]
    Cipher(#[source] CipherError),
    /// The provider gave no outcome of a capture or void; the worker tries again.
    #[error("the provider gave no outcome")]
    ProviderUnknown(#[source] ProviderError),
    /// The provider refused to capture; the payment stays authorised.
    #[error("the provider refused the capture")]
    CaptureRefused,
    /// A message is not the provider's, and changes nothing.
    #[error("the message of the provider is not accepted")]
    Webhook(#[source] WebhookError),
    /// The store rejects the change or failed.
    #[error(transparent)]
    Payment(#[from] PaymentError),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Payment(error.into())
    }
}

impl PaymentService {
    /// Pays an order for a shopper: acquires the lease, begins the payment at the order, charges, reports the result.
    /// Idempotent by key. The caller ends the lease with `complete_request` or `release_request`.
    pub async fn pay(&self, new: &NewPayment, dedup_key: &DedupKey) -> Result<Paid, Error> {
        self.provider()?;
        let mut payment = match self.store.create(new, dedup_key).await? {
            Acquired::Completed(response) => return Ok(Paid::Replayed(response)),
            Acquired::InProgress { retry_after_s } => return Err(Error::InProgress { retry_after_s }),
            Acquired::Held(payment) => *payment,
        };
        let id = payment.id;
        if payment.status == Status::Failed {
            payment = self.store.reopen(id, new.token.as_ref()).await?;
        }
        match self.advance(payment).await {
            Ok(payment) => {
                let acknowledged = self.report_result(&payment).await;
                Ok(Paid::Executed(Box::new(payment), acknowledged))
            }
            Err(error @ Error::OrderUnavailable(_)) => {
                self.store.release_request(id.uuid()).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Pays an order on its own command. Idempotent by payment id. Returns the payment as `pending` while another process
    /// works on it.
    pub async fn pay_for_order(&self, new: &NewPayment) -> Result<Payment, Error> {
        self.provider()?;
        match self.store.create_for_order(new).await? {
            OrderPayment::New(payment) => self.charge(payment).await,
            OrderPayment::Resumed(payment) => self.advance(payment).await,
            OrderPayment::Unchanged(payment) => Ok(payment),
        }
    }

    /// Returns the payment in its current state. An unknown id is stored as voided, so that it can never be charged.
    pub async fn settle(&self, requested: &NewPayment) -> Result<Payment, Error> {
        match self.store.find(requested.id).await? {
            Some(payment) => Ok(payment),
            None => Ok(self.store.void(requested).await?),
        }
    }

    /// Returns a payment if `user` is its payer, or none for an admin; otherwise `NotFound`.
    pub async fn find_visible(&self, id: PaymentId, user: Option<UserId>) -> Result<Payment, Error> {
        let payment = self.find(id).await?;
        if user.is_none_or(|user| user == payment.user) { Ok(payment) } else { Err(Error::NotFound) }
    }

    /// Returns a page of payments, newest first.
    pub async fn page(&self, filter: Filter, limit: PageSize) -> Result<Page<Payment>, Error> {
        Ok(self.store.page(filter, limit).await?)
    }

    /// Returns the newest captured payment of an order, one that can be refunded if there is one.
    pub async fn find_captured(&self, order: OrderId) -> Result<Payment, Error> {
        self.store.find_captured(order).await?.ok_or(Error::NotFound)
    }

    /// Returns the log of a payment, oldest entry first.
    pub async fn log(&self, id: PaymentId) -> Result<Vec<LogEntry>, Error> {
        self.find(id).await?;
        Ok(self.store.log(id, LOG_ENTRIES_MAX).await?)
    }

    /// The provider's token of a request without one; none if the request must contain a token.
    pub fn default_token(&self) -> Option<&'static str> {
        self.provider.as_ref().and_then(|provider| provider.default_token())
    }

    /// Encrypts a token for a payment of `order`.
    pub fn seal(&self, order: OrderId, token: &Secret) -> Result<SealedToken, Error> {
        self.cipher.seal(order, token).map_err(Error::Cipher)
    }

    fn provider(&self) -> Result<&Arc<dyn Provider>, Error> {
        self.provider.as_ref().ok_or(Error::NoProvider)
    }

    async fn find(&self, id: PaymentId) -> Result<Payment, Error> {
        self.store.find(id).await?.ok_or(Error::NotFound)
    }

    async fn with_timeout<T>(&self, call: impl Future<Output = Result<T, ProviderError>>) -> Result<T, ProviderError> {
        tokio::time::timeout(self.provider_timeout, call).await.unwrap_or(Err(ProviderError::Timeout))
    }
}
