//! Compatibility routes of the gateway demo: all paths below `/api`.

use agora_api::{Method, cart, catalog, user};
use serde_json::{Value, json};

use super::{
    exchange::Exchange,
    shapes::{self, decimal, items, joined, new_product, same},
    table::{Alias, Document::GatewayDemo, alias},
};

/// Default page size.
const PAGE: u16 = 20;

pub fn rows() -> Vec<Alias> {
    [accounts(), products(), cart()].concat()
}

fn accounts() -> Vec<Alias> {
    vec![
        alias(&[GatewayDemo], Method::Post, "/api/users/login")
            .calls(user::routes::LOGIN)
            .sends(|exchange| Ok(same(exchange))),
        alias(&[GatewayDemo], Method::Get, "/api/users/validate-token")
            .calls(user::routes::VALIDATE)
            .answers(validated),
        alias(&[GatewayDemo], Method::Post, "/api/users/validate-token")
            .calls(user::routes::VALIDATE)
            .answers(validated),
    ]
}

fn products() -> Vec<Alias> {
    vec![
        alias(&[GatewayDemo], Method::Get, "/api/products")
            .calls(catalog::routes::LIST)
            .paged(PAGE, &["category", "q", "sort"])
            .answers(|exchange| items(exchange.last(), product)),
        alias(&[GatewayDemo], Method::Get, "/api/products/{id}")
            .calls(catalog::routes::READ)
            .answers(|exchange| product(exchange.last())),
        alias(&[GatewayDemo], Method::Post, "/api/products")
            .calls(catalog::routes::CREATE)
            .sends(|exchange| new_product(&exchange.body, RENAMED))
            .answers(|exchange| product(exchange.last())),
        alias(&[GatewayDemo], Method::Put, "/api/products/{id}")
            .calls(catalog::routes::READ)
            .calls(catalog::routes::CHANGE)
            .sends(|exchange| {
                Ok(joined(&new_product(&exchange.body, RENAMED)?, json!({ "version": exchange.last()["version"] })))
            })
            .answers(|exchange| product(exchange.last())),
        alias(&[GatewayDemo], Method::Delete, "/api/products/{id}").calls(catalog::routes::DELETE),
    ]
}

fn cart() -> Vec<Alias> {
    vec![
        alias(&[GatewayDemo], Method::Post, "/api/cart/add")
            .calls(cart::routes::ADD_ITEM)
            .sends(|exchange| {
                Ok(json!({ "productId": exchange.body["productId"], "quantity": exchange.body["quantity"] }))
            })
            .answers(shown_cart),
        alias(&[GatewayDemo], Method::Get, "/api/cart").calls(cart::routes::VIEW).answers(shown_cart),
    ]
}

/// Earlier names of product members.
const RENAMED: &[(&str, &str)] = &[("productName", "name"), ("productPrice", "price"), ("productImageUrl", "imageUrl")];

fn validated(exchange: &Exchange) -> Value {
    let roles = &exchange.last()["roles"];
    let is_admin = roles.as_array().is_some_and(|roles| roles.iter().any(|role| role == "admin"));
    let role = if is_admin { "admin" } else { "customer" };
    joined(exchange.last(), json!({ "userId": exchange.last()["id"], "role": role }))
}

fn product(found: &Value) -> Value {
    let shown = shapes::product(found);
    let more = json!({
        "productId": shown["id"],
        "productName": shown["name"],
        "productPrice": shown["price"],
        "productImageUrl": shown["imageUrl"],
    });
    joined(&shown, more)
}

fn shown_cart(exchange: &Exchange) -> Value {
    let cart = exchange.last();
    let line = |item: &Value| {
        json!({
            "id": item["id"],
            "productId": item["productId"],
            "productName": item["name"],
            "productPrice": decimal(&item["price"]),
            "productImageUrl": item["imageUrl"],
            "quantity": item["quantity"],
        })
    };
    json!({ "cartId": cart["id"], "userId": exchange.user, "items": items(cart, line), "total": decimal(&cart["total"]) })
}
