//! Compatibility routes of uMarketplace. Paths that the reference architecture shares are defined here for both.

use agora_api::{Method, cart, catalog, order, user};
use axum::http::StatusCode;
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
        alias(&[Umarketplace, Reference], Method::Post, "/auth/register")
            .calls(user::routes::REGISTER)
            .sends(|exchange| Ok(same(exchange)))
            .answers(|exchange| {
                joined(exchange.last(), json!({ "message": "User registered successfully", "user": exchange.last() }))
            }),
        alias(&[Umarketplace, Reference], Method::Post, "/auth/login")
            .calls(user::routes::LOGIN)
            .sends(|exchange| Ok(same(exchange)))
            .answers(|exchange| joined(exchange.last(), json!({ "message": "Login successful" }))),
        alias(&[Umarketplace], Method::Get, "/auth/validate").calls(user::routes::VALIDATE),
        alias(&[Umarketplace], Method::Get, "/auth/profile")
            .calls(user::routes::READ_OWN)
            .answers(|exchange| json!({ "message": "User profile", "user": exchange.last() })),
    ]
}

fn products() -> Vec<Alias> {
    let set_stock = |method| {
        alias(&[Umarketplace], method, "/products/{id}")
            .calls(catalog::routes::ADJUST_STOCK)
            .sends(|exchange| Ok(only(exchange, "stock", "quantity")))
            .calls(catalog::routes::READ)
            .answers(|exchange| shapes::product(exchange.last()))
    };
    vec![
        alias(&[Umarketplace, Reference], Method::Get, "/products")
            .calls(catalog::routes::LIST)
            .paged(PAGE, &["category", "q", "sort"])
            .answers(|exchange| items(exchange.last(), shapes::product)),
        alias(&[Umarketplace, Reference], Method::Get, "/products/{id}")
            .calls(catalog::routes::READ)
            .answers(|exchange| shapes::product(exchange.last())),
        alias(&[Umarketplace, Reference], Method::Post, "/products")
            .calls(catalog::routes::CREATE)
            .sends(|exchange| shapes::new_product(&exchange.body, &[]))
            .answers(|exchange| shapes::product(exchange.last())),
        alias(&[Umarketplace], Method::Post, "/products/stock")
            .calls(catalog::routes::STOCK)
            .sends(|exchange| Ok(same(exchange))),
        set_stock(Method::Patch),
        set_stock(Method::Put),
        alias(&[Umarketplace], Method::Patch, "/products/{id}/name")
            .calls(catalog::routes::READ)
            .calls(catalog::routes::CHANGE)
            .sends(|exchange| Ok(json!({ "name": exchange.body["name"], "version": exchange.last()["version"] })))
            .answers(|exchange| shapes::product(exchange.last())),
    ]
}

fn cart() -> Vec<Alias> {
    vec![
        alias(&[Umarketplace], Method::Post, "/cart")
            .calls(cart::routes::ADD_ITEM)
            .sends(|exchange| Ok(new_line(exchange)))
            .answers(shown_cart),
        alias(&[Umarketplace], Method::Get, "/cart").calls(cart::routes::VIEW).answers(shown_cart),
        alias(&[Umarketplace], Method::Patch, "/cart/{id}")
            .calls(cart::routes::CHANGE_ITEM)
            .sends(|exchange| Ok(only(exchange, "qty", "quantity")))
            .answers(|exchange| shown_line(exchange, &exchange.params["id"])),
        alias(&[Umarketplace], Method::Delete, "/cart/{id}")
            .calls(cart::routes::REMOVE_ITEM)
            .with_status(StatusCode::OK)
            .answers(|_| Value::Bool(true)),
    ]
}

fn orders() -> Vec<Alias> {
    let changed = |exchange: &Exchange| {
        joined(&shapes::order(exchange.last()), json!({ "message": "Order updated successfully" }))
    };
    vec![
        alias(&[Umarketplace, Reference], Method::Post, "/orders")
            .calls(order::routes::PLACE)
            .sends(|exchange| Ok(new_order(exchange)))
            .keyed()
            .answers(|exchange| {
                joined(&shapes::order(exchange.last()), json!({ "message": "Order created successfully" }))
            }),
        alias(&[Umarketplace], Method::Get, "/orders")
            .calls(order::routes::LIST)
            .paged(PAGE, &[])
            .answers(|exchange| items(exchange.last(), shapes::order)),
        alias(&[Umarketplace, Reference], Method::Get, "/orders/{id}")
            .calls(order::routes::READ)
            .answers(|exchange| shapes::order(exchange.last())),
        alias(&[Umarketplace], Method::Delete, "/orders/{id}").calls(order::routes::CANCEL).answers(changed),
        alias(&[Umarketplace], Method::Patch, "/orders/{id}")
            .calls(order::routes::ADVANCE)
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
