//! `/internal/v1/{pay,settle,void,refund}`: what an order commands. Each repeats harmlessly by the payment's id.

use agora_api::payment::{Pay as PayBody, PaymentRef, PaymentState, RefundOrder};
use agora_web::{Json, Problem};
use axum::{Router, extract::State, http::StatusCode, routing::post};

use crate::{
    domain::{Door, Method, Payment, parse_token},
    ports::{NewPayment, StoreError},
    usecases::{Error, Pay},
};

/// The routes.
pub fn router(pay: Pay) -> Router {
    Router::new()
        .route("/internal/v1/pay", post(charge))
        .route("/internal/v1/settle", post(settle))
        .route("/internal/v1/void", post(void))
        .route("/internal/v1/refund", post(refund))
        .with_state(pay)
}

async fn charge(State(pay): State<Pay>, Json(body): Json<PayBody>) -> Result<Json<PaymentState>, Problem> {
    let PayBody { payment_id, order_id, user_id, total, method, token } = body;
    let new = NewPayment {
        id: payment_id,
        order: order_id,
        user: user_id,
        door: Door::Order,
        amount: Some(total),
        method: Method::parse(&method)?,
        token: Some(parse_token(&token)?),
    };
    match pay.pay_for_order(&new).await {
        // The order must hear that this payment will never be, so that it stops asking.
        Err(Error::NoProvider) => Err(Problem::new(StatusCode::CONFLICT, "NO_PROVIDER")),
        result => Ok(Json(state(&result?))),
    }
}

async fn settle(State(pay): State<Pay>, Json(body): Json<PaymentRef>) -> Result<Json<PaymentState>, Problem> {
    Ok(Json(state(&pay.settle(&reference(&body)).await?)))
}

async fn void(State(pay): State<Pay>, Json(body): Json<PaymentRef>) -> Result<Json<PaymentState>, Problem> {
    Ok(Json(state(&pay.void(&reference(&body)).await?)))
}

async fn refund(State(pay): State<Pay>, Json(body): Json<RefundOrder>) -> Result<Json<PaymentState>, Problem> {
    let RefundOrder { payment_id, order_id } = body;
    let payment = pay.visible(payment_id, None).await?;
    if payment.order != order_id {
        return Err(Error::Store(StoreError::Mismatch(payment_id)).into());
    }
    Ok(Json(state(&pay.refund_rest(payment_id).await?)))
}

fn reference(body: &PaymentRef) -> NewPayment {
    let &PaymentRef { payment_id, order_id, user_id, total } = body;
    NewPayment {
        id: payment_id,
        order: order_id,
        user: user_id,
        door: Door::Order,
        amount: Some(total),
        method: Method::Card,
        token: None,
    }
}

fn state(payment: &Payment) -> PaymentState {
    PaymentState { payment_id: payment.id, status: payment.status.as_str().to_owned(), result_id: payment.result }
}
