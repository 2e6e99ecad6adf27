//! Compatibility routes of uMarketplace. Paths that the reference architecture shares are defined here for both.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    exchange::Exchange,
    shapes::{self, decimal, items, joined, only, same},
    table::{
        Alias,
        Document::{Reference, Umarketplace},
        alias,
    },
};

/// Default page size.
const PAGE: u16 = 10;

pub fn rows() -> Vec<Alias> {
    [accounts(), products(), cart(), orders()].concat()
}

fn accounts() -> Vec<Alias> {
    vec![
        alias(&[Umarketplace, Reference], Method::POST, "/auth/register")
            .calls("user", Method::POST, "/auth/register")
            .sends(|exchange| Ok(same(exchange)))
            .answers(|exchange| {
                joined(exchange.last(), json!({ "message": "User registered successfully", "user": exchange.last() }))
            }),
        alias(&[Umarketplace, Reference], Method::POST, "/auth/login")
            .calls("user", Method::POST, "/auth/login")
            .sends(|exchange| Ok(same(exchange)))
            .answers(|exchange| joined(exchange.last(), json!({ "message": "Login successful" }))),
        alias(&[Umarketplace], Method::GET, "/auth/validate").calls("user", Method::GET, "/auth/validate"),
        alias(&[Umarketplace], Method::GET, "/auth/profile")
            .calls("user", Method::GET, "/users/me")
            .answers(|exchange| json!({ "message": "User profile", "user": exchange.last() })),
    ]
}

fn products() -> Vec<Alias> {
    let set_stock = |method| {
        alias(&[Umarketplace], method, "/products/{id}")
            .calls("catalog", Method::PUT, "/products/{id}/inventory")
            .sends(|exchange| Ok(only(exchange, "stock", "quantity")))
            .calls("catalog", Method::GET, "/products/{id}")
            .answers(|exchange| shapes::product(exchange.last()))
    };
    vec![
        alias(&[Umarketplace, Reference], Method::GET, "/products")
            .calls("catalog", Method::GET, "/products")
            .paged(PAGE, &["category", "q", "sort"])
            .answers(|exchange| items(exchange.last(), shapes::product)),
        alias(&[Umarketplace, Reference], Method::GET, "/products/{id}")
            .calls("catalog", Method::GET, "/products/{id}")
            .answers(|exchange| shapes::product(exchange.last())),
        alias(&[Umarketplace, Reference], Method::POST, "/products")
            .calls("catalog", Method::POST, "/products")
            .sends(|exchange| shapes::new_product(&exchange.body, &[]))
            .answers(|exchange| shapes::product(exchange.last())),
        alias(&[Umarketplace], Method::POST, "/products/stock")
            .calls("catalog", Method::POST, "/products/stock")
            .sends(|exchange| Ok(same(exchange))),
        set_stock(Method::PATCH),
        set_stock(Method::PUT),
        alias(&[Umarketplace], Method::PATCH, "/products/{id}/name")
            .calls("catalog", Method::GET, "/products/{id}")
            .calls("catalog", Method::PATCH, "/products/{id}")
            .sends(|exchange| Ok(json!({ "name": exchange.body["name"], "version": exchange.last()["version"] })))
            .answers(|exchange| shapes::product(exchange.last())),
    ]
}

fn cart() -> Vec<Alias> {
    vec![
        alias(&[Umarketplace], Method::POST, "/cart")
            .calls("cart", Method::POST, "/cart/items")
            .sends(|exchange| Ok(new_line(exchange)))
            .answers(shown_cart),
        alias(&[Umarketplace], Method::GET, "/cart").calls("cart", Method::GET, "/cart").answers(shown_cart),
        alias(&[Umarketplace], Method::PATCH, "/cart/{id}")
            .calls("cart", Method::PATCH, "/cart/items/{id}")
            .sends(|exchange| Ok(only(exchange, "qty", "quantity")))
            .answers(|exchange| shown_line(exchange, &exchange.params["id"])),
        alias(&[Umarketplace], Method::DELETE, "/cart/{id}")
            .calls("cart", Method::DELETE, "/cart/items/{id}")
            .with_status(StatusCode::OK)
            .answers(|_| Value::Bool(true)),
    ]
}

fn orders() -> Vec<Alias> {
    let changed = |exchange: &Exchange| {
        joined(&shapes::order(exchange.last()), json!({ "message": "Order updated successfully" }))
    };
    vec![
        alias(&[Umarketplace, Reference], Method::POST, "/orders")
            .calls("order", Method::POST, "/orders")
            .sends(|exchange| Ok(new_order(exchange)))
            .keyed()
            .answers(|exchange| {
                joined(&shapes::order(exchange.last()), json!({ "message": "Order created successfully" }))
            }),
        alias(&[Umarketplace], Method::GET, "/orders")
            .calls("order", Method::GET, "/orders")
            .paged(PAGE, &[])
            .answers(|exchange| items(exchange.last(), shapes::order)),
        alias(&[Umarketplace, Reference], Method::GET, "/orders/{id}")
            .calls("order", Method::GET, "/orders/{id}")
            .answers(|exchange| shapes::order(exchange.last())),
        alias(&[Umarketplace], Method::DELETE, "/orders/{id}")
            .calls("order", Method::DELETE, "/orders/{id}")
            .answers(changed),
        alias(&[Umarketplace], Method::PATCH, "/orders/{id}")
            .calls("order", Method::PATCH, "/orders/{id}")
            .sends(|exchange| Ok(same(exchange)))
            .answers(changed),
    ]
}

fn new_line(exchange: &Exchange) -> Value {
    let mut line = json!({ "productId": exchange.body["productId"], "quantity": exchange.body["qty"] });
    if let Some(variant) = exchange.body.get("variant") {
        line["variant"] = variant.clone();
    }
    line
}

/// Drops user, total and prices from the client: token and server decide those.
fn new_order(exchange: &Exchange) -> Value {
    let mut order = same(exchange);
    if let Some(order) = order.as_object_mut() {
        for decided_here in ["userId", "customerId", "total", "totalAmount"] {
            order.remove(decided_here);
        }
    }
    order
}

fn shown_cart(exchange: &Exchange) -> Value {
    let cart = exchange.last();
    json!({
        "id": cart["id"],
        "customerId": exchange.user,
        "lineItems": items(cart, |item| line(cart, item)),
        "amount": decimal(&cart["total"]),
    })
}

/// The cart line with this id, or the whole cart.
fn shown_line(exchange: &Exchange, id: &str) -> Value {
    let cart = exchange.last();
    let found = cart["items"].as_array().and_then(|items| items.iter().find(|item| item["id"] == *id));
    found.map_or_else(|| shown_cart(exchange), |item| line(cart, item))
}

fn line(cart: &Value, item: &Value) -> Value {
    json!({
        "id": item["id"],
        "productId": item["productId"],
        "cartId": cart["id"],
        "itemName": item["name"],
        "variant": item["variant"],
        "qty": item["quantity"],
        "price": decimal(&item["price"]),
        "availability": item["available"],
    })
}
