//! The REST services of the fourth document, S3, below `/s3`: most answers stand in `result`.

use agora_web::Problem;
use axum::http::Method;
use serde_json::{Value, json};

use super::{
    rows::{Alias, Document::S3, alias},
    seen::Seen,
    shapes::{decimal, items, new_product, only, same},
};

/// The document's lists have no pages: this is the most that one holds.
const PAGE: u16 = 100;

pub fn rows() -> Vec<Alias> {
    [users(), orders(), products()].concat()
}

fn users() -> Vec<Alias> {
    let logged_in = |seen: &Seen| {
        let tokens = seen.last();
        json!({ "result": { "user": user(&tokens["user"]), "access_token": tokens["accessToken"] } })
    };
    vec![
        alias(&[S3], Method::POST, "/s3/users")
            .calls("user", Method::POST, "/auth/register")
            .sends(|seen| Ok(same(seen)))
            .calls("user", Method::POST, "/auth/login")
            .sends(|seen| Ok(json!({ "email": seen.body["email"], "password": seen.body["password"] })))
            .with_status(axum::http::StatusCode::CREATED)
            .answers(logged_in),
        alias(&[S3], Method::POST, "/s3/users/login")
            .calls("user", Method::POST, "/auth/login")
            .sends(|seen| Ok(same(seen)))
            .answers(logged_in),
        alias(&[S3], Method::GET, "/s3/users/{id}")
            .calls("user", Method::GET, "/users/{id}")
            .answers(|seen| json!({ "result": user(seen.last()) })),
    ]
}

fn orders() -> Vec<Alias> {
    vec![
        alias(&[S3], Method::POST, "/s3/orders")
            .calls("order", Method::POST, "/orders")
            .sends(new_order)
            .keyed()
            .answers(|seen| json!({ "result": order(seen.last()) })),
        alias(&[S3], Method::GET, "/s3/orders/{id}")
            .calls("order", Method::GET, "/orders/{id}")
            .answers(|seen| json!({ "result": order(seen.last()) })),
        alias(&[S3], Method::GET, "/s3/orders")
            .calls("order", Method::GET, "/admin/orders")
            .paged(PAGE, &[])
            .answers(|seen| json!({ "result": items(seen.last(), order) })),
    ]
}

fn products() -> Vec<Alias> {
    vec![
        alias(&[S3], Method::POST, "/s3/products")
            .calls("catalog", Method::POST, "/products")
            .sends(|seen| new_product(&seen.body, &[("quantity", "stock")]))
            .answers(|seen| json!({ "result": product(seen.last()) })),
        alias(&[S3], Method::GET, "/s3/products/id/{id}")
            .calls("catalog", Method::GET, "/products/{id}")
            .answers(|seen| json!({ "result": product(seen.last()) })),
        alias(&[S3], Method::GET, "/s3/products")
            .calls("catalog", Method::GET, "/products")
            .paged(PAGE, &[])
            .answers(|seen| json!({ "result": items(seen.last(), product) })),
        alias(&[S3], Method::GET, "/s3/products/category")
            .calls("catalog", Method::GET, "/products")
            .paged(PAGE, &["category"])
            .answers(|seen| json!({ "data": { "products": items(seen.last(), product) } })),
        alias(&[S3], Method::PATCH, "/s3/products/{id}")
            .calls("catalog", Method::PUT, "/products/{id}/inventory")
            .sends(only_quantity)
            .calls("catalog", Method::GET, "/products/{id}")
            .answers(|seen| json!({ "result": product(seen.last()) })),
    ]
}

fn only_quantity(seen: &Seen) -> Result<Value, Problem> {
    let others = seen.body.as_object().is_none_or(|body| body.keys().any(|key| key != "quantity"));
    if others {
        return Err(Problem::unacceptable().title("Only quantity updates are supported"));
    }
    Ok(only(seen, "quantity", "quantity"))
}

fn new_order(seen: &Seen) -> Result<Value, Problem> {
    let products = seen.body["products"].as_array();
    let products = products.ok_or_else(|| Problem::unacceptable().field("products", "must be a list"))?;
    let line = |product: &Value| json!({ "productId": product["_id"], "quantity": product["quantity"] });
    Ok(json!({ "items": products.iter().map(line).collect::<Value>() }))
}

fn user(user: &Value) -> Value {
    json!({ "_id": user["id"], "name": user["name"], "email": user["email"], "createdAt": user["createdAt"] })
}

fn order(order: &Value) -> Value {
    let line = |item: &Value| {
        json!({
            "_id": item["productId"],
            "quantity": item["quantity"],
            "name": item["name"],
            "category": item["category"],
            "price": decimal(&item["price"]),
        })
    };
    json!({
        "_id": order["id"],
        "userId": order["userId"],
        "products": items(order, line),
        "status": order["status"],
        "createdAt": order["createdAt"],
        "updatedAt": order["updatedAt"],
    })
}

fn product(product: &Value) -> Value {
    json!({
        "_id": product["id"],
        "name": product["name"],
        "price": decimal(&product["price"]),
        "quantity": product["stock"],
        "category": product["category"],
    })
}
