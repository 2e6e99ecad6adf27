//! Every declared route, asked by those who must not reach it: other users for what belongs to the victim, employees for
//! what other roles do, services and clients for what is internal. What is expected follows from the policy of the route.

use std::collections::BTreeSet;

use agora_api::{
    Method, ORDER_READERS, PAYMENT_READERS, Policy, Route, cart, internal_routes, order, payment, public_routes, user,
};
use agora_testkit::{TestKeys, internal_token};
use agora_vocab::Role;
use serde_json::{Value, json};

use crate::{
    family::Family,
    shop::INTERNAL_SECRET,
    world::{self, UNKNOWN, World, filled, text_of},
};

/// Routes at which a service lets these roles, and admins, act for all users, although each user may call them.
const HELPED: [(Route, &[Role]); 10] = [
    (order::routes::READ, ORDER_READERS),
    (order::routes::INVOICE, ORDER_READERS),
    (order::routes::CANCEL, &[Role::Support]),
    (order::routes::REQUEST_RETURN, &[Role::Support]),
    (payment::routes::READ, PAYMENT_READERS),
    (payment::routes::CONFIRM, &[]),
    (payment::routes::CHALLENGE, &[]),
    (user::routes::READ, &[Role::Support]),
    (user::routes::UPDATE, &[]),
    (user::routes::SET_PREFERENCES, &[]),
];

/// The ids of the victim with the tokens of all others: 401 without a valid token, 404 with one, and nothing has changed.
pub async fn of_users(world: &World) -> Family {
    let mut family = Family::new("ids of others");
    let before = belongings(world).await;
    let routes: Vec<Route> =
        public_routes().filter(|route| matches!(route.policy, Policy::User) && route.path.contains('{')).collect();
    assert!(routes.len() > 15, "{} routes have an id", routes.len());
    for route in routes {
        let name = format!("{} {}", route.method.as_str(), route.path);
        // A route with an id of a new kind fails here, until the victim has one.
        family.expect(format!("{name}: the victim has an id for it"), true, world.victim.path(route).is_some());
        let path = world.victim.path(route).unwrap_or_else(|| filled(route, UNKNOWN));
        let body = body(world, route);
        for (who, token) in unauthenticated(world) {
            let status = world.ask(route, &path, token.as_deref(), &body).await.0;
            family.expect(format!("{name} with {who}"), 401, status);
        }
        for (who, token) in others(world, route) {
            let (status, answer) = world.ask(route, &path, Some(&token), &body).await;
            family.expect(format!("{name} as {who}"), (404, false), (status, reveals(world, &answer)));
        }
        if route.method == Method::Get {
            let own = world.ask(route, &path, Some(&world.victim.token), &body).await;
            assert_eq!(own.0, 200, "the victim reads {name}: {}", own.1);
        }
    }
    in_lists(world, &mut family).await;
    family.expect("what belongs to the victim", before, belongings(world).await);
    family
}

/// Lists that name the victim or the victim's ids in their query.
async fn in_lists(world: &World, family: &mut Family) {
    let victim = &world.victim;
    for (query, status) in [
        (format!("/orders?ids={}", victim.order), 200),
        (format!("/payments?orderId={}", victim.order), 200),
        (format!("/orders?userId={}", victim.id), 400),
        (format!("/payments?userId={}", victim.id), 400),
        (format!("/notifications?userId={}", victim.id), 400),
        (format!("/admin/users?ids={}", victim.id), 403),
        (format!("/admin/orders?userId={}", victim.id), 403),
    ] {
        let (seen, answer) = world.get(&query, &world.attacker).await;
        let items = answer["items"].as_array().map_or(0, Vec::len);
        family.expect(&query, (status, 0, false), (seen, items, reveals(world, &answer)));
    }
    let as_victim = world.request(reqwest::Method::GET, "/api/v1/orders").bearer_auth(&world.attacker);
    let as_victim =
        as_victim.header("x-user-id", &victim.id).header("x-user", &victim.id).header("x-auth-user", &victim.id);
    let (status, answer) = world::answer(as_victim).await;
    family.expect("a header that names the victim", (200, Some(0)), (status, answer["items"].as_array().map(Vec::len)));
}

/// Whether an answer reveals more than that there is nothing.
fn reveals(world: &World, answer: &Value) -> bool {
    let (victim, text) = (&world.victim, answer.to_string());
    [&victim.id, &victim.order, &victim.payment, &victim.address].iter().any(|id| text.contains(id.as_str()))
        || text.contains("Hidden 1")
}

