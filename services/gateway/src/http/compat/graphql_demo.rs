//! Compatibility routes of the GraphQL demo, below `/s3`: most responses are wrapped in `result`.

use agora_api::{Method, catalog, notification, order, recommendation, user};
use agora_web::Problem;
use serde_json::{Value, json};

use super::{
    exchange::Exchange,
    shapes::{decimal, items, new_product, only, same},
    table::{Alias, Document::GraphqlDemo, alias},
};

/// Items of a list: the earlier API has no pages.
const PAGE: u16 = 100;
/// Notifications of a page without `limit`.
const NOTIFICATIONS: u16 = 50;

pub fn rows() -> Vec<Alias> {
    [users(), orders(), products(), recommendations(), notifications()].concat()
}

fn users() -> Vec<Alias> {
    let logged_in = |exchange: &Exchange| {
        let tokens = exchange.last();
        json!({ "result": { "user": user(&tokens["user"]), "access_token": tokens["accessToken"] } })
    };
    vec![
        alias(&[GraphqlDemo], Method::Post, "/s3/users")
            .calls(user::routes::REGISTER)
            .sends(|exchange| Ok(same(exchange)))
            .calls(user::routes::LOGIN)
            .sends(|exchange| Ok(json!({ "email": exchange.body["email"], "password": exchange.body["password"] })))
            .with_status(axum::http::StatusCode::CREATED)
            .answers(logged_in),
        alias(&[GraphqlDemo], Method::Post, "/s3/users/login")
            .calls(user::routes::LOGIN)
            .sends(|exchange| Ok(same(exchange)))
            .answers(logged_in),
        alias(&[GraphqlDemo], Method::Get, "/s3/users/{id}")
            .calls(user::routes::READ)
            .answers(|exchange| json!({ "result": user(exchange.last()) })),
        alias(&[GraphqlDemo], Method::Get, "/s3/users")
            .calls(user::routes::LIST_ALL)
            .paged(PAGE, &[])
            .answers(|exchange| json!({ "result": items(exchange.last(), user) })),
        alias(&[GraphqlDemo], Method::Put, "/s3/users/{id}/preferences")
            .calls(user::routes::SET_PREFERENCES)
            .sends(|exchange| Ok(same(exchange)))
            .answers(|exchange| json!({ "result": user(exchange.last()) })),
    ]
}

fn orders() -> Vec<Alias> {
    vec![
        alias(&[GraphqlDemo], Method::Post, "/s3/orders")
            .calls(order::routes::PLACE)
            .sends(new_order)
            .keyed()
            .answers(|exchange| json!({ "result": order(exchange.last()) })),
        alias(&[GraphqlDemo], Method::Get, "/s3/orders/{id}")
            .calls(order::routes::READ)
            .answers(|exchange| json!({ "result": order(exchange.last()) })),
        alias(&[GraphqlDemo], Method::Get, "/s3/orders")
            .calls(order::routes::LIST_ALL)
            .paged(PAGE, &[])
            .answers(|exchange| json!({ "result": items(exchange.last(), order) })),
    ]
}

fn products() -> Vec<Alias> {
    vec![
        alias(&[GraphqlDemo], Method::Post, "/s3/products")
            .calls(catalog::routes::CREATE)
            .sends(|exchange| new_product(&exchange.body, &[("quantity", "stock")]))
            .answers(|exchange| json!({ "result": product(exchange.last()) })),
        alias(&[GraphqlDemo], Method::Get, "/s3/products/id/{id}")
            .calls(catalog::routes::READ)
            .answers(|exchange| json!({ "result": product(exchange.last()) })),
        alias(&[GraphqlDemo], Method::Get, "/s3/products")
            .calls(catalog::routes::LIST)
            .paged(PAGE, &[])
            .answers(|exchange| json!({ "result": items(exchange.last(), product) })),
        alias(&[GraphqlDemo], Method::Get, "/s3/products/category")
            .calls(catalog::routes::LIST)
            .paged(PAGE, &["category"])
            .answers(|exchange| json!({ "data": { "products": items(exchange.last(), product) } })),
        alias(&[GraphqlDemo], Method::Patch, "/s3/products/{id}")
            .calls(catalog::routes::ADJUST_STOCK)
            .sends(only_quantity)
            .calls(catalog::routes::READ)
            .answers(|exchange| json!({ "result": product(exchange.last()) })),
    ]
}

