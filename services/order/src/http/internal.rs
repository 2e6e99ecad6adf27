//! Internal HTTP API for the payment service: start of a payment and payment result.

use agora_api::order as api;
use agora_outbox::DedupKey;
use agora_vocab::OrderId;
use agora_web::{Caller, Json, Path, Problem, Routes};
use axum::extract::State;

use crate::service::OrderService;

pub fn routes(service: OrderService) -> Routes {
    Routes::new().on(api::routes::BEGIN_PAYMENT, begin).on(api::routes::PAYMENT_RESULT, result).with_state(service)
}

/// Idempotent by payment id, so no deduplication key is stored: a failed payment may start again.
async fn begin(
    State(service): State<OrderService>,
    caller: Caller,
    Path(id): Path<OrderId>,
    Json(body): Json<api::BeginPayment>,
) -> Result<Json<api::PaymentDue>, Problem> {
    let api::BeginPayment { payment_id, user_id, amount } = body;
    caller.acts_for(user_id)?;
    let amount = service.begin_payment(id, payment_id, (user_id, amount), &DedupKey::None).await?;
    Ok(Json(api::PaymentDue { amount }))
}

async fn result(
    State(service): State<OrderService>,
    Path(id): Path<OrderId>,
    Json(body): Json<api::PaymentResult>,
) -> Result<Json<api::OrderState>, Problem> {
    let api::PaymentResult { payment_id, result_id, status } = body;
    let outcome =
        status.parse().map_err(|_| Problem::unprocessable().field("status", "must be a final state of a payment"))?;
    let order = service.payment_result(id, payment_id, (result_id, outcome)).await?;
    let (status, payment_status) = (order.progress.status.as_str(), order.progress.payment_status.as_str());
    Ok(Json(api::OrderState { status: status.to_owned(), payment_status: payment_status.to_owned() }))
}
