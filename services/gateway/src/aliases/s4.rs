//! The last document, the reference architecture. What it shares with the first one is written there.

use agora_web::Problem;
use axum::http::{Method, StatusCode};
use serde_json::Value;

use super::{
    rows::{Alias, Document::S4, alias},
    seen::Seen,
    shapes::{self, items, money, same},
};

/// Items of a page where the document's client names no number.
const PAGE: u16 = 20;

pub fn rows() -> Vec<Alias> {
    vec![
        alias(&[S4], Method::GET, "/users/{id}").calls("user", Method::GET, "/users/{id}"),
        alias(&[S4], Method::PUT, "/users/{id}").calls("user", Method::PUT, "/users/{id}").sends(|seen| Ok(same(seen))),
        alias(&[S4], Method::GET, "/users/{id}/orders")
            .calls("order", Method::GET, "/orders")
            .only_own()
            .paged(PAGE, &[])
            .answers(|seen| items(seen.last(), shapes::order)),
        alias(&[S4], Method::PUT, "/products/{id}/inventory")
            .calls("catalog", Method::PUT, "/products/{id}/inventory")
            .sends(|seen| Ok(same(seen)))
            .calls("catalog", Method::GET, "/products/{id}")
            .answers(|seen| shapes::product(seen.last())),
        alias(&[S4], Method::PUT, "/orders/{id}/status")
            .calls("order", Method::PATCH, "/orders/{id}")
            .sends(|seen| Ok(same(seen)))
            .answers(|seen| shapes::order(seen.last())),
        alias(&[S4], Method::POST, "/payments")
            .calls("payment", Method::POST, "/payments")
            .sends(with_money)
            .keyed()
            .with_status(StatusCode::OK)
            .answers(|seen| shapes::payment(seen.last())),
        alias(&[S4], Method::GET, "/payments/{id}")
            .calls("payment", Method::GET, "/payments/{id}")
            .answers(|seen| shapes::payment(seen.last())),
        alias(&[S4], Method::POST, "/payments/refund")
            .calls("payment", Method::POST, "/payments/refund")
            .sends(with_money)
            .keyed()
            .answers(|seen| shapes::payment(seen.last())),
    ]
}

fn with_money(seen: &Seen) -> Result<Value, Problem> {
    let mut body = same(seen);
    if let Some(amount) = body.get("amount").filter(|amount| !amount.is_null()) {
        body["amount"] = money("amount", amount)?;
    }
    Ok(body)
}
