//! Public HTTP API: `/api/v1/payments`. Calls use cases only.

use agora_api::{
    List, PAYMENT_READERS,
    payment::{NewPayment as Body, NewRefund, Payment as Wire, PaymentsQuery},
};
use agora_chassis::trace;
use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::{Money, PaymentId};
use agora_web::{Command, Idempotency, Identity, Json, PageQuery, Path, Problem, Query, Routes, Start, decode_cursor};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::{PROVIDER_RETRY_AFTER_S, confined, refund_wire, replay, wire};
use crate::{
    domain::{AttemptState, CaptureMethod, Initiator, Method, Payment, Status, parse_token},
    ports::{Filter, NewPayment},
    service::{OrderAcknowledged, Paid, PaymentService, Refunded},
};

/// Routes of the public port; the port applies their policies.
pub fn routes(service: PaymentService) -> Routes {
    use agora_api::payment::routes::{CREATE, LIST, READ, REFUND};
    Routes::new()
        .on(CREATE, create)
        .on(LIST, list)
        .on(READ, read)
        .on(REFUND, refund)
        .merge(super::operations::routes())
        .merge(super::webhooks::routes())
        .with_state(service)
}

async fn create(
    State(service): State<PaymentService>,
    who: Identity,
    command: Command<Body>,
) -> Result<Response, Problem> {
    let dedup_key = dedup_key(&who, command.required()?);
    let new = parse(&service, &who, command.body)?;
    match service.pay(&new, &dedup_key).await? {
        Paid::Replayed(stored) => Ok(replay(stored)),
        Paid::Executed(payment, acknowledged) => respond(&service, &payment, acknowledged.as_ref()).await,
    }
}

async fn read(
    State(service): State<PaymentService>,
    who: Identity,
    Path(id): Path<PaymentId>,
) -> Result<Json<Wire>, Problem> {
    let payment = service.find_visible(id, confined(&who, PAYMENT_READERS)).await?;
    Ok(Json(wire(&payment, None)))
}

async fn list(
    State(service): State<PaymentService>,
    who: Identity,
    Query(query): Query<PaymentsQuery>,
) -> Result<Json<List<Wire>>, Problem> {
    let PaymentsQuery { order_id, limit, cursor } = query;
    let query = PageQuery { limit, cursor, offset: None }.parse()?;
    let before = match &query.start {
        Start::Cursor(cursor) => Some(decode_cursor::<PaymentId>(cursor)?),
        _ => None,
    };
    let filter = Filter { user: confined(&who, PAYMENT_READERS), order: order_id, before };
    let mut page = service.page(filter, query.size).await?;
    page.next = page.next.map(|id| agora_web::encode_cursor(&id));
    Ok(Json(page.map(|payment| wire(&payment, None)).into()))
}

async fn refund(
    State(service): State<PaymentService>,
    who: Identity,
    command: Command<NewRefund>,
) -> Result<Response, Problem> {
    let dedup_key = dedup_key(&who, command.required()?);
    let NewRefund { payment_id, order_id, amount } = command.body;
    let id = match (payment_id, order_id) {
        (Some(id), None) => id,
        (None, Some(order)) => service.find_captured(order).await?.id,
        _ => return Err(Problem::unprocessable().field("paymentId", "give either paymentId or orderId")),
    };
    if amount.is_some_and(|amount| amount.amount <= 0) {
        return Err(Problem::unprocessable().field("amount", "must be greater than zero"));
    }
    match service.refund(id, amount, &dedup_key).await? {
        Refunded::Replayed(stored) => Ok(replay(stored)),
        Refunded::Executed(refund, payment) => {
            let body = json!(refund_wire(&refund, &payment));
            match refund.state {
                AttemptState::Failed => Err(provider_failed(&service, refund.id.uuid(), None).await?),
                AttemptState::Prepared => Ok(provisional(&service, refund.id.uuid(), None, body).await?),
                AttemptState::Succeeded => {
                    let response = StoredResponse { status: 201, location: Some(location(payment.id)), body };
                    service.complete_request(refund.id.uuid(), &response, None).await?;
                    Ok(replay(response))
                }
            }
        }
    }
}

