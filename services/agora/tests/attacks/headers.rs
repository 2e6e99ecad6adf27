//! Headers of all answers, and what pages of other origins may do.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder, Response};

use crate::{
    family::Family,
    world::{ORIGIN, World},
};

/// On every answer.
const SECURITY: [(&str, &str); 5] = [
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
];
/// On no answer: names of programs and their versions.
const REVEALING: [&str; 5] = ["server", "x-powered-by", "via", "x-runtime", "x-served-by"];

/// Origins of which one differs from that of the shop by something that a careless comparison overlooks.
const FOREIGN: [&str; 10] = [
    "https://evil.example",
    "null",
    "*",
    "http://shop.example",
    "https://shop.example.evil.example",
    "https://evil-shop.example",
    "https://shop.example:8443",
    "https://sub.shop.example",
    "https://SHOP.example",
    "https://shop.example/",
];

pub async fn attack(world: &World) -> Family {
    let mut family = Family::new("headers and origins");
    for (name, status, request) in answers(world) {
        let answer = request.header("origin", "https://evil.example").send().await.unwrap();
        check(&mut family, name, status, &answer);
    }
    origins(world, &mut family).await;
    family
}

/// Answers of every kind: of services, of the gateway, of errors of each.
fn answers(world: &World) -> Vec<(&'static str, u16, RequestBuilder)> {
    let get = |path: &str| world.request(Method::GET, path);
    let invoice = format!("/api/v1/orders/{}/invoice", world.victim.order);
    vec![
        ("products", 200, get("/api/v1/products")),
        ("greeting", 200, get("/")),
        ("health", 200, get("/health")),
        ("own orders", 200, get("/api/v1/orders").bearer_auth(&world.victim.token)),
        ("an invoice", 200, get(&invoice).bearer_auth(&world.victim.token)),
        ("a picture", 200, get(&format!("/api/v1/products/{}/image.svg", world.victim.product))),
        ("no token", 401, get("/api/v1/orders")),
        ("a role", 403, get("/api/v1/admin/users").bearer_auth(&world.attacker)),
        ("nowhere", 404, get("/nowhere")),
        ("another's order", 404, get(&invoice).bearer_auth(&world.attacker)),
        ("a method", 405, world.request(Method::DELETE, "/api/v1/products")),
        ("a query", 400, get("/api/v1/products?limit=x")),
        (
            "a body",
            400,
            world.request(Method::POST, "/api/v1/auth/login").header("content-type", "application/json").body("{"),
        ),
        ("a form", 415, world.request(Method::POST, "/api/v1/auth/login").body("a=b")),
        ("a large body", 413, world.request(Method::POST, "/api/v1/auth/login").body("x".repeat(64 << 10))),
        (
            "GraphQL",
            200,
            world.request(Method::POST, "/graphql").json(&serde_json::json!({ "query": "{ __typename }" })),
        ),
        (
            "a preflight",
            200,
            world.request(Method::OPTIONS, "/api/v1/orders").header("access-control-request-method", "POST"),
        ),
    ]
}

fn check(family: &mut Family, name: &str, status: u16, answer: &Response) {
    family.expect(format!("{name}: status"), status, answer.status().as_u16());
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    for (security, value) in SECURITY {
        family.expect(format!("{name}: {security}"), Some(value), header(security));
    }
    for revealing in REVEALING {
        family.expect(format!("{name}: {revealing}"), None, header(revealing));
    }
    let policies: Vec<&str> =
        answer.headers().get_all("content-security-policy").iter().filter_map(|policy| policy.to_str().ok()).collect();
    let strict = !policies.is_empty()
        && policies.iter().all(|policy| policy.starts_with("default-src 'none'"))
        && policies.iter().all(|policy| !policy.contains("unsafe") && !policy.contains("script"));
    family.expect(format!("{name}: a policy that permits nothing, in {policies:?}"), true, strict);
    family.expect(format!("{name}: readable by another origin"), None, header("access-control-allow-origin"));
    family.expect(format!("{name}: credentials"), None, header("access-control-allow-credentials"));
    family.expect(format!("{name}: cookies"), None, header("set-cookie"));
}

async fn origins(world: &World, family: &mut Family) {
    let allowed = async |origin: &str, preflight: bool| {
        let mut request = world.request(if preflight { Method::OPTIONS } else { Method::GET }, "/api/v1/products");
        if preflight {
            request = request.header("access-control-request-method", "DELETE");
        }
        let answer = request.header("origin", origin).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        BTreeMap::from(
            ["access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-private-network"]
                .map(|name| (name, header(name))),
        )
    };
    for preflight in [false, true] {
        let own = allowed(ORIGIN, preflight).await;
        assert_eq!(own["access-control-allow-origin"].as_deref(), Some(ORIGIN), "the shop's own pages: {own:?}");
        for origin in FOREIGN {
            let seen: Vec<_> =
                allowed(origin, preflight).await.into_iter().filter(|(_, value)| value.is_some()).collect();
            family.expect(format!("{origin}, preflight {preflight}"), Vec::new(), seen);
        }
    }
}
