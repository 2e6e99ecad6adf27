//! HTTP client of the order service's internal port. Implements the port [`Orders`].

use agora_api::order::{BeginPayment, OrderState, PaymentDue, PaymentResult, routes};
use agora_outbound::{CallError, Client};
use agora_vocab::Money;
use async_trait::async_trait;

use crate::{
    domain::Payment,
    ports::{OrderError, Orders, PendingOrderCallback},
};

/// The order service over HTTP.
#[derive(Clone)]
pub struct OrderClient {
    client: Client,
}

impl OrderClient {
    /// Wraps an HTTP client whose base URL is the order service's internal port.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Orders for OrderClient {
    async fn begin_payment(&self, payment: &Payment) -> Result<Money, OrderError> {
        let path = routes::BEGIN_PAYMENT.path_of([&payment.order]);
        let body = BeginPayment { payment_id: payment.id, user_id: payment.user, amount: payment.expected };
        // begin-payment is idempotent by payment id, so the payment id is the command id.
        let due: PaymentDue = self.client.for_user(payment.user).command(&path, payment.id.uuid(), &body).await?;
        Ok(due.amount)
    }

    async fn report_result(&self, callback: &PendingOrderCallback) -> Result<String, OrderError> {
        let path = routes::PAYMENT_RESULT.path_of([&callback.order]);
        let body =
            PaymentResult { payment_id: callback.payment, result_id: callback.result, status: callback.status.clone() };
        let state: OrderState = self.client.command(&path, callback.result.uuid(), &body).await?;
        Ok(state.status)
    }
}

impl From<CallError> for OrderError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { problem, retry_after, .. } => {
                Self::Rejected(problem, retry_after.map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX)))
            }
            CallError::Unavailable(failure) => Self::Unavailable(failure),
        }
    }
}
