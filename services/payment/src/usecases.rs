//! What a shopper, an admin, an order and time itself may ask of payments.
//!
//! Knows the ports and the domain; neither HTTP nor SQL. Nothing here holds a transaction while it calls somebody else.

mod round;

use std::{sync::Arc, time::Duration};

use agora_api::Problem;
use agora_chassis::chain;
use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::{CommandId, Epoch, Ids, Money, OrderId, Page, PageSize, PaymentId, RefundId, UserId};

use crate::{
    domain::{Attempt, AttemptState, ChargeOutcome, Facts, Payment, Status, Step, next},
    ports::{
        Driven, Filter, NewPayment, Notice, Opened, OrderError, Orders, Payments, Prepared, Provider, ProviderError,
        StoreError,
    },
};

/// Longest wait for the provider's answer.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(5);

/// The use cases.
#[derive(Clone)]
pub struct Pay {
    /// Payments and the ledger.
    pub payments: Arc<dyn Payments>,
    /// The provider; none where the shop has none.
    pub provider: Option<Arc<dyn Provider>>,
    /// The order service.
    pub orders: Arc<dyn Orders>,
    /// Fresh ids.
    pub ids: Arc<dyn Ids>,
    /// The recovery epoch, part of the provider's keys.
    pub epoch: Epoch,
    /// Longest wait for the provider's answer, [`PROVIDER_TIMEOUT`] but in tests.
    pub provider_timeout: Duration,
}

/// What became of a request to pay.
#[derive(Debug)]
pub enum Paid {
    /// It was answered before: the same answer.
    Before(StoredResponse),
    /// Where the payment stands, and what the order said to it if it could be told.
    Now(Box<Payment>, Option<Told>),
}

/// What an order said to the result of a payment. To be noted with the answer, or else the worker tells it again.
#[derive(Clone, Debug)]
pub struct Told {
    /// The result's own id.
    pub result: CommandId,
    /// The order's status after it.
    pub order_status: String,
}

/// What became of a request to refund.
#[derive(Debug)]
pub enum Refunded {
    /// It was answered before: the same answer.
    Before(StoredResponse),
    /// The refund and the payment after it.
    Now(Box<Attempt>, Box<Payment>),
}

