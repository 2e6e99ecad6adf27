//! The first document and its code, uMarketplace. Paths that the fourth document has too are written here for both.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    rows::{
        Alias,
        Document::{S0, S4},
        alias,
    },
    seen::Seen,
    shapes::{self, decimal, items, joined, only, same},
};

/// Items of a page where the document's client names no number.
const PAGE: u16 = 10;

pub fn rows() -> Vec<Alias> {
    [accounts(), products(), cart(), orders()].concat()
}

fn accounts() -> Vec<Alias> {
    vec![
        alias(&[S0, S4], Method::POST, "/auth/register")
            .calls("user", Method::POST, "/auth/register")
            .sends(|seen| Ok(same(seen)))
            .answers(|seen| {
                joined(seen.last(), json!({ "message": "User registered successfully", "user": seen.last() }))
            }),
        alias(&[S0, S4], Method::POST, "/auth/login")
            .calls("user", Method::POST, "/auth/login")
            .sends(|seen| Ok(same(seen)))
            .answers(|seen| joined(seen.last(), json!({ "message": "Login successful" }))),
        alias(&[S0], Method::GET, "/auth/validate").calls("user", Method::GET, "/auth/validate"),
        alias(&[S0], Method::GET, "/auth/profile")
            .calls("user", Method::GET, "/users/me")
            .answers(|seen| json!({ "message": "User profile", "user": seen.last() })),
    ]
}

fn products() -> Vec<Alias> {
    let set_stock = |method| {
        alias(&[S0], method, "/products/{id}")
            .calls("catalog", Method::PUT, "/products/{id}/inventory")
            .sends(|seen| Ok(only(seen, "stock", "quantity")))
            .calls("catalog", Method::GET, "/products/{id}")
            .answers(|seen| shapes::product(seen.last()))
    };
    vec![
        alias(&[S0, S4], Method::GET, "/products")
            .calls("catalog", Method::GET, "/products")
            .paged(PAGE, &["category", "q", "sort"])
            .answers(|seen| items(seen.last(), shapes::product)),
        alias(&[S0, S4], Method::GET, "/products/{id}")
            .calls("catalog", Method::GET, "/products/{id}")
            .answers(|seen| shapes::product(seen.last())),
        alias(&[S0, S4], Method::POST, "/products")
            .calls("catalog", Method::POST, "/products")
            .sends(|seen| shapes::new_product(&seen.body, &[]))
            .answers(|seen| shapes::product(seen.last())),
        alias(&[S0], Method::POST, "/products/stock")
            .calls("catalog", Method::POST, "/products/stock")
            .sends(|seen| Ok(same(seen))),
        set_stock(Method::PATCH),
        set_stock(Method::PUT),
        alias(&[S0], Method::PATCH, "/products/{id}/name")
            .calls("catalog", Method::GET, "/products/{id}")
            .calls("catalog", Method::PATCH, "/products/{id}")
            .sends(|seen| Ok(json!({ "name": seen.body["name"], "version": seen.last()["version"] })))
            .answers(|seen| shapes::product(seen.last())),
    ]
}

fn cart() -> Vec<Alias> {
    vec![
        alias(&[S0], Method::POST, "/cart")
            .calls("cart", Method::POST, "/cart/items")
            .sends(|seen| Ok(new_line(seen)))
            .answers(shown_cart),
        alias(&[S0], Method::GET, "/cart").calls("cart", Method::GET, "/cart").answers(shown_cart),
        alias(&[S0], Method::PATCH, "/cart/{id}")
            .calls("cart", Method::PATCH, "/cart/items/{id}")
            .sends(|seen| Ok(only(seen, "qty", "quantity")))
            .answers(|seen| shown_line(seen, &seen.params["id"])),
        alias(&[S0], Method::DELETE, "/cart/{id}")
            .calls("cart", Method::DELETE, "/cart/items/{id}")
            .with_status(StatusCode::OK)
            .answers(|_| Value::Bool(true)),
    ]
}

fn orders() -> Vec<Alias> {
    let changed = |seen: &Seen| joined(&shapes::order(seen.last()), json!({ "message": "Order updated successfully" }));
    vec![
        alias(&[S0, S4], Method::POST, "/orders")
            .calls("order", Method::POST, "/orders")
            .sends(|seen| Ok(new_order(seen)))
            .keyed()
            .answers(|seen| joined(&shapes::order(seen.last()), json!({ "message": "Order created successfully" }))),
        alias(&[S0], Method::GET, "/orders")
            .calls("order", Method::GET, "/orders")
            .paged(PAGE, &[])
            .answers(|seen| items(seen.last(), shapes::order)),
        alias(&[S0, S4], Method::GET, "/orders/{id}")
            .calls("order", Method::GET, "/orders/{id}")
            .answers(|seen| shapes::order(seen.last())),
        alias(&[S0], Method::DELETE, "/orders/{id}").calls("order", Method::DELETE, "/orders/{id}").answers(changed),
        alias(&[S0], Method::PATCH, "/orders/{id}")
            .calls("order", Method::PATCH, "/orders/{id}")
            .sends(|seen| Ok(same(seen)))
            .answers(changed),
    ]
}

fn new_line(seen: &Seen) -> Value {
    let mut line = json!({ "productId": seen.body["productId"], "quantity": seen.body["qty"] });
    if let Some(variant) = seen.body.get("variant") {
        line["variant"] = variant.clone();
    }
    line
}

/// The documents' clients name the user, the total and the prices; the token and the server decide those.
fn new_order(seen: &Seen) -> Value {
    let mut order = same(seen);
    if let Some(order) = order.as_object_mut() {
        for decided_here in ["userId", "customerId", "total", "totalAmount"] {
            order.remove(decided_here);
        }
    }
    order
}

fn shown_cart(seen: &Seen) -> Value {
    let cart = seen.last();
    json!({
        "id": cart["id"],
        "customerId": seen.user,
        "lineItems": items(cart, |item| line(cart, item)),
        "amount": decimal(&cart["total"]),
    })
}

/// The line of that id; the whole cart where the answer has none.
fn shown_line(seen: &Seen, id: &str) -> Value {
    let cart = seen.last();
    let found = cart["items"].as_array().and_then(|items| items.iter().find(|item| item["id"] == *id));
    found.map_or_else(|| shown_cart(seen), |item| line(cart, item))
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