/// Everything that the victim sees of what is theirs, without the times at which workers have looked at it.
async fn belongings(world: &World) -> Vec<Value> {
    let victim = &world.victim;
    let mut seen = Vec::new();
    for path in ["/users/me", "/users/me/addresses", "/users/me/sessions", "/cart", "/orders", "/payments"] {
        let (status, answer) = world.get(path, &victim.token).await;
        assert_eq!(status, 200, "{path}: {answer}");
        seen.push(without_times(answer));
    }
    let (_, list) = world.get("/notifications", &victim.token).await;
    let items = list["items"].as_array().unwrap().iter();
    let read = items.filter(|one| one["id"] == victim.notification.as_str()).map(|one| one["read"].clone());
    seen.extend(read);
    seen
}

fn without_times(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(name, _)| name != "updatedAt");
            members.map(|(name, value)| (name, without_times(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_times).collect(),
        other => other,
    }
}

/// Those without a valid token of this shop.
fn unauthenticated(world: &World) -> Vec<(&'static str, Option<String>)> {
    let mut expired = TestKeys::claims(world.attacker_id, &[Role::Admin]);
    expired["exp"] = json!(expired["exp"].as_i64().unwrap() - 1_000);
    vec![
        ("no token", None),
        ("an expired token of an admin", Some(world.keys.sign(&expired))),
        ("a token of another shop's admin", Some(TestKeys::new().token(world.attacker_id, &[Role::Admin]))),
    ]
}

/// Those whom a route must not show what belongs to the victim: another customer, and employees whose roles do not help.
fn others(world: &World, route: Route) -> Vec<(&'static str, String)> {
    let helpers = HELPED.iter().find(|(helped, _)| *helped == route).map(|(_, roles)| *roles);
    let is_helper = |role: Role| helpers.is_some_and(|helpers| Role::grants(&[role], helpers));
    let staff = Role::ALL.into_iter().filter(|role| *role != Role::Customer && !is_helper(*role));
    let mut others = vec![("another customer", world.attacker.clone())];
    others.extend(staff.map(|role| (role.as_str(), world.staff(role))));
    others
}

/// A body that the route would accept from the victim.
fn body(world: &World, route: Route) -> Value {
    let units = json!([{ "productId": world.victim.product, "quantity": 1 }]);
    let bodies = [
        (order::routes::REQUEST_RETURN, json!({ "items": units, "reason": "It is mine" })),
        (payment::routes::CHALLENGE, json!({ "approve": true })),
        (user::routes::REPLACE_ADDRESS, json!({ "street": "Evil 1", "city": "X", "country": "DE" })),
        (user::routes::UPDATE, json!({ "name": "Eve" })),
        (user::routes::SET_PREFERENCES, json!({ "promotions": false })),
        (cart::routes::CHANGE_ITEM, json!({ "quantity": 1 })),
    ];
    bodies.into_iter().find(|(of, _)| *of == route).map_or_else(|| json!({}), |(_, body)| body)
}

/// Every route for employees, with every role.
pub async fn of_roles(world: &World) -> Family {
    let mut family = Family::new("roles");
    let before = belongings(world).await;
    let mut admitted = BTreeSet::new();
    for route in public_routes() {
        let Policy::Role(roles) = route.policy else { continue };
        let name = format!("{} {}", route.method.as_str(), route.path);
        let path = world.victim.path(route).unwrap_or_else(|| filled(route, UNKNOWN));
        for (who, token) in unauthenticated(world) {
            let status = world.ask(route, &path, token.as_deref(), &json!({})).await.0;
            family.expect(format!("{name} with {who}"), 401, status);
        }
        for role in Role::ALL {
            let token = world.staff(role);
            if !Role::grants(&[role], roles) {
                let (status, answer) = world.ask(route, &path, Some(&token), &json!({})).await;
                let seen = (status, text_of(&answer["code"]).to_owned());
                family.expect(format!("{name} as {}", role.as_str()), (403, "FORBIDDEN".to_owned()), seen);
            } else if role != Role::Admin {
                // What a role may do is not refused: otherwise the refusals above would say nothing.
                let (status, answer) = world.ask(route, &filled(route, UNKNOWN), Some(&token), &json!({})).await;
                assert!(status < 500 && ![401, 403].contains(&status), "{name} as {}: {answer}", role.as_str());
                admitted.insert(role);
            }
        }
    }
    assert_eq!(admitted.len(), Role::ALL.len() - 2, "each role but customer and admin has routes: {admitted:?}");
    around(world, &mut family).await;
    family.expect("what belongs to the victim", before, belongings(world).await);
    family
}

