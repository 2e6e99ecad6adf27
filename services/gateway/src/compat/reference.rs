//! Compatibility routes of the reference architecture. Paths shared with uMarketplace are defined there.

use agora_web::Problem;
use axum::http::{Method, StatusCode};
use serde_json::Value;

use super::{
    exchange::Exchange,
    shapes::{self, items, money, same},
    table::{Alias, Document::Reference, alias},
};

/// Default page size.
const PAGE: u16 = 20;

pub fn rows() -> Vec<Alias> {
    vec![
        alias(&[Reference], Method::GET, "/users/{id}").calls("user", Method::GET, "/users/{id}"),
        alias(&[Reference], Method::PUT, "/users/{id}")
            .calls("user", Method::PUT, "/users/{id}")
            .sends(|exchange| Ok(same(exchange))),
        alias(&[Reference], Method::GET, "/users/{id}/orders")
            .calls("order", Method::GET, "/orders")
            .only_own()
            .paged(PAGE, &[])
            .answers(|exchange| items(exchange.last(), shapes::order)),
        alias(&[Reference], Method::PUT, "/products/{id}/inventory")
            .calls("catalog", Method::PUT, "/products/{id}/inventory")
            .sends(|exchange| Ok(same(exchange)))
            .calls("catalog", Method::GET, "/products/{id}")
            .answers(|exchange| shapes::product(exchange.last())),
        alias(&[Reference], Method::PUT, "/orders/{id}/status")
            .calls("order", Method::PATCH, "/orders/{id}")
            .sends(|exchange| Ok(same(exchange)))
            .answers(|exchange| shapes::order(exchange.last())),
        alias(&[Reference], Method::POST, "/payments")
            .calls("payment", Method::POST, "/payments")
            .sends(with_money)
            .keyed()
            .with_status(StatusCode::OK)
            .answers(|exchange| shapes::payment(exchange.last())),
        alias(&[Reference], Method::GET, "/payments/{id}")
            .calls("payment", Method::GET, "/payments/{id}")
            .answers(|exchange| shapes::payment(exchange.last())),
        alias(&[Reference], Method::POST, "/payments/refund")
            .calls("payment", Method::POST, "/payments/refund")
            .sends(with_money)
            .keyed()
            .answers(|exchange| shapes::payment(exchange.last())),
    ]
}

fn with_money(exchange: &Exchange) -> Result<Value, Problem> {
    let mut body = same(exchange);
    if let Some(amount) = body.get("amount").filter(|amount| !amount.is_null()) {
        body["amount"] = money("amount", amount)?;
    }
    Ok(body)
}
