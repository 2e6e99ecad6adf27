//! Internal commands of the order service: `/internal/v1/{pay,settle,void,refund}`. Each is idempotent by payment id.
//! Calls use cases only.

use agora_api::payment::{Pay as PayBody, PaymentRef, PaymentState, RefundOrder, RefundPart, RefundState};
use agora_chassis::trace;
use agora_vocab::{OrderId, PaymentId};
use agora_web::{Caller, Json, Problem, Routes};
use axum::{extract::State, http::StatusCode};

use crate::{
    domain::{AttemptState, CaptureMethod, Initiator, Method, Payment, Status, parse_token},
    ports::{NewPayment, PaymentError},
    service::{Error, PaymentService},
};

/// Routes of the internal port, which admits the services that may call.
pub fn routes(service: PaymentService) -> Routes {
    use agora_api::payment::routes::{PAY, REFUND_PART, REFUND_REMAINING, SETTLE, VOID};
    Routes::new()
        .on(PAY, charge)
        .on(SETTLE, settle)
        .on(VOID, void)
        .on(REFUND_REMAINING, refund)
        .on(REFUND_PART, refund_part)
        .with_state(service)
}

async fn charge(
    State(service): State<PaymentService>,
    caller: Caller,
    Json(body): Json<PayBody>,
) -> Result<Json<PaymentState>, Problem> {
    let PayBody { payment_id, order_id, user_id, total, method, token } = body;
    caller.acts_for(user_id)?;
    trace::note_order(order_id);
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
    caller: Caller,
    Json(body): Json<PaymentRef>,
) -> Result<Json<PaymentState>, Problem> {
    caller.acts_for(body.user_id)?;
    Ok(Json(state(&service.settle(&reference(&body)).await?)))
}

async fn void(
    State(service): State<PaymentService>,
    caller: Caller,
    Json(body): Json<PaymentRef>,
) -> Result<Json<PaymentState>, Problem> {
    caller.acts_for(body.user_id)?;
    Ok(Json(state(&service.void(&reference(&body)).await?)))
}

async fn refund(
    State(service): State<PaymentService>,
    Json(body): Json<RefundOrder>,
) -> Result<Json<PaymentState>, Problem> {
    let RefundOrder { payment_id, order_id } = body;
    check_order(&service, payment_id, order_id).await?;
    Ok(Json(state(&service.refund_remaining(payment_id).await?)))
}

async fn refund_part(
    State(service): State<PaymentService>,
    Json(body): Json<RefundPart>,
) -> Result<Json<RefundState>, Problem> {
    let RefundPart { payment_id, order_id, refund_id, amount } = body;
    check_order(&service, payment_id, order_id).await?;
    let refund = service.refund_part(payment_id, refund_id, amount).await?;
    let status = refund.map_or("nothing_left", |refund| match refund.state {
        AttemptState::Prepared => "pending",
        ended => ended.as_str(),
    });
    Ok(Json(RefundState { refund_id, status: status.to_owned() }))
}

/// Rejects a payment of another order.
async fn check_order(service: &PaymentService, payment: PaymentId, order: OrderId) -> Result<(), Problem> {
    trace::note_order(order);
    if service.find_visible(payment, None).await?.order != order {
        return Err(PaymentError::Mismatch(payment).into());
    }
    Ok(())
}

fn reference(body: &PaymentRef) -> NewPayment {
    let &PaymentRef { payment_id, order_id, user_id, total } = body;
    trace::note_order(order_id);
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
