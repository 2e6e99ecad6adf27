//! Use cases of shoppers, admins, the order service and the worker.
//!
//! Depends on `ports` and `domain`, not on HTTP or SQL. No transaction is open during a call to the provider or to the
//! order service.

mod recover;

use std::{sync::Arc, time::Duration};

use agora_api::Problem;
use agora_chassis::chain;
use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::{CommandId, Ids, Money, OrderId, Page, PageSize, PaymentId, RefundId, UserId};
use uuid::Uuid;

use crate::{
    domain::{AttemptState, Payment, ProviderDetails, RefundAttempt, Status, Step, next_step},
    ports::{
        Acquired, Filter, NewPayment, OrderError, OrderPayment, Orders, PaymentError, PaymentStore,
        PendingOrderCallback, Provider, ProviderError, StoreError,
    },
};

/// Deadline of one call to the provider.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(5);

/// The use cases of payments. Cheap to clone.
#[derive(Clone)]
pub struct PaymentService {
    pub store: Arc<dyn PaymentStore>,
    /// The payment provider; none if the shop has none configured.
    pub provider: Option<Arc<dyn Provider>>,
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

    /// Stores the response of a request, so that a retry receives the same one, and deletes the acknowledged callback.
    pub async fn complete_request(
        &self,
        recovery_id: Uuid,
        response: &StoredResponse,
        acknowledged: Option<&OrderAcknowledged>,
    ) -> Result<(), Error> {
        Ok(self
            .store
            .complete_request(recovery_id, response, acknowledged.map(|acknowledged| acknowledged.result))
            .await?)
    }

