//! Public HTTP API of invoices: `/api/v1/orders/{id}/invoice`.

use agora_api::{ORDER_READERS, order as api};
use agora_vocab::OrderId;
use agora_web::{Identity, Path, Problem, Routes};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::header;

use super::public::confined;
use crate::service::OrderService;

/// A page that loads nothing and runs nothing.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

pub fn routes(service: OrderService) -> Routes {
    Routes::new().on(api::routes::INVOICE, invoice).with_state(service)
}

async fn invoice(
    State(service): State<OrderService>,
    identity: Identity,
    Path(id): Path<OrderId>,
) -> Result<Response, Problem> {
    let page = service.invoice(id, confined(&identity, ORDER_READERS)).await?;
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, PAGE_POLICY)];
    Ok((headers, page).into_response())
}