fn recommendations() -> Vec<Alias> {
    vec![
        alias(&[GraphqlDemo], Method::Post, "/s3/recommendations/feedback")
            .calls(recommendation::routes::VOTE)
            // The voter is the token's user, whatever `userId` says.
            .sends(|exchange| {
                Ok(json!({ "productId": exchange.body["productId"], "isPositive": exchange.body["isPositive"] }))
            })
            .answers(|exchange| json!({ "status": "success", "data": exchange.last()["feedbackStats"] })),
        alias(&[GraphqlDemo], Method::Post, "/s3/recommendations/process")
            .calls(recommendation::routes::RECOMPUTE)
            .with_status(axum::http::StatusCode::OK)
            .answers(|_| json!({ "status": "success" })),
    ]
}

fn notifications() -> Vec<Alias> {
    vec![
        alias(&[GraphqlDemo], Method::Post, "/s3/notifications")
            .calls(notification::routes::CREATE)
            .sends(|exchange| Ok(same(exchange)))
            .answers(|exchange| {
                let created = exchange.last();
                json!({
                    "message": "Notification created successfully",
                    "notification": notification(created),
                    "trackingUrl": created["trackingUrl"],
                })
            }),
        alias(&[GraphqlDemo], Method::Get, "/s3/notifications/user/{id}")
            .calls(notification::routes::LIST)
            .only_own()
            .paged(NOTIFICATIONS, &["priority", "read", "page"])
            .answers(page_of_notifications),
        alias(&[GraphqlDemo], Method::Patch, "/s3/notifications/user/{id}/read")
            .calls(notification::routes::MARK_MANY)
            .only_own()
            .sends(|exchange| Ok(same(exchange)))
            .answers(|exchange| {
                json!({ "message": "Notifications marked as read", "updatedCount": exchange.last()["updatedCount"] })
            }),
    ]
}

fn page_of_notifications(exchange: &Exchange) -> Value {
    let list = exchange.last();
    let total = list["total"].as_u64().unwrap_or_default();
    let asked =
        |name: &str| exchange.query.iter().find(|(known, _)| known == name).and_then(|(_, text)| text.parse().ok());
    let limit: u64 = asked("limit").unwrap_or(u64::from(NOTIFICATIONS)).clamp(1, u64::from(PAGE));
    json!({
        "results": items(list, notification),
        "pagination": {
            "total": total,
            "page": asked("page").unwrap_or(1),
            "limit": limit,
            "totalPages": total.div_ceil(limit),
        },
    })
}

fn only_quantity(exchange: &Exchange) -> Result<Value, Problem> {
    let others = exchange.body.as_object().is_none_or(|body| body.keys().any(|key| key != "quantity"));
    if others {
        return Err(Problem::unprocessable().title("Only quantity updates are supported"));
    }
    Ok(only(exchange, "quantity", "quantity"))
}

fn new_order(exchange: &Exchange) -> Result<Value, Problem> {
    let products = exchange.body["products"].as_array();
    let products = products.ok_or_else(|| Problem::unprocessable().field("products", "must be a list"))?;
    let line = |product: &Value| json!({ "productId": product["_id"], "quantity": product["quantity"] });
    Ok(json!({ "items": products.iter().map(line).collect::<Value>() }))
}

fn user(user: &Value) -> Value {
    json!({
        "_id": user["id"],
        "name": user["name"],
        "email": user["email"],
        "preferences": user["preferences"],
        "createdAt": user["createdAt"],
    })
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

fn notification(notification: &Value) -> Value {
    json!({
        "_id": notification["id"],
        "userId": notification["userId"],
        "type": notification["type"],
        "priority": notification["priority"],
        "content": notification["content"],
        "metadata": notification["metadata"],
        "read": notification["read"],
        "emailSent": notification["mail"] == "sent",
        "sentAt": notification["sentAt"],
        "createdAt": notification["createdAt"],
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
