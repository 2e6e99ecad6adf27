//! `/api/v1/payments`.

use agora_api::{
    List,
    payment::{NewPayment as Body, NewRefund, Payment as Wire},
};
use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::{Money, OrderId, PaymentId};
use agora_web::{Admin, Command, Idempotency, Identity, Json, PageQuery, Path, Problem, Query, Start, decode_cursor};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;

use super::{PROVIDER_RETRY_AFTER_S, confined, refund_wire, replay, wire};
use crate::{
    domain::{AttemptState, Door, Method, Payment, Status, parse_token},
    ports::{Filter, NewPayment},
    simulator::DEFAULT_TOKEN,
    usecases::{Paid, Pay, Refunded, Told},
};

/// The routes.
pub fn router(pay: Pay) -> Router {
    Router::new()
        .route("/api/v1/payments", post(create).get(list))
        .route("/api/v1/payments/{id}", get(read))
        .route("/api/v1/payments/refund", post(refund))
        .with_state(pay)
}

/// Which payments a list holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListQuery {
    #[serde(alias = "order_id")]
    order_id: Option<OrderId>,
    limit: Option<String>,
    cursor: Option<String>,
}

async fn create(State(pay): State<Pay>, who: Identity, command: Command<Body>) -> Result<Response, Problem> {
    let dedup_key = dedup_key(&who, command.required()?);
    let new = parse(&pay, &who, command.body)?;
    match pay.pay(&new, &dedup_key).await? {
        Paid::Before(answer) => Ok(replay(answer)),
        Paid::Now(payment, told) => answer(&pay, &payment, told.as_ref()).await,
    }
}

async fn read(State(pay): State<Pay>, who: Identity, Path(id): Path<PaymentId>) -> Result<Json<Wire>, Problem> {
    let payment = pay.visible(id, confined(&who)).await?;
    Ok(Json(wire(&payment, None)))
}

async fn list(
    State(pay): State<Pay>,
    who: Identity,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<Wire>>, Problem> {
    let ListQuery { order_id, limit, cursor } = query;
    let asked = PageQuery { limit, cursor, offset: None }.parse()?;
    let before = match &asked.start {
        Start::Cursor(cursor) => Some(decode_cursor::<PaymentId>(cursor)?),
        _ => None,
    };
    let filter = Filter { user: confined(&who), order: order_id, before };
    let mut page = pay.page(filter, asked.size).await?;
    page.next = page.next.map(|id| agora_web::encode_cursor(&id));
    Ok(Json(page.map(|payment| wire(&payment, None)).into()))
}

async fn refund(State(pay): State<Pay>, Admin(who): Admin, command: Command<NewRefund>) -> Result<Response, Problem> {
    let dedup_key = dedup_key(&who, command.required()?);
    let NewRefund { payment_id, order_id, amount } = command.body;
    let id = match (payment_id, order_id) {
        (Some(id), None) => id,
        (None, Some(order)) => pay.captured_of(order).await?.id,
        _ => return Err(Problem::unprocessable().field("paymentId", "give either paymentId or orderId")),
    };
    if amount.is_some_and(|amount| amount.amount <= 0) {
        return Err(Problem::unprocessable().field("amount", "must be more than nothing"));
    }
    match pay.refund(id, amount, &dedup_key).await? {
        Refunded::Before(answer) => Ok(replay(answer)),
        Refunded::Now(refund, payment) => {
            let body = json!(refund_wire(&refund, &payment));
            match refund.state {
                AttemptState::Failed => Err(provider_failed(&pay, refund.intent, None).await?),
                AttemptState::Prepared => Ok(provisional(&pay, refund.intent, None, body).await?),
                AttemptState::Succeeded => {
                    let answer = StoredResponse { status: 201, location: Some(location(payment.id)), body };
                    pay.store(refund.intent, &answer, None).await?;
                    Ok(replay(answer))
                }
            }
        }
    }
}

fn parse(pay: &Pay, who: &Identity, body: Body) -> Result<NewPayment, Problem> {
    let Body { order_id, amount, method, token } = body;
    let mut problem = Problem::unprocessable();
    let mut refused = false;
    let mut note = |invalid: agora_vocab::Invalid| {
        refused = true;
        problem = problem.clone().field(invalid.field, invalid.message);
    };
    let method = Method::parse(&method).map_err(&mut note).ok();
    let token = parse_token(token.as_deref().unwrap_or(DEFAULT_TOKEN)).map_err(&mut note).ok();
    if amount.is_some_and(|Money { amount, .. }| amount <= 0) {
        note(agora_vocab::Invalid::new("amount", "must be more than nothing"));
    }
    match (method, refused) {
        (Some(method), false) => Ok(NewPayment {
            id: PaymentId::new(pay.ids.next()),
            order: order_id,
            user: who.user,
            door: Door::Request,
            amount,
            method,
            token,
        }),
        _ => Err(problem),
    }
}

/// The final answers are stored and replayed; an open or failed one lets the same key go on.
async fn answer(pay: &Pay, payment: &Payment, told: Option<&Told>) -> Result<Response, Problem> {
    let recovery_id = payment.id.uuid();
    let order_status = told.map(|told| told.order_status.clone());
    let (status, location, body) = match payment.status {
        Status::Pending => return provisional(pay, recovery_id, told, json!(wire(payment, order_status))).await,
        Status::Failed => return Err(provider_failed(pay, recovery_id, told).await?),
        Status::Declined => (402, None, json!(declined(payment).to_wire())),
        Status::Voided => (409, None, json!(Problem::new(StatusCode::CONFLICT, "CANCELLED").to_wire())),
        Status::Captured | Status::PartiallyRefunded | Status::Refunded => {
            (201, Some(location(payment.id)), json!(wire(payment, order_status)))
        }
    };
    let answer = StoredResponse { status, location, body };
    pay.store(recovery_id, &answer, told).await?;
    Ok(replay(answer))
}

fn declined(payment: &Payment) -> Problem {
    Problem::new(StatusCode::PAYMENT_REQUIRED, "PAYMENT_DECLINED")
        .detail(payment.facts.message.clone().unwrap_or_else(|| "the payment was declined".to_owned()))
        .extra("orderId", payment.order.to_string())
        .extra("paymentId", payment.id.to_string())
        .extra("declineCode", payment.facts.code.clone())
}

/// 201 for what is still under way: not stored, so the same key asks again and sees how it ended.
async fn provisional(
    pay: &Pay,
    recovery_id: uuid::Uuid,
    told: Option<&Told>,
    body: serde_json::Value,
) -> Result<Response, Problem> {
    pay.unlock(recovery_id, told).await?;
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

async fn provider_failed(pay: &Pay, recovery_id: uuid::Uuid, told: Option<&Told>) -> Result<Problem, Problem> {
    pay.unlock(recovery_id, told).await?;
    Ok(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "PROVIDER_FAILED")
        .detail("the payment provider failed and took nothing; try again with the same Idempotency-Key")
        .retry_after(PROVIDER_RETRY_AFTER_S))
}

fn location(id: PaymentId) -> String {
    format!("/api/v1/payments/{id}")
}

fn dedup_key(who: &Identity, idempotency: &Idempotency) -> DedupKey {
    let Idempotency { key, route, hash } = idempotency.clone();
    DedupKey::Request { scope: who.user.to_string(), key, route, hash }
}
