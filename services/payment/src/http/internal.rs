//! Internal commands of the order service: `/internal/v1/{pay,settle,void,refund}`. Each is idempotent by payment id.
//! Calls use cases only.

use agora_api::payment::{Pay as PayBody, PaymentRef, PaymentState, RefundOrder};
use agora_web::{Json, Problem, Routes};
use axum::{extract::State, http::StatusCode};

use crate::{
    domain::{CaptureMethod, Initiator, Method, Payment, Status, parse_token},
    ports::{NewPayment, PaymentError},
    service::{Error, PaymentService},
};

/// Routes of the internal port, which admits the services that may call.
pub fn routes(service: PaymentService) -> Routes {
    use agora_api::payment::routes::{PAY, REFUND_REMAINING, SETTLE, VOID};
    Routes::new().on(PAY, charge).on(SETTLE, settle).on(VOID, void).on(REFUND_REMAINING, refund).with_state(service)
}

async fn charge(
    State(service): State<PaymentService>,
    Json(body): Json<PayBody>,
) -> Result<Json<PaymentState>, Problem> {
    let PayBody { payment_id, order_id, user_id, total, method, token } = body;
    let new = NewPayment {
        id: payment_id,
        order: order_id,
        user: user_id,
        initiator: Initiator::Order,
        amount: Some(total),
        method: Method::parse(&method)?,
        capture_method: CaptureMethod::Automatic,
        token: Some(service.seal(order_id, &parse_token(&token)?)?),
    };
    match service.pay_for_order(&new).await {
        // 409 is final: the order stops retrying.
        Err(Error::NoProvider) => Err(Problem::new(StatusCode::CONFLICT, "NO_PROVIDER")),
        result => Ok(Json(state(&result?))),
    }
}

async fn settle(
    State(service): State<PaymentService>,
    Json(body): Json<PaymentRef>,
) -> Result<Json<PaymentState>, Problem> {
    Ok(Json(state(&service.settle(&reference(&body)).await?)))
}

async fn void(
    State(service): State<PaymentService>,
    Json(body): Json<PaymentRef>,
) -> Result<Json<PaymentState>, Problem> {
    Ok(Json(state(&service.void(&reference(&body)).await?)))
}

async fn refund(
    State(service): State<PaymentService>,
    Json(body): Json<RefundOrder>,
) -> Result<Json<PaymentState>, Problem> {
    let RefundOrder { payment_id, order_id } = body;
    let payment = service.find_visible(payment_id, None).await?;
    if payment.order != order_id {
        return Err(PaymentError::Mismatch(payment_id).into());
    }
    Ok(Json(state(&service.refund_remaining(payment_id).await?)))
}

fn reference(body: &PaymentRef) -> NewPayment {
    let &PaymentRef { payment_id, order_id, user_id, total } = body;
    NewPayment {
        id: payment_id,
        order: order_id,
        user: user_id,
        initiator: Initiator::Order,
        amount: Some(total),
        method: Method::Card,
        capture_method: CaptureMethod::Automatic,
        token: None,
    }
}

/// An authorised payment is `pending` for the order, which waits for the capture.
fn state(payment: &Payment) -> PaymentState {
    let status = if payment.status.is_result() { payment.status } else { Status::Pending };
    let result_id = payment.result.filter(|_| payment.status.is_result());
    PaymentState { payment_id: payment.id, status: status.as_str().to_owned(), result_id }
}
