//! HTTP client of the payment service's internal API. Must not contain order logic.

use std::time::Duration;

use agora_api::payment as api;
use agora_outbound::{CallError, CallLimits, Client};
use agora_vocab::{CommandId, Money, RefundId, ReturnId, UserId};
use async_trait::async_trait;
use serde::Serialize;

use crate::{
    domain::{Method, PaymentOutcome, Token},
    ports::{CallFailed, Payable, Payments, Report},
};

const CALLEE: &str = "payment";
/// Time limits of a call to payment, which calls the provider. Longer than payment takes to answer, so that a slow provider is
/// not taken for a failed call.
pub const CALL_LIMITS: CallLimits = CallLimits { try_max: Duration::from_secs(7), call_max: Duration::from_secs(8) };
/// Payment status that means "no result yet".
const PENDING: &str = "pending";

/// Calls the payment service over HTTP; each call has a timeout and retries.
#[derive(Clone, Debug)]
pub struct PaymentClient(pub Client);

#[async_trait]
impl Payments for PaymentClient {
    async fn pay(
        &self,
        command: CommandId,
        payment: &Payable,
        (method, token): (Method, &Token),
    ) -> Result<Report, CallFailed> {
        let Payable { payment, order, user, total } = *payment;
        let body = api::Pay {
            payment_id: payment,
            order_id: order,
            user_id: user,
            total,
            method: method.as_str().to_owned(),
            token: token.expose().to_owned(),
        };
        match self.call(api::routes::PAY.path, (command, user), &body).await {
            Ok(report) => report,
            Err(error) => never(&error)
                .map(|outcome| Report { outcome: Some(outcome), result: None })
                .ok_or_else(|| failed(error)),
        }
    }

    async fn settle(&self, command: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        self.call(api::routes::SETTLE.path, (command, payment.user), &reference(payment)).await.map_err(failed)?
    }

    async fn void(&self, command: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        self.call(api::routes::VOID.path, (command, payment.user), &reference(payment)).await.map_err(failed)?
    }

    async fn refund(&self, command: CommandId, payment: &Payable) -> Result<Report, CallFailed> {
        let body = api::RefundOrder { payment_id: payment.payment, order_id: payment.order };
        self.call(api::routes::REFUND_REMAINING.path, (command, payment.user), &body).await.map_err(failed)?
    }

    async fn refund_part(
        &self,
        command: CommandId,
        payment: &Payable,
        (id, amount): (ReturnId, Money),
    ) -> Result<bool, CallFailed> {
        let (payment_id, order_id, refund_id) = (payment.payment, payment.order, RefundId::new(id.uuid()));
        let body = api::RefundPart { payment_id, order_id, refund_id, amount };
        let answer = self.0.command(api::routes::REFUND_PART.path, command.uuid(), &body).await;
        let api::RefundState { status, .. } = answer.map_err(failed)?;
        match status.as_str() {
            "succeeded" | "nothing_left" => Ok(true),
            PENDING => Ok(false),
            // The provider refused it: the next try is another attempt of the same refund.
            _ => Err(CallFailed { callee: CALLEE, source: format!("the refund is {status}").into() }),
        }
    }
}

impl PaymentClient {
    async fn call<Q: Serialize>(
        &self,
        path: &str,
        (command, user): (CommandId, UserId),
        body: &Q,
    ) -> Result<Result<Report, CallFailed>, CallError> {
        let state: api::PaymentState = self.0.for_user(user).command(path, command.uuid(), body).await?;
        Ok(report(&state))
    }
}

fn report(state: &api::PaymentState) -> Result<Report, CallFailed> {
    let outcome: Option<PaymentOutcome> = match state.status.as_str() {
        PENDING => None,
        status => Some(status.parse().map_err(|error| CallFailed { callee: CALLEE, source: Box::new(error) })?),
    };
    Ok(Report { outcome, result: state.result_id })
}

/// The final outcome that a rejected `pay` implies; `None` if the call has to be retried.
fn never(error: &CallError) -> Option<PaymentOutcome> {
    match error {
        CallError::Refused { status: 402, .. } => Some(PaymentOutcome::Declined),
        CallError::Refused { retry_after: None, problem, .. } => match problem.code.as_str() {
            "CANCELLED" => Some(PaymentOutcome::Voided),
            "NO_PROVIDER" | "PAYMENT_MISMATCH" | "VALIDATION_FAILED" => Some(PaymentOutcome::Failed),
            _ => None,
        },
        CallError::Refused { .. } | CallError::Unavailable(_) => None,
    }
}

fn reference(payment: &Payable) -> api::PaymentRef {
    let Payable { payment, order, user, total } = *payment;
    api::PaymentRef { payment_id: payment, order_id: order, user_id: user, total }
}

fn failed(error: CallError) -> CallFailed {
    CallFailed { callee: CALLEE, source: error.into() }
}