/// Why a use case was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The shop has no provider.
    #[error("no payment provider is configured")]
    NoProvider,
    /// The same key is at work.
    #[error("the same request is still running")]
    Running {
        /// When to ask again, in seconds.
        retry_after_s: u32,
    },
    /// No such payment, or not the caller's.
    #[error("no such payment")]
    NotFound,
    /// The order said no, in these words.
    #[error("the order refused the payment")]
    Order(Box<Problem>, Option<u32>),
    /// The order service could not be asked; the payment goes on by itself.
    #[error("the order service could not be asked")]
    OrderAway(#[source] OrderError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Pay {
    /// Pays an order for a shopper: claim, ask the order, charge, tell the order.
    pub async fn pay(&self, new: &NewPayment, dedup_key: &DedupKey) -> Result<Paid, Error> {
        self.provider()?;
        let mut driven = match self.payments.open(new, dedup_key).await? {
            Opened::Answered(answer) => return Ok(Paid::Before(answer)),
            Opened::Running { retry_after_s } => return Err(Error::Running { retry_after_s }),
            Opened::Refund(_) => return Err(Error::NotFound),
            Opened::Mine(driven) => *driven,
        };
        let id = driven.payment.id;
        if driven.payment.status == Status::Failed {
            driven.payment = self.payments.reopen(id).await?;
        }
        match self.drive(driven).await {
            Ok(payment) => {
                let told = self.tell(&payment).await;
                Ok(Paid::Now(Box::new(payment), told))
            }
            Err(error @ Error::OrderAway(_)) => {
                self.payments.unlock(id.uuid()).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Stores the answer to a claim, so that a retry gets the same one, and notes that the order was told.
    pub async fn store(
        &self,
        recovery_id: uuid::Uuid,
        answer: &StoredResponse,
        told: Option<&Told>,
    ) -> Result<(), Error> {
        Ok(self.payments.answer(recovery_id, answer, told.map(|told| told.result)).await?)
    }

    /// Lets the same key go on at once, since what it got was no final answer, and notes that the order was told.
    pub async fn unlock(&self, recovery_id: uuid::Uuid, told: Option<&Told>) -> Result<(), Error> {
        self.note(told).await?;
        Ok(self.payments.unlock(recovery_id).await?)
    }

    /// Pays an order for the order itself; repeated with the same id.
    pub async fn pay_for_order(&self, new: &NewPayment) -> Result<Payment, Error> {
        self.provider()?;
        self.drive(self.payments.open_for_order(new).await?).await
    }

    /// The final status of a payment, or `pending`; an unknown one is written as voided, so it can never be charged.
    pub async fn settle(&self, asked: &NewPayment) -> Result<Payment, Error> {
        match self.payments.find(asked.id).await? {
            Some(payment) => Ok(payment),
            None => Ok(self.payments.void(asked).await?),
        }
    }

    /// Calls off a payment: one under way at the provider is resolved first, and stays captured if it was charged.
    pub async fn void(&self, asked: &NewPayment) -> Result<Payment, Error> {
        if let Some(Step::Resolve(attempt)) = self.next_of(asked.id).await? {
            let resolved = self.resolve(&attempt).await?;
            if resolved.status != Status::Failed {
                return Ok(resolved);
            }
        }
        Ok(self.payments.void(asked).await?)
    }

    /// Gives money back for an admin.
    pub async fn refund(&self, id: PaymentId, amount: Option<Money>, dedup_key: &DedupKey) -> Result<Refunded, Error> {
        self.provider()?;
        self.find(id).await?;
        let refund = RefundId::new(self.ids.next());
        match self.payments.open_refund(refund, id, amount, dedup_key).await? {
            Opened::Answered(answer) => Ok(Refunded::Before(answer)),
            Opened::Running { retry_after_s } => Err(Error::Running { retry_after_s }),
            Opened::Mine(driven) => Err(Error::Store(StoreError::NotFound(driven.payment.id))),
            Opened::Refund(attempt) => {
                let payment = self.drive_refund(&attempt).await?;
                self.note(self.tell(&payment).await.as_ref()).await?;
                let refund = self.payments.refund(attempt.refund()).await?.ok_or(Error::NotFound)?;
                Ok(Refunded::Now(Box::new(refund), Box::new(payment)))
            }
        }
    }

    /// Gives back what is left of a payment, for its order; nothing left is nothing to do.
    pub async fn refund_rest(&self, id: PaymentId) -> Result<Payment, Error> {
        let refund = RefundId::new(self.ids.next());
        match self.payments.prepare_refund(refund, id).await? {
            Some(attempt) => self.drive_refund(&attempt).await,
            None => self.find(id).await,
        }
    }

    /// An order was cancelled: what was taken goes back, what was not taken never is. The order's saga commands the same;
    /// whichever comes second finds nothing to do.
    pub async fn order_cancelled(&self, id: PaymentId) -> Result<(), Error> {
        match self.payments.find(id).await? {
            Some(payment) if payment.status == Status::Pending => {
                let after = self.void(&NewPayment::of(&payment)).await?;
                if after.status == Status::Captured {
                    self.refund_rest(id).await?;
                }
            }
            Some(payment) if matches!(payment.status, Status::Captured | Status::PartiallyRefunded) => {
                self.refund_rest(id).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A payment that its payer, or an admin (`user` none), may see.
    pub async fn visible(&self, id: PaymentId, user: Option<UserId>) -> Result<Payment, Error> {
        let payment = self.find(id).await?;
        if user.is_none_or(|user| user == payment.user) { Ok(payment) } else { Err(Error::NotFound) }
    }

    /// A page of payments, newest first.
    pub async fn page(&self, filter: Filter, limit: PageSize) -> Result<Page<Payment>, Error> {
        Ok(self.payments.page(filter, limit).await?)
    }

    /// The payment of an order that money was taken with.
    pub async fn captured_of(&self, order: OrderId) -> Result<Payment, Error> {
        self.payments.captured_of(order).await?.ok_or(Error::NotFound)
    }

    fn provider(&self) -> Result<&Arc<dyn Provider>, Error> {
        self.provider.as_ref().ok_or(Error::NoProvider)
    }

    async fn find(&self, id: PaymentId) -> Result<Payment, Error> {
        self.payments.find(id).await?.ok_or(Error::NotFound)
    }

    async fn next_of(&self, id: PaymentId) -> Result<Option<Step>, Error> {
        let Some(payment) = self.payments.find(id).await? else { return Ok(None) };
        Ok(Some(next(&payment, self.payments.capture(id).await?.as_ref())))
    }

    /// Drives a payment as far as it goes now: one that waits for its provider comes back `pending`.
    async fn drive(&self, Driven { payment, new }: Driven) -> Result<Payment, Error> {
        let capture = if new { None } else { self.payments.capture(payment.id).await? };
        match next(&payment, capture.as_ref()) {
            Step::Begin => {
                let due = self.begin(&payment).await?;
                self.charge(payment.id, Some(due)).await
            }
            Step::Charge => self.charge(payment.id, None).await,
            Step::Resolve(attempt) => self.resolve(&attempt).await,
            Step::Rest => Ok(payment),
        }
    }

    /// Asks the order whether it may be paid, and what it costs.
    async fn begin(&self, payment: &Payment) -> Result<Money, Error> {
        match self.orders.begin(payment).await {
            Ok(due) => Ok(due),
            Err(OrderError::Refused(problem, retry_after_s)) => {
                let final_answer = (problem.status == 409 && retry_after_s.is_none()).then(|| refusal(&problem));
                let facts =
                    Facts { code: Some(problem.code.clone()), message: problem.detail.clone(), ..Facts::default() };
                self.payments.refuse(payment.id, &facts, final_answer.as_ref()).await?;
                Err(Error::Order(problem, retry_after_s))
            }
            Err(away) => Err(Error::OrderAway(away)),
        }
    }

    async fn charge(&self, id: PaymentId, due: Option<Money>) -> Result<Payment, Error> {
        let provider = self.provider()?;
        let Prepared { payment, attempt } = self.payments.prepare_capture(id, due).await?;
        let Some(attempt) = attempt else { return Ok(payment) };
        let Some(token) = payment.token.clone() else { return self.resolve(&attempt).await };
        let key = attempt.provider_key(self.epoch);
        match self.in_time(provider.charge(&key, attempt.amount, &token)).await {
            Ok(outcome) => Ok(self.payments.conclude(Some(payment), &attempt, outcome).await?),
            Err(error) => {
                tracing::warn!(payment.id = %id, error = %chain(&error), "the outcome of a charge is unknown");
                Ok(payment)
            }
        }
    }

    async fn resolve(&self, attempt: &Attempt) -> Result<Payment, Error> {
        let key = attempt.provider_key(self.epoch);
        match self.in_time(self.provider()?.charged(&key)).await {
            Ok(outcome) => Ok(self.payments.conclude(None, attempt, outcome).await?),
            Err(_) => self.find(attempt.payment).await,
        }
    }

    async fn drive_refund(&self, attempt: &Attempt) -> Result<Payment, Error> {
        if attempt.state != AttemptState::Prepared {
            return self.find(attempt.payment).await;
        }
        let charge = self.find(attempt.payment).await?.facts.reference.unwrap_or_default();
        let key = attempt.provider_key(self.epoch);
        match self.in_time(self.provider()?.refund(&key, &charge, attempt.amount)).await {
            Ok(outcome) => Ok(self.payments.conclude_refund(attempt, outcome).await?),
            Err(error) => {
                tracing::warn!(payment.id = %attempt.payment, error = %chain(&error), "the outcome of a refund is unknown");
                self.find(attempt.payment).await
            }
        }
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, ProviderError>>) -> Result<T, ProviderError> {
        tokio::time::timeout(self.provider_timeout, call).await.unwrap_or(Err(ProviderError::NoAnswer))
    }

    /// Tells the order what became of a payment that a shopper asked for; the worker repeats it if it fails.
    async fn tell(&self, payment: &Payment) -> Option<Told> {
        let notice = Notice::of(payment)?;
        match self.deliver(&notice).await {
            Ok(order_status) => Some(Told { result: notice.result, order_status }),
            Err(error) => {
                tracing::warn!(payment.id = %payment.id, error = %chain(&error), "the order is told later");
                None
            }
        }
    }

    async fn deliver(&self, notice: &Notice) -> Result<String, Error> {
        match self.orders.tell(notice).await {
            Ok(status) => Ok(status),
            // It heard and will not hear otherwise: nothing is won by telling it for ever.
            Err(OrderError::Refused(problem, None)) => Ok(problem.code.clone()),
            Err(away) => Err(Error::OrderAway(away)),
        }
    }

    async fn note(&self, told: Option<&Told>) -> Result<(), Error> {
        match told {
            Some(told) => Ok(self.payments.told(told.result).await?),
            None => Ok(()),
        }
    }
}

impl Notice {
    /// What the order is to be told of this payment; nothing while there is no result.
    pub fn of(payment: &Payment) -> Option<Self> {
        let result = payment.result?;
        Some(Self { result, payment: payment.id, order: payment.order, status: payment.status.as_str().to_owned() })
    }
}

impl NewPayment {
    /// The payment as it was asked for.
    pub fn of(payment: &Payment) -> Self {
        Self {
            id: payment.id,
            order: payment.order,
            user: payment.user,
            door: payment.door,
            amount: payment.due.or(payment.claimed),
            method: payment.method,
            token: None,
        }
    }
}

impl ChargeOutcome {
    /// A charge that was never made.
    pub fn never() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self::Failed(Facts {
            code: text("not_charged"),
            message: text("the provider never made this charge"),
            ..Facts::default()
        })
    }
}

/// The order's final refusal as the answer to store.
fn refusal(problem: &Problem) -> StoredResponse {
    StoredResponse { status: problem.status, location: None, body: serde_json::to_value(problem).unwrap_or_default() }
}
