//! Compatibility routes of the reference architecture. Paths shared with uMarketplace are defined there.

use agora_api::{Method, catalog, order, payment, user};
use agora_web::Problem;
use axum::http::StatusCode;
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
        alias(&[Reference], Method::Get, "/users/{id}").calls(user::routes::READ),
        alias(&[Reference], Method::Put, "/users/{id}")
            .calls(user::routes::UPDATE)
            .sends(|exchange| Ok(same(exchange))),
        alias(&[Reference], Method::Get, "/users/{id}/orders")
            .calls(order::routes::LIST)
            .only_own()
            .paged(PAGE, &[])
            .answers(|exchange| items(exchange.last(), shapes::order)),
        alias(&[Reference], Method::Put, "/products/{id}/inventory")
            .calls(catalog::routes::ADJUST_STOCK)
            .sends(|exchange| Ok(same(exchange)))
            .calls(catalog::routes::READ)
            .answers(|exchange| shapes::product(exchange.last())),
        alias(&[Reference], Method::Put, "/orders/{id}/status")
            .calls(order::routes::ADVANCE)
            .sends(|exchange| Ok(same(exchange)))
            .answers(|exchange| shapes::order(exchange.last())),
        alias(&[Reference], Method::Post, "/payments")
            .calls(payment::routes::CREATE)
            .sends(with_money)
            .keyed()
            .with_status(StatusCode::OK)
            .answers(|exchange| shapes::payment(exchange.last())),
        alias(&[Reference], Method::Get, "/payments/{id}")
            .calls(payment::routes::READ)
            .answers(|exchange| shapes::payment(exchange.last())),
        alias(&[Reference], Method::Post, "/payments/refund")
            .calls(payment::routes::REFUND)
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
