//! Properties that a client must not set: each request is 422, and what it wanted to change is as before.

use agora_vocab::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    family::Family,
    world::{self, World, text_of},
};

pub async fn attack(world: &World) -> Family {
    let mut family = Family::new("properties");
    registrations(world, &mut family).await;
    for (method, path, fields, base) in bodies(world) {
        for (field, value) in fields {
            let mut body = base.clone();
            body[field] = value;
            let request = world.request(method.clone(), &format!("/api/v1{path}")).bearer_auth(&world.attacker);
            let (status, answer) = world::answer(request.json(&body)).await;
            let named = text_of(&answer["details"][0]["field"]) == field;
            family.expect(format!("{method} {path} with {field}"), (422, true), (status, named));
        }
    }
    let (_, me) = world.get("/users/me", &world.attacker).await;
    family.expect("the attacker's roles", json!([Role::Customer]), me["roles"].clone());
    let (_, orders) = world.get("/orders", &world.attacker).await;
    family.expect("the attacker's orders", json!([]), orders["items"].clone());
    hidden(world, &mut family).await;
    family
}

async fn registrations(world: &World, family: &mut Family) {
    let fields = [
        ("roles", json!(["admin"])),
        ("role", json!("admin")),
        ("isAdmin", json!(true)),
        ("status", json!("active")),
        ("verified", json!(true)),
        ("id", json!(world.victim.id)),
        ("createdAt", json!("2020-01-01T00:00:00Z")),
    ];
    let account = |field: &str| (format!("assigned-{}@example.com", field.to_lowercase()), "correct horse battery");
    for (field, value) in fields {
        let (email, password) = account(field);
        let mut body = json!({ "email": email, "password": password });
        body[field] = value;
        let register = world.request(Method::POST, "/api/v1/auth/register").json(&body);
        family.expect(format!("registration with {field}"), 422, world::answer(register).await.0);
        let login = json!({ "email": email, "password": password });
        let login = world.request(Method::POST, "/api/v1/auth/login").json(&login);
        family.expect(format!("login after a registration with {field}"), 401, world::answer(login).await.0);
    }
}

type Body = (Method, String, Vec<(&'static str, Value)>, Value);

/// Bodies that are accepted, and the fields that are not.
fn bodies(world: &World) -> Vec<Body> {
    let (product, victim) = (&world.victim.product, &world.victim.id);
    let euro = json!({ "amount": 1, "currency": "EUR" });
    let profile = || {
        vec![
            ("roles", json!(["admin"])),
            ("email", json!("other@example.com")),
            ("status", json!("active")),
            ("id", json!(victim)),
            ("passwordHash", json!("x")),
            ("sid", json!(victim)),
        ]
    };
    let order = vec![
        ("total", euro.clone()),
        ("discount", euro.clone()),
        ("userId", json!(victim)),
        ("status", json!("paid")),
        ("paymentStatus", json!("paid")),
        ("number", json!("A-1")),
        ("sellerId", json!(victim)),
        ("tax", json!({ "basisPoints": 0 })),
        ("shippingPrice", euro.clone()),
    ];
    let payment = vec![
        ("status", json!("captured")),
        ("captured", euro.clone()),
        ("userId", json!(victim)),
        ("referenceId", json!("x")),
        ("provider", json!("none")),
    ];
    let line = vec![("price", euro), ("available", json!(true)), ("name", json!("Free")), ("id", json!(victim))];
    let address = json!({ "street": "A 1", "city": "B", "country": "DE" });
    let own = format!("/users/{}", world.attacker_id);
    vec![
        (Method::PUT, "/users/me".to_owned(), profile(), json!({ "name": "Eve" })),
        (Method::PUT, own, profile(), json!({ "name": "Eve" })),
        (Method::PUT, "/users/me/preferences".to_owned(), vec![("roles", json!([]))], json!({ "promotions": true })),
        (
            Method::POST,
            "/users/me/addresses".to_owned(),
            vec![("userId", json!(victim)), ("id", json!(world.victim.address))],
            address,
        ),
        (Method::POST, "/orders".to_owned(), order, json!({ "items": [{ "productId": product, "quantity": 1 }] })),
        (
            Method::POST,
            "/payments".to_owned(),
            payment,
            json!({ "orderId": world.victim.order, "method": "card", "token": "tok_ok" }),
        ),
        (Method::POST, "/cart/items".to_owned(), line, json!({ "productId": product, "quantity": 1 })),
    ]
}

/// Members that no answer to a customer may have.
async fn hidden(world: &World, family: &mut Family) {
    for path in ["/users/me", "/users/me/sessions", "/cart", "/orders", "/payments", "/notifications", "/products"] {
        let (status, answer) = world.get(path, &world.victim.token).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let mut names = Vec::new();
        collect_names(&answer, &mut names);
        assert!(names.len() > 3, "{path}: {answer}");
        for word in ["password", "hash", "secret", "sealed", "refreshtoken", "costprice", "idempotency"] {
            let found = names.iter().find(|name| name.contains(word));
            family.expect(format!("{path} with {word}"), None, found);
        }
    }
}

/// The names of all members, in lower case.
fn collect_names(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                names.push(name.to_lowercase());
                collect_names(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}
