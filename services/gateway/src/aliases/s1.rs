//! The second document: everything below `/api`.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    rows::{Alias, Document::S1, alias},
    seen::Seen,
    shapes::{self, decimal, items, joined, new_product, same},
};

/// Items of a page where the document's client names no number.
const PAGE: u16 = 20;

pub fn rows() -> Vec<Alias> {
    [accounts(), products(), cart()].concat()
}

fn accounts() -> Vec<Alias> {
    vec![
        alias(&[S1], Method::POST, "/api/users/login")
            .calls("user", Method::POST, "/auth/login")
            .sends(|seen| Ok(same(seen))),
        alias(&[S1], Method::GET, "/api/users/validate-token")
            .calls("user", Method::GET, "/auth/validate")
            .answers(validated),
        alias(&[S1], Method::POST, "/api/users/validate-token")
            .calls("user", Method::GET, "/auth/validate")
            .answers(validated),
    ]
}

fn products() -> Vec<Alias> {
    vec![
        alias(&[S1], Method::GET, "/api/products")
            .calls("catalog", Method::GET, "/products")
            .paged(PAGE, &["category", "q", "sort"])
            .answers(|seen| items(seen.last(), product)),
        alias(&[S1], Method::GET, "/api/products/{id}")
            .calls("catalog", Method::GET, "/products/{id}")
            .answers(|seen| product(seen.last())),
        alias(&[S1], Method::POST, "/api/products")
            .calls("catalog", Method::POST, "/products")
            .sends(|seen| new_product(&seen.body, RENAMED))
            .answers(|seen| product(seen.last())),
        alias(&[S1], Method::PUT, "/api/products/{id}")
            .calls("catalog", Method::GET, "/products/{id}")
            .calls("catalog", Method::PATCH, "/products/{id}")
            .sends(|seen| Ok(joined(&new_product(&seen.body, RENAMED)?, json!({ "version": seen.last()["version"] }))))
            .answers(|seen| product(seen.last())),
        alias(&[S1], Method::DELETE, "/api/products/{id}").calls("catalog", Method::DELETE, "/products/{id}"),
    ]
}

fn cart() -> Vec<Alias> {
    vec![
        alias(&[S1], Method::POST, "/api/cart/add")
            .calls("cart", Method::POST, "/cart/items")
            .sends(|seen| Ok(json!({ "productId": seen.body["productId"], "quantity": seen.body["quantity"] })))
            .answers(shown_cart),
        alias(&[S1], Method::GET, "/api/cart").calls("cart", Method::GET, "/cart").answers(shown_cart),
    ]
}

/// The document's names of a product's fields.
const RENAMED: &[(&str, &str)] = &[("productName", "name"), ("productPrice", "price"), ("productImageUrl", "imageUrl")];

fn validated(seen: &Seen) -> Value {
    let roles = &seen.last()["roles"];
    let is_admin = roles.as_array().is_some_and(|roles| roles.iter().any(|role| role == "admin"));
    let role = if is_admin { "admin" } else { "customer" };
    joined(seen.last(), json!({ "userId": seen.last()["id"], "role": role }))
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

fn shown_cart(seen: &Seen) -> Value {
    let cart = seen.last();
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
    json!({ "cartId": cart["id"], "userId": seen.user, "items": items(cart, line), "total": decimal(&cart["total"]) })
}
