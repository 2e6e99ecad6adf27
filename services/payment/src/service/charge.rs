//! Charges: the steps of a payment until its result.
//!
//! Depends on `ports` and `domain`, not on HTTP or SQL.

use agora_chassis::chain;
use agora_outbox::StoredResponse;
use agora_vocab::{Money, PaymentId, Secret};

use super::{Error, KEY_LIFETIME_S, PaymentService, Problem};
use crate::{
    domain::{Attempt, AttemptKind, ChargeOutcome, Payment, ProviderDetails, Step, TransitionError, next_step},
    ports::{NewCharge, OrderError, PaymentError, ProviderError},
};

/// Age of an attempt, in seconds, from which a charge that the provider does not find was not made. Providers find a new
/// charge by its key only after a minute.
const FINDABLE_AFTER_S: i64 = 600;

impl PaymentService {
    /// Executes the next step of a payment. Returns it as `pending` if the provider's outcome is unknown.
    pub(super) async fn advance(&self, payment: Payment) -> Result<Payment, Error> {
        match next_step(&payment) {
            Step::Begin => {
                let due = self.begin_payment(&payment).await?;
                self.prepare_and_charge(payment.id, Some(due)).await
            }
            Step::Charge => self.prepare_and_charge(payment.id, None).await,
            Step::Resolve(_) => self.resolve(payment).await,
            Step::Expire(attempt) => self.expire(payment, attempt).await,
            Step::Release => self.operate(payment.id, AttemptKind::Void, None).await,
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
        match self.store.prepare_charge(id, due).await {
            Ok(payment) => self.charge(payment).await,
            Err(PaymentError::OtherLive) => {
                let details = ProviderDetails::of_code("other_payment", "another payment of the order holds money");
                self.store.reject(id, &details, None).await?;
                Err(PaymentError::OtherLive.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the open charge of a payment to the provider. Repeated calls of one attempt charge once.
    pub(super) async fn charge(&self, payment: Payment) -> Result<Payment, Error> {
        let (Some(attempt), Some(amount)) = (payment.open_attempt(), payment.due) else { return Ok(payment) };
        let Some(token) = self.open_token(&payment) else { return self.find_outcome(payment, attempt).await };
        let charge = NewCharge {
            key: attempt.provider_key(payment.id),
            amount,
            token,
            capture_method: payment.capture_method,
            payment: payment.id,
            order: payment.order,
        };
        let outcome = self.with_timeout(self.provider()?.charge(&charge)).await;
        self.apply_or_wait(payment, outcome).await
    }

    /// Finds out the outcome of the open attempt. The same key is sent again, which gives the outcome of the first call, also
    /// of one that the provider is still working on: asking instead would take a slow charge for none. A charge whose
    /// reference is known is asked for.
    pub(super) async fn resolve(&self, payment: Payment) -> Result<Payment, Error> {
        let Some(attempt) = payment.open_attempt() else { return Ok(payment) };
        if attempt.kind != AttemptKind::Charge {
            return self.send(payment).await;
        }
        if let Some(reference) = payment.details.reference.clone() {
            let outcome = self.with_timeout(self.provider()?.refresh(&reference)).await;
            return self.apply_or_wait(payment, outcome).await;
        }
        if payment.unchanged_s >= KEY_LIFETIME_S {
            return self.find_outcome(payment, attempt).await;
        }
        self.charge(payment).await
    }

    /// Asks for the outcome of a charge that cannot be sent again. One that the provider does not know is taken for none only
    /// when the provider would know it.
    async fn find_outcome(&self, payment: Payment, attempt: Attempt) -> Result<Payment, Error> {
        let key = attempt.provider_key(payment.id);
        let outcome = self.with_timeout(self.provider()?.find_charge(&key)).await;
        match outcome {
            Ok(ChargeOutcome::Failed(_)) if payment.unchanged_s < FINDABLE_AFTER_S => Ok(payment),
            outcome => self.apply_or_wait(payment, outcome).await,
        }
    }

    /// Ends a charge whose payer did not act in time. One that succeeded meanwhile keeps its outcome.
    async fn expire(&self, payment: Payment, attempt: Attempt) -> Result<Payment, Error> {
        let Some(reference) = payment.details.reference.clone() else { return self.resolve(payment).await };
        let key = format!("{}:timeout", attempt.provider_key(payment.id));
        let outcome = self.with_timeout(self.provider()?.void(&key, &reference)).await;
        self.apply_or_wait(payment, outcome.map(ChargeOutcome::action_timeout)).await
    }

    /// The token in clear. None if there is none, or if it cannot be read: the key was lost, or has not reached this process.
    fn open_token(&self, payment: &Payment) -> Option<Secret> {
        match self.cipher.open(payment.order, payment.token.as_ref()?) {
            Ok(token) => Some(token),
            Err(error) => {
                tracing::error!(
                    payment.id = %payment.id,
                    error = %chain(&error),
                    "Token of a payment not readable: restore ENCRYPTION_KEY or ENCRYPTION_KEY_PREVIOUS"
                );
                None
            }
        }
    }

    /// Stores an outcome. Without one, or with one that states another amount, the payment stays as it is and the worker asks
    /// again.
    pub(super) async fn apply_or_wait(
        &self,
        payment: Payment,
        outcome: Result<ChargeOutcome, ProviderError>,
    ) -> Result<Payment, Error> {
        let id = payment.id;
        let error = match outcome {
            Err(error) => chain(&error),
            Ok(outcome) => match self.store.apply_outcome(payment.clone(), outcome).await {
                Err(PaymentError::Transition(error @ TransitionError::AmountDiffers { .. })) => {
                    metrics::counter!("payment_amount_differs_total").increment(1);
                    error.to_string()
                }
                result => return Ok(result?),
            },
        };
        tracing::warn!(
            payment.id = %id,
            error,
            "Outcome of the provider unknown: the worker sends it again with the same key"
        );
        Ok(payment)
    }
}

/// The stored response for the order's final rejection.
fn rejection(problem: &Problem) -> StoredResponse {
    StoredResponse { status: problem.status, location: None, body: serde_json::to_value(problem).unwrap_or_default() }
}
