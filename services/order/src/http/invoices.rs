//! Public HTTP API of invoices: `/api/v1/orders/{id}/invoice`.

use std::sync::LazyLock;

use agora_api::{ORDER_READERS, order as api};
use agora_vocab::OrderId;
use agora_web::{Identity, Path, Problem, Routes, page_policy};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, header};

use super::public::confined;
use crate::service::OrderService;

/// An invoice loads nothing and runs nothing; of styles, it has that of its template alone.
static PAGE_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| page_policy(include_str!("../../templates/invoice.html")));

pub fn routes(service: OrderService) -> Routes {
    Routes::new().on(api::routes::INVOICE, invoice).with_state(service)
}

async fn invoice(
    State(service): State<OrderService>,
    identity: Identity,
    Path(id): Path<OrderId>,
) -> Result<Response, Problem> {
    let page = service.invoice(id, confined(&identity, ORDER_READERS)).await?;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, PAGE_POLICY.clone())];
    Ok((headers, page).into_response())
}