fn parse(service: &PaymentService, who: &Identity, body: Body) -> Result<NewPayment, Problem> {
    let Body { order_id, amount, method, capture_method, token } = body;
    trace::note_order(order_id);
    let mut problem = Problem::unprocessable();
    let mut invalid = false;
    let mut reject = |error: agora_vocab::Invalid| {
        invalid = true;
        problem = problem.clone().field(error.field, error.message);
    };
    let method = Method::parse(&method).map_err(&mut reject).ok();
    let capture_method = capture_method.as_deref().map_or(Ok(CaptureMethod::default()), CaptureMethod::parse);
    let capture_method = capture_method.map_err(&mut reject).unwrap_or_default();
    let token = match token.as_deref().or(service.default_token()) {
        Some(token) => parse_token(token).map_err(&mut reject).ok(),
        // Without a provider, the request is refused as such.
        None if service.provider.is_none() => None,
        None => {
            reject(agora_vocab::Invalid::new("token", "is required: send the token that the payment provider made"));
            None
        }
    };
    if amount.is_some_and(|Money { amount, .. }| amount <= 0) {
        reject(agora_vocab::Invalid::new("amount", "must be greater than zero"));
    }
    match (method, invalid) {
        (Some(method), false) => Ok(NewPayment {
            id: PaymentId::new(service.ids.next()),
            order: order_id,
            user: who.user,
            initiator: Initiator::Shopper,
            amount,
            method,
            capture_method,
            token: token.map(|token| service.seal(order_id, &token)).transpose()?,
        }),
        _ => Err(problem),
    }
}

/// Builds the response. A final one is stored and replayed; after a pending or failed payment the key can continue.
async fn respond(
    service: &PaymentService,
    payment: &Payment,
    acknowledged: Option<&OrderAcknowledged>,
) -> Result<Response, Problem> {
    let recovery_id = payment.id.uuid();
    let order_status = acknowledged.map(|acknowledged| acknowledged.order_status.clone());
    let (status, location, body) = match payment.status {
        Status::Pending => {
            return provisional(service, recovery_id, acknowledged, json!(wire(payment, order_status))).await;
        }
        Status::Failed => return Err(provider_failed(service, recovery_id, acknowledged).await?),
        Status::Declined => (402, None, json!(declined(payment).to_wire())),
        Status::Voided => (409, None, json!(Problem::new(StatusCode::CONFLICT, "CANCELLED").to_wire())),
        Status::Authorised | Status::Captured | Status::PartiallyRefunded | Status::Refunded => {
            (201, Some(location(payment.id)), json!(wire(payment, order_status)))
        }
    };
    let response = StoredResponse { status, location, body };
    service.complete_request(recovery_id, &response, acknowledged).await?;
    Ok(replay(response))
}

fn declined(payment: &Payment) -> Problem {
    Problem::new(StatusCode::PAYMENT_REQUIRED, "PAYMENT_DECLINED")
        .detail(payment.details.message.clone().unwrap_or_else(|| "the payment was declined".to_owned()))
        .extra("orderId", payment.order.to_string())
        .extra("paymentId", payment.id.to_string())
        .extra("declineCode", payment.details.code.clone())
}

/// 201 for a pending payment or refund. The response is not stored, so that the same key returns the later outcome.
async fn provisional(
    service: &PaymentService,
    recovery_id: uuid::Uuid,
    acknowledged: Option<&OrderAcknowledged>,
    body: serde_json::Value,
) -> Result<Response, Problem> {
    service.release_request(recovery_id, acknowledged).await?;
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn provider_failed(
    service: &PaymentService,
    recovery_id: uuid::Uuid,
    acknowledged: Option<&OrderAcknowledged>,
) -> Result<Problem, Problem> {
    service.release_request(recovery_id, acknowledged).await?;
    Ok(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "PROVIDER_FAILED")
        .detail("the payment provider failed and charged nothing; retry with the same Idempotency-Key")
        .retry_after(PROVIDER_RETRY_AFTER_S))
}

fn location(id: PaymentId) -> String {
    format!("/api/v1/payments/{id}")
}

fn dedup_key(who: &Identity, idempotency: &Idempotency) -> DedupKey {
    let Idempotency { key, route, hash } = idempotency.clone();
    DedupKey::Request { scope: who.user.to_string(), key, route, hash }
}
