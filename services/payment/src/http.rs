//! HTTP API: conversions between wire and domain types, and the mapping of errors to statuses. Calls use cases only.

mod internal;
mod operations;
mod public;
mod webhooks;

use agora_outbox::StoredResponse;
use agora_vocab::{Money, Role};
use agora_web::{Identity, Problem};
use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

pub use self::{internal::routes as internal, public::routes as public};
use crate::{
    domain::{AttemptState, NextAction, Payment, RefundAttempt, TransitionError},
    ports::{PaymentError, StoreError, WebhookError},
    service::Error,
};

/// `Retry-After` of a provider failure, in seconds.
const PROVIDER_RETRY_AFTER_S: u32 = 5;

fn wire(payment: &Payment, order_status: Option<String>) -> agora_api::payment::Payment {
    let amount = payment.due.or(payment.expected).unwrap_or(Money::zero(agora_vocab::Currency::EUR));
    let of_currency = |minor| Money { amount: minor, currency: amount.currency };
    agora_api::payment::Payment {
        id: payment.id,
        order_id: payment.order,
        order_status,
        user_id: payment.user,
        status: public_status(payment).to_owned(),
        amount,
        authorised: of_currency(payment.authorised_minor),
        captured: of_currency(payment.captured_minor),
        refunded: of_currency(payment.refunded_minor),
        method: payment.method.as_str().to_owned(),
        capture_method: payment.capture_method.as_str().to_owned(),
        next_action: payment.next_action.as_ref().map(next_action),
        reference_id: payment.details.reference.clone(),
        authorization_code: payment.details.authorization.clone(),
        response_code: payment.details.code.clone(),
        response_message: payment.details.message.clone(),
        created_at: payment.created_at,
        updated_at: payment.updated_at,
    }
}

/// The status for payers and admins: `pending` and `action_required` are one state of the payment.
fn public_status(payment: &Payment) -> &'static str {
    if payment.next_action.is_some() { "action_required" } else { payment.status.as_str() }
}

fn next_action(action: &NextAction) -> agora_api::payment::NextAction {
    agora_api::payment::NextAction { kind: action.kind.clone(), url: action.url.clone() }
}

fn refund_wire(refund: &RefundAttempt, payment: &Payment) -> agora_api::payment::Refund {
    agora_api::payment::Refund {
        id: refund.id,
        payment_id: payment.id,
        order_id: payment.order,
        status: match refund.state {
            AttemptState::Prepared => "pending".to_owned(),
            ended => ended.as_str().to_owned(),
        },
        amount: refund.amount,
        refunded: Money { amount: payment.refunded_minor, currency: refund.amount.currency },
        created_at: refund.created_at,
    }
}

/// Returns a stored response with the same status, location and body as the first time.
fn replay(stored: StoredResponse) -> Response {
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = (status, [("content-type", kind)], stored.body.to_string()).into_response();
    if let Some(Ok(location)) = stored.location.map(TryInto::try_into) {
        response.headers_mut().insert("location", location);
    }
    response
}

/// The user to whose payments the caller is confined; none for these roles and admins.
fn confined(who: &Identity, roles: &[Role]) -> Option<agora_vocab::UserId> {
    (!who.has_any(roles)).then_some(who.user)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NoProvider => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NO_PROVIDER")
                .detail("this shop has no payment provider; configure one in spec.payments of the Marketplace")
                .retry_after(60),
            Error::InProgress { retry_after_s } => {
                Problem::new(StatusCode::CONFLICT, "REQUEST_IN_PROGRESS").retry_after(retry_after_s.max(1))
            }
            Error::NotFound => Problem::not_found(),
            Error::OrderRejected(problem, retry_after_s) => order_problem(*problem, retry_after_s),
            Error::OrderUnavailable(error) => Problem::unavailable(error),
            Error::Cipher(error) => Problem::internal(error),
            Error::ProviderUnknown(error) => Problem::unavailable(error),
            Error::CaptureRefused => Problem::new(StatusCode::CONFLICT, "CAPTURE_REFUSED")
                .detail("the payment provider refused the capture; the payment is still authorised"),
            Error::Webhook(error) => webhook_problem(error),
            Error::Payment(error) => error.into(),
        }
    }
}

impl From<PaymentError> for Problem {
    fn from(error: PaymentError) -> Self {
        match error {
            PaymentError::NotFound(_) => Problem::not_found(),
            PaymentError::Cancelled(_) => Problem::new(StatusCode::CONFLICT, "CANCELLED"),
            PaymentError::Mismatch(_) => Problem::new(StatusCode::CONFLICT, "PAYMENT_MISMATCH"),
            PaymentError::OtherLive => Problem::new(StatusCode::CONFLICT, "PAYMENT_IN_PROGRESS")
                .detail("another payment of this order holds money, or is about to")
                .retry_after(1),
            PaymentError::Busy => Problem::new(StatusCode::CONFLICT, "REQUEST_IN_PROGRESS").retry_after(1),
            PaymentError::Transition(error) => transition_problem(error),
            PaymentError::Store(error) => store_problem(error),
        }
    }
}

fn transition_problem(error: TransitionError) -> Problem {
    match error {
        TransitionError::NotAllowed { .. } => {
            Problem::new(StatusCode::CONFLICT, "INVALID_TRANSITION").detail(error.to_string())
        }
        TransitionError::ExceedsCapture => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "REFUND_EXCEEDS_CAPTURED").field("amount", error.to_string())
        }
        TransitionError::ExceedsAuthorisation => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "CAPTURE_EXCEEDS_AUTHORISED")
                .field("amount", error.to_string())
        }
        TransitionError::AmountDiffers { .. } => Problem::unavailable(error),
        TransitionError::InvalidAmount => Problem::unprocessable().field("amount", error.to_string()),
    }
}

fn webhook_problem(error: WebhookError) -> Problem {
    let code = match error {
        WebhookError::Signature => "INVALID_SIGNATURE",
        WebhookError::Stale => "STALE_SIGNATURE",
        WebhookError::Malformed => "INVALID_EVENT",
    };
    Problem::new(StatusCode::BAD_REQUEST, code).detail(error.to_string())
}

/// The order's rejection, with its status, code and details.
fn order_problem(problem: agora_api::Problem, retry_after_s: Option<u32>) -> Problem {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::CONFLICT);
    let mut response = Problem::new(status, problem.code);
    if let Some(detail) = problem.detail {
        response = response.detail(detail);
    }
    for detail in problem.details {
        response = response.field(detail.field, detail.message);
    }
    match retry_after_s {
        Some(seconds) => response.retry_after(seconds),
        None => response,
    }
}

fn store_problem(error: StoreError) -> Problem {
    match error {
        StoreError::KeyReused => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
            .detail("this Idempotency-Key was used for another request; send a new one"),
        StoreError::Running => Problem::new(StatusCode::CONFLICT, "REQUEST_IN_PROGRESS").retry_after(1),
        StoreError::Unavailable(failure) => Problem::unavailable(failure),
        StoreError::Broken(failure) => Problem::internal(failure),
    }
}
