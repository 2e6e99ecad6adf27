//! Payments over HTTP: wire and domain turned into each other, and the one map from errors to statuses.

mod internal;
mod public;

use agora_outbox::StoredResponse;
use agora_vocab::{Money, Role};
use agora_web::{Identity, Problem};
use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

pub use self::{internal::router as internal, public::router as public};
use crate::{
    domain::{Attempt, AttemptState, Payment, Refused},
    ports::StoreError,
    usecases::Error,
};

/// When to try again after a failure at the provider, in seconds.
const PROVIDER_RETRY_AFTER_S: u32 = 5;

fn wire(payment: &Payment, order_status: Option<String>) -> agora_api::payment::Payment {
    let amount = payment.due.or(payment.claimed).unwrap_or(Money::zero(agora_vocab::Currency::EUR));
    agora_api::payment::Payment {
        id: payment.id,
        order_id: payment.order,
        order_status,
        user_id: payment.user,
        status: payment.status.as_str().to_owned(),
        amount,
        refunded: Money { amount: payment.refunded_minor, currency: amount.currency },
        method: payment.method.as_str().to_owned(),
        reference_id: payment.facts.reference.clone(),
        authorization_code: payment.facts.authorization.clone(),
        response_code: payment.facts.code.clone(),
        response_message: payment.facts.message.clone(),
        created_at: payment.created_at,
        updated_at: payment.updated_at,
    }
}

fn refund_wire(refund: &Attempt, payment: &Payment) -> agora_api::payment::Refund {
    agora_api::payment::Refund {
        id: refund.refund(),
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

/// A stored answer, as it was given the first time.
fn replay(answer: StoredResponse) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = (status, [("content-type", kind)], answer.body.to_string()).into_response();
    if let Some(Ok(location)) = answer.location.map(TryInto::try_into) {
        response.headers_mut().insert("location", location);
    }
    response
}

/// The user to whom a list or look is confined; none for admins.
fn confined(who: &Identity) -> Option<agora_vocab::UserId> {
    (!who.has(Role::Admin)).then_some(who.user)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NoProvider => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NO_PROVIDER")
                .detail("this shop has no payment provider; name one under spec.payments")
                .retry_after(60),
            Error::Running { retry_after_s } => {
                Problem::new(StatusCode::CONFLICT, "REQUEST_IN_PROGRESS").retry_after(retry_after_s.max(1))
            }
            Error::NotFound => Problem::not_found(),
            Error::Order(problem, retry_after_s) => refused(*problem, retry_after_s),
            Error::OrderAway(away) => Problem::unavailable(away),
            Error::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::KeyReused => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
                .detail("this Idempotency-Key was used for another request; send a fresh one"),
            StoreError::NotFound(_) => Problem::not_found(),
            StoreError::Cancelled(_) => Problem::new(StatusCode::CONFLICT, "CANCELLED"),
            StoreError::Mismatch(_) => Problem::new(StatusCode::CONFLICT, "PAYMENT_MISMATCH"),
            StoreError::Refused(refused) => refused.into(),
            StoreError::Unavailable(failure) => Problem::unavailable(failure),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Transition { .. } => {
                Problem::new(StatusCode::CONFLICT, "INVALID_TRANSITION").detail(refused.to_string())
            }
            Refused::ExceedsCapture => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "REFUND_EXCEEDS_CAPTURED")
                .field("amount", refused.to_string()),
            Refused::Amount => Problem::unprocessable().field("amount", refused.to_string()),
        }
    }
}

/// The order's refusal in its own words.
fn refused(problem: agora_api::Problem, retry_after_s: Option<u32>) -> Problem {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::CONFLICT);
    let mut ours = Problem::new(status, problem.code);
    if let Some(detail) = problem.detail {
        ours = ours.detail(detail);
    }
    for detail in problem.details {
        ours = ours.field(detail.field, detail.message);
    }
    match retry_after_s {
        Some(seconds) => ours.retry_after(seconds),
        None => ours,
    }
}
