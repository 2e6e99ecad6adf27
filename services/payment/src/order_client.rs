//! The order service over its internal port.

use agora_api::order::{BeginPayment, OrderState, PaymentDue, PaymentResult};
use agora_outbound::{CallError, Client};
use agora_vocab::Money;
use async_trait::async_trait;

use crate::{
    domain::Payment,
    ports::{Notice, OrderError, Orders},
};

/// The order service.
#[derive(Clone)]
pub struct OrderClient {
    client: Client,
}

impl OrderClient {
    /// Over a client of its internal port.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Orders for OrderClient {
    async fn begin(&self, payment: &Payment) -> Result<Money, OrderError> {
        let path = format!("/internal/v1/orders/{}/begin-payment", payment.order);
        let body = BeginPayment { payment_id: payment.id, user_id: payment.user, amount: payment.claimed };
        // The same payment id gets the same answer, so it serves as the command's id too.
        let due: PaymentDue = self.client.command(&path, payment.id.uuid(), &body).await?;
        Ok(due.amount)
    }

    async fn tell(&self, notice: &Notice) -> Result<String, OrderError> {
        let path = format!("/internal/v1/orders/{}/payment-result", notice.order);
        let body =
            PaymentResult { payment_id: notice.payment, result_id: notice.result, status: notice.status.clone() };
        let state: OrderState = self.client.command(&path, notice.result.uuid(), &body).await?;
        Ok(state.status)
    }
}

impl From<CallError> for OrderError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { problem, retry_after, .. } => {
                Self::Refused(problem, retry_after.map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX)))
            }
            CallError::Unavailable(failure) => Self::Unavailable(failure),
        }
    }
}