/// Ways around the policy of a route: other spellings of its path, other methods, headers that name another one.
async fn around(world: &World, family: &mut Family) {
    let product = format!("/api/v1/products/{}", world.victim.product);
    for (path, status) in [
        ("/api/v1/admin/users/", 404),
        ("//api/v1/admin/users", 404),
        ("/api/v1//admin/users", 404),
        ("/API/V1/ADMIN/USERS", 404),
        ("/api/v1/admin/users;role=admin", 404),
        ("/api/v1/admin/users%20", 404),
        ("/api/v1/admin/users.json", 404),
        ("/api/v1/users/..%2fadmin%2fusers", 404),
        ("/api/v1/users/%2e%2e%5cadmin", 404),
        ("/api/v2/admin/users", 404),
        ("/internal/v1/quote", 404),
        ("/metrics", 404),
        ("/readyz", 404),
        ("/livez", 404),
        ("/info", 404),
        ("/debug/pprof/heap", 404),
        ("/.env", 404),
        ("/.git/config", 404),
        ("/actuator/env", 404),
    ] {
        let request = world.request(reqwest::Method::GET, path).bearer_auth(&world.attacker);
        family.expect(path, status, world::answer(request).await.0);
    }
    for name in ["TRACE", "TRACK", "PROPFIND", "PUT"] {
        let method = reqwest::Method::from_bytes(name.as_bytes()).unwrap();
        let request = world.request(method, &product).bearer_auth(&world.attacker);
        family.expect(format!("{name} of a product"), 405, world::answer(request).await.0);
    }
    for header in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let get = world.request(reqwest::Method::GET, &product).bearer_auth(&world.attacker).header(header, "DELETE");
        family.expect(format!("GET with {header}"), 200, world::answer(get).await.0);
        let post = world.request(reqwest::Method::POST, &product).bearer_auth(&world.attacker).header(header, "DELETE");
        family.expect(format!("POST with {header}"), 405, world::answer(post).await.0);
    }
    for header in ["x-original-url", "x-rewrite-url", "x-forwarded-prefix"] {
        let get = world.request(reqwest::Method::GET, "/api/v1/orders").bearer_auth(&world.attacker);
        let (status, answer) = world::answer(get.header(header, "/api/v1/admin/orders")).await;
        let items = answer["items"].as_array().map(Vec::len);
        family.expect(format!("orders with {header}"), (200, Some(0)), (status, items));
    }
    let (status, _) = world.get(&product["/api/v1".len()..], &world.attacker).await;
    assert_eq!(status, 200, "the product is there");
}

/// Every internal route: not reachable through the gateway, and at its own port closed to clients and to services that it
/// is not for.
pub async fn of_services(world: &World) -> Family {
    let mut family = Family::new("calls between services");
    let mut count = 0;
    for (callee, route) in internal_routes() {
        let Policy::Service(callers) = route.policy else { panic!("{} is internal and for others", route.path) };
        count += 1;
        let name = format!("{callee}: {}", route.path);
        let (path, port) = (filled(route, UNKNOWN), format!("{}_INTERNAL_PORT", callee.to_uppercase()));
        let url = format!("http://127.0.0.1:{}{path}", world.shop.environment[&port]);
        let method = world::method(route.method);
        for (who, token) in [("a client", None), ("an admin", Some(&world.admin))] {
            let status = world.ask(route, &path, token.map(String::as_str), &json!({})).await.0;
            family.expect(format!("{name} at the gateway as {who}"), 404, status);
            let direct = world.shop.http.request(method.clone(), &url).json(&json!({}));
            let direct = if let Some(token) = token { direct.bearer_auth(token) } else { direct };
            family.expect(format!("{name} at its port as {who}"), 401, world::answer(direct).await.0);
        }
        for caller in agora_topology::ALL.iter().map(|service| service.name).filter(|name| !callers.contains(name)) {
            let known = agora_topology::callers(callee).any(|name| name == caller);
            let token = internal_token(INTERNAL_SECRET, caller, callee, Some(world.attacker_id));
            let request = world.shop.http.request(method.clone(), &url).header("x-internal-token", token);
            let status = world::answer(request.json(&json!({}))).await.0;
            family.expect(format!("{name} as {caller}"), if known { 403 } else { 401 }, status);
        }
        for (attack, token) in forged_calls(world, callers[0], callee) {
            let request = world.shop.http.request(method.clone(), &url).header("x-internal-token", token);
            family.expect(format!("{name} with {attack}"), 401, world::answer(request.json(&json!({}))).await.0);
        }
    }
    assert!(count > 10, "{count} internal routes");
    family
}

/// Tokens of a caller that a route is for, which are not valid there.
fn forged_calls(world: &World, caller: &str, callee: &str) -> [(&'static str, String); 4] {
    let elsewhere = if callee == "payment" { "catalog" } else { "payment" };
    [
        ("a token for another service", internal_token(INTERNAL_SECRET, caller, elsewhere, Some(world.attacker_id))),
        ("a token by another secret", internal_token("another secret of thirty-two bytes", caller, callee, None)),
        ("the token of an admin", world.admin.clone()),
        ("no token", "null".to_owned()),
    ]
}