    /// Releases the lease after a response that is not final, so that the same key can continue at once, and deletes
    /// the acknowledged callback.
    pub async fn release_request(
        &self,
        recovery_id: Uuid,
        acknowledged: Option<&OrderAcknowledged>,
    ) -> Result<(), Error> {
        self.complete_callback(acknowledged).await?;
        Ok(self.store.release_request(recovery_id).await?)
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

    /// Voids a payment. An open attempt is resolved at the provider first; if it is charged, the payment stays
    /// captured.
    pub async fn void(&self, requested: &NewPayment) -> Result<Payment, Error> {
        if let Some(payment) = self.store.find(requested.id).await?
            && payment.open_attempt().is_some()
        {
            let resolved = self.resolve(payment).await?;
            if resolved.status != Status::Failed {
                return Ok(resolved);
            }
        }
        Ok(self.store.void(requested).await?)
    }

    /// Refunds an amount, or all that remains if `amount` is none, for an admin. Idempotent by key.
    pub async fn refund(&self, id: PaymentId, amount: Option<Money>, dedup_key: &DedupKey) -> Result<Refunded, Error> {
        self.provider()?;
        self.find(id).await?;
        let refund = RefundId::new(self.ids.next());
        match self.store.create_refund(refund, id, amount, dedup_key).await? {
            Acquired::Completed(response) => Ok(Refunded::Replayed(response)),
            Acquired::InProgress { retry_after_s } => Err(Error::InProgress { retry_after_s }),
            Acquired::Held(attempt) => {
                let payment = self.execute_refund(&attempt, true).await?;
                self.complete_callback(self.report_result(&payment).await.as_ref()).await?;
                let refund = self.store.find_refund(attempt.id).await?.ok_or(Error::NotFound)?;
                Ok(Refunded::Executed(Box::new(refund), Box::new(payment)))
            }
        }
    }

    /// Refunds the remaining amount on the order's command, which receives the result as its response. Has no effect if
    /// nothing remains.
    pub async fn refund_remaining(&self, id: PaymentId) -> Result<Payment, Error> {
        self.refund_rest(id, false).await
    }

    /// Voids or refunds the payment of a cancelled order. The order's saga sends the same commands; the second call has
    /// no effect.
    pub async fn order_cancelled(&self, id: PaymentId) -> Result<(), Error> {
        match self.store.find(id).await? {
            Some(payment) if payment.status == Status::Pending => {
                let after = self.void(&NewPayment::of(&payment)).await?;
                if after.status == Status::Captured {
                    self.refund_rest(id, true).await?;
                }
            }
            Some(payment) if matches!(payment.status, Status::Captured | Status::PartiallyRefunded) => {
                self.refund_rest(id, true).await?;
            }
            _ => {}
        }
        Ok(())
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

    fn provider(&self) -> Result<&Arc<dyn Provider>, Error> {
        self.provider.as_ref().ok_or(Error::NoProvider)
    }

    async fn find(&self, id: PaymentId) -> Result<Payment, Error> {
        self.store.find(id).await?.ok_or(Error::NotFound)
    }

    /// Executes the next step of a payment. Returns it as `pending` if the provider's outcome is unknown.
    async fn advance(&self, payment: Payment) -> Result<Payment, Error> {
        match next_step(&payment) {
            Step::Begin => {
                let due = self.begin_payment(&payment).await?;
                self.prepare_and_charge(payment.id, Some(due)).await
            }
            Step::Charge => self.prepare_and_charge(payment.id, None).await,
            Step::Resolve(_) => self.resolve(payment).await,
            Step::Done => Ok(payment),
        }
    }

    /// Begins the payment at the order and returns the amount due. Stores a rejection.
    async fn begin_payment(&self, payment: &Payment) -> Result<Money, Error> {
        match self.orders.begin_payment(payment).await {
            Ok(due) => Ok(due),
            Err(OrderError::Rejected(problem, retry_after_s)) => {
                let final_response = (problem.status == 409 && retry_after_s.is_none()).then(|| rejection(&problem));
                let details = ProviderDetails {
                    code: Some(problem.code.clone()),
                    message: problem.detail.clone(),
                    ..ProviderDetails::default()
                };
                self.store.reject(payment.id, &details, final_response.as_ref()).await?;
                Err(Error::OrderRejected(problem, retry_after_s))
            }
            Err(error) => Err(Error::OrderUnavailable(error)),
        }
    }

    async fn prepare_and_charge(&self, id: PaymentId, due: Option<Money>) -> Result<Payment, Error> {
        self.provider()?;
        self.charge(self.store.prepare_capture(id, due).await?).await
    }

    /// Sends the open attempt of a payment to the provider. Repeated calls of one attempt charge once.
    async fn charge(&self, payment: Payment) -> Result<Payment, Error> {
        let (Some(attempt), Some(due)) = (payment.open_attempt(), payment.due) else { return Ok(payment) };
        let Some(token) = payment.token.clone() else { return Ok(payment) };
        let key = attempt.provider_key(payment.id);
        match self.with_timeout(self.provider()?.charge(&key, due, &token)).await {
            Ok(outcome) => Ok(self.store.complete_capture(payment, outcome).await?),
            Err(error) => {
                tracing::warn!(
                    payment.id = %payment.id,
                    error = %chain(&error),
                    "Charge outcome unknown (provider call failed): the worker sends it again with the same key"
                );
                Ok(payment)
            }
        }
    }

    /// Resolves the open attempt of a payment: sends it again with the same key, which gives the outcome of the first call,
    /// also of one that the provider is still working on. Asking instead would take a slow charge for none.
    async fn resolve(&self, payment: Payment) -> Result<Payment, Error> {
        if payment.token.is_some() {
            return self.charge(payment).await;
        }
        let Some(attempt) = payment.open_attempt() else { return Ok(payment) };
        let key = attempt.provider_key(payment.id);
        match self.with_timeout(self.provider()?.find_charge(&key)).await {
            Ok(outcome) => Ok(self.store.complete_capture(payment, outcome).await?),
            Err(_) => self.find(payment.id).await,
        }
    }

    async fn refund_rest(&self, id: PaymentId, call_back: bool) -> Result<Payment, Error> {
        let refund = RefundId::new(self.ids.next());
        match self.store.prepare_refund(refund, id).await? {
            Some(attempt) => self.execute_refund(&attempt, call_back).await,
            None => self.find(id).await,
        }
    }

    async fn execute_refund(&self, attempt: &RefundAttempt, call_back: bool) -> Result<Payment, Error> {
        let payment = self.find(attempt.payment).await?;
        if attempt.state != AttemptState::Prepared {
            return Ok(payment);
        }
        let charge = payment.details.reference.unwrap_or_default();
        match self.with_timeout(self.provider()?.refund(&attempt.provider_key(), &charge, attempt.amount)).await {
            Ok(outcome) => Ok(self.store.complete_refund(attempt, outcome, call_back).await?),
            Err(error) => {
                tracing::warn!(
                    payment.id = %attempt.payment,
                    error = %chain(&error),
                    "Refund outcome unknown (provider call failed): the worker sends it again with the same key"
                );
                self.find(attempt.payment).await
            }
        }
    }

    async fn with_timeout<T>(&self, call: impl Future<Output = Result<T, ProviderError>>) -> Result<T, ProviderError> {
        tokio::time::timeout(self.provider_timeout, call).await.unwrap_or(Err(ProviderError::Timeout))
    }

    /// Reports the result to the order. Returns none if the order service is unavailable; the worker then retries.
    async fn report_result(&self, payment: &Payment) -> Option<OrderAcknowledged> {
        let callback = PendingOrderCallback::of(payment)?;
        match self.deliver(&callback).await {
            Ok(order_status) => Some(OrderAcknowledged { result: callback.result, order_status }),
            Err(error) => {
                tracing::warn!(
                    payment.id = %payment.id,
                    error = %chain(&error),
                    "Payment result not delivered to the order: the worker retries"
                );
                None
            }
        }
    }

    async fn deliver(&self, callback: &PendingOrderCallback) -> Result<String, Error> {
        match self.orders.report_result(callback).await {
            Ok(status) => Ok(status),
            // A rejection without a retry delay is final; the callback is complete.
            Err(OrderError::Rejected(problem, None)) => Ok(problem.code.clone()),
            Err(error) => Err(Error::OrderUnavailable(error)),
        }
    }

    async fn complete_callback(&self, acknowledged: Option<&OrderAcknowledged>) -> Result<(), Error> {
        match acknowledged {
            Some(acknowledged) => Ok(self.store.complete_callback(acknowledged.result).await?),
            None => Ok(()),
        }
    }
}

/// The stored response for the order's final rejection.
fn rejection(problem: &Problem) -> StoredResponse {
    StoredResponse { status: problem.status, location: None, body: serde_json::to_value(problem).unwrap_or_default() }
}
