//! The whole router, with requests forwarded over sockets to services that record them.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up ends there")]

mod aliases;
mod caching;
mod collection;
mod documents;
mod fallbacks;
mod graphql;
mod hostile;
mod overload;
mod pages;
mod streams;
mod upstream;

use std::{collections::BTreeMap, time::Duration};

use agora_api::Policy;
use agora_chassis::{Process, WatchedFile};
use agora_gateway::{
    Documents, Front, GraphQlSettings, Hub, Introspection, LegacyAliases, LimitLayer, PersistedDocuments, RateLimits,
    Upstreams, router,
};
use agora_testkit::{TestApp, TestKeys};
use agora_vocab::{Role, UserId};
use agora_web::TokenVerifier;
use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, StatusCode},
    response::IntoResponse as _,
};
use futures::StreamExt as _;
use serde_json::json;
use tower::ServiceExt as _;
use upstream::Upstream;
use uuid::Uuid;

const SERVICES: [&str; 8] = ["user", "catalog", "cart", "order", "payment", "notification", "recommendation", "search"];

const HSTS: HeaderValue = HeaderValue::from_static("max-age=300");

struct Gateway {
    app: TestApp,
    router: Router,
    keys: TestKeys,
}

fn gateway(addresses: BTreeMap<&'static str, String>, legacy_aliases: LegacyAliases) -> Gateway {
    let persisted = PersistedDocuments::open(None).unwrap();
    let graphql = GraphQlSettings { introspection: Introspection::Disabled, documents: Documents::Any, persisted };
    gateway_with(addresses, legacy_aliases, graphql)
}

fn gateway_with(
    addresses: BTreeMap<&'static str, String>,
    legacy_aliases: LegacyAliases,
    graphql: GraphQlSettings,
) -> Gateway {
    let process = Process::for_test("gateway");
    let keys = TestKeys::new();
    let set = WatchedFile::fixed(keys.jwks());
    let front = Front {
        verifier: TokenVerifier::watch(set, TestKeys::ISSUER, TestKeys::AUDIENCE, &process),
        origins: "https://shop.example".parse().unwrap(),
        hsts: Some(HSTS),
        legacy_aliases,
        graphql,
        limits: LimitLayer::new(RateLimits::none(), 0),
        hub: Hub::new(process.ids().as_ref(), process.clock()),
        process: process.clone(),
    };
    let router = router(Upstreams::new(addresses, &process).unwrap(), front);
    Gateway { app: TestApp::new(router.clone()), router, keys }
}

/// All services at one address.
fn before(upstream: &Upstream) -> Gateway {
    gateway(SERVICES.map(|name| (name, upstream.address())).into(), LegacyAliases::Disabled)
}

impl Gateway {
    fn token(&self) -> String {
        self.keys.token(UserId::new(Uuid::from_u128(7)), &[Role::Customer])
    }
}

#[tokio::test]
async fn path_query_body_and_headers_pass_unchanged_and_so_does_the_answer() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let token = gateway.token();
    let answer = gateway
        .app
        .post("/api/v1/orders?a=b%20c&d=%2F", json!({ "items": [] }))
        .with(&token)
        .key("k-1")
        .header("x-request-id", "r-1")
        .header("accept-language", "de")
        .header("content-length", "12")
        .await
        .expect(201);
    let [call] = <[_; 1]>::try_from(upstream.calls()).unwrap();
    assert_eq!((&*call.method, &*call.target), ("POST", "/api/v1/orders?a=b%20c&d=%2F"));
    assert_eq!(call.body, r#"{"items":[]}"#);
    assert_eq!(call.header("authorization"), format!("Bearer {token}"));
    assert_eq!(call.header("idempotency-key"), "k-1");
    assert_eq!(call.header("accept-language"), "de");
    assert_eq!(call.header("x-request-id"), "r-1");
    assert_eq!(call.header("content-length"), "12");
    assert_eq!(answer.header("x-request-id"), "r-1");
    assert_eq!(answer.header("location"), "/api/v1/orders/made");
    assert_eq!(answer.body["made"], true);
}

#[tokio::test]
async fn gw11_every_route_of_the_staff_is_open_to_its_roles_and_admins_alone() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let mut closed = 0;
    for route in agora_api::public_routes() {
        let Policy::Role(roles) = route.policy else { continue };
        let path = route.path.replace("{id}", "7").replace("{variant}", "8");
        for role in Role::ALL {
            let token = gateway.keys.token(UserId::new(Uuid::from_u128(8)), &[role]);
            let answer = gateway.app.request(route.method.as_str().parse().unwrap(), &path).with(&token).await;
            if role == Role::Admin || roles.contains(&role) {
                assert_eq!(upstream.take(), [format!("{} {path}", route.method.as_str())], "{role}");
            } else {
                assert_eq!((answer.status, &answer.body["code"]), (403, &json!("FORBIDDEN")), "{role} {path}");
                assert_eq!(upstream.take(), [""; 0], "{role} {path}");
                closed += 1;
            }
        }
        assert!(!roles.contains(&Role::Customer), "{path}");
    }
    assert!(closed > 100, "{closed}");
}

#[tokio::test]
async fn gw1_every_declared_route_goes_to_its_service_under_its_policy() {
    let mut upstreams = BTreeMap::new();
    for name in SERVICES {
        upstreams.insert(name, Upstream::start().await);
    }
    let addresses = upstreams.iter().map(|(name, upstream)| (*name, upstream.address())).collect();
    let gateway = gateway(addresses, LegacyAliases::Disabled);
    let admin = gateway.keys.token(UserId::new(Uuid::from_u128(8)), &[Role::Admin]);
    for route in agora_api::public_routes() {
        let path = route.path.replace("{id}", "7").replace("{variant}", "8");
        let (request, customer) = (gateway.app.request(route.method.as_str().parse().unwrap(), &path), gateway.token());
        let expected = match route.policy {
            Policy::Open | Policy::Optional => [false; 3],
            Policy::User => [true, false, false],
            Policy::Role(_) => [true, true, false],
            Policy::Service(_) => unreachable!("a public route for services"),
        };
        let service = agora_topology::owner(route.path).unwrap().name;
        for (token, rejected) in [None, Some(&customer), Some(&admin)].into_iter().zip(expected) {
            let request = token.map_or(request.clone(), |token| request.clone().with(token));
            let status = request.await.status;
            let forwarded = upstreams[service].take();
            if rejected {
                let expected = if token.is_some() { 403 } else { 401 };
                assert_eq!((status, forwarded.len()), (expected, 0), "{} {path}", route.method.as_str());
            } else {
                assert_eq!(forwarded, [format!("{} {path}", route.method.as_str())], "{status}");
            }
        }
    }
    assert!(upstreams.values().all(|upstream| upstream.calls().is_empty()));
}

#[tokio::test]
async fn se1_a_list_of_products_with_a_text_goes_to_the_search_and_without_it_to_the_catalog() {
    let (search, catalog) = (Upstream::start().await, Upstream::start().await);
    let mut addresses: BTreeMap<_, _> = SERVICES.map(|name| (name, catalog.address())).into();
    addresses.insert("search", search.address());
    let gateway = gateway(addresses, LegacyAliases::Disabled);
    gateway.app.get("/api/v1/products?q=oak%20chair&limit=3").await;
    gateway.app.get("/api/v1/products?limit=3").await;
    assert_eq!(search.take(), ["GET /api/v1/search/products?q=oak%20chair&limit=3"]);
    assert_eq!(catalog.take(), ["GET /api/v1/products?limit=3"]);
}

#[tokio::test]
async fn se1_the_catalog_answers_the_first_page_of_a_search_that_cannot_be_reached() {
    let catalog = Upstream::start().await;
    let mut addresses: BTreeMap<_, _> = SERVICES.map(|name| (name, catalog.address())).into();
    let not_built = Upstream::answering(|_| Some(StatusCode::SERVICE_UNAVAILABLE.into_response())).await;
    for search in ["http://127.0.0.1:1".to_owned(), not_built.address()] {
        addresses.insert("search", search);
        let gateway = gateway(addresses.clone(), LegacyAliases::Disabled);
        gateway.app.get("/api/v1/products?q=oak").await;
        assert_eq!(catalog.take(), ["GET /api/v1/products?q=oak"]);
        gateway.app.get("/api/v1/products?q=oak&cursor=x").await.expect(503);
        assert_eq!(catalog.take(), [""; 0]);
    }
}

#[tokio::test]
async fn an_unknown_route_is_a_problem_and_reaches_no_service() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    for path in [
        "/nothing",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v1/productsandmore",
        "/internal/v1/users/1/addresses/2",
        "/api/v1/products/../auth/login",
        "/api/v1/products/%2e%2e/%2e%2e/internal/v1/quote",
        "/metrics",
        "/auth/login",
    ] {
        let answer = gateway.app.get(path).await.expect(404);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        assert_eq!(answer.body["code"], "NOT_FOUND");
    }
    for method in ["TRACE", "CONNECT", "BREW"] {
        let answer = gateway.app.request(method.parse().unwrap(), "/api/v1/products").await.expect(405);
        assert_eq!(answer.body["code"], "METHOD_NOT_ALLOWED");
    }
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn gw8_an_invalid_token_is_rejected_and_a_missing_one_on_protected_paths() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let strangers = TestKeys::new().token(UserId::new(Uuid::nil()), &[Role::Admin]);
    for path in ["/api/v1/products", "/api/v1/orders", "/api/v1/auth/validate", "/"] {
        for token in ["forged", &*strangers] {
            let answer = gateway.app.get(path).with(token).await.expect(401);
            assert_eq!(answer.body["error"], "Invalid token");
        }
    }
    for path in ["/api/v1/cart", "/api/v1/orders/1", "/api/v1/admin/orders", "/api/v1/payments", "/api/v1/users/me"] {
        let answer = gateway.app.get(path).await.expect(401);
        assert_eq!(answer.body["error"], "No token provided");
    }
    assert!(upstream.calls().is_empty());

    gateway.app.get("/api/v1/products").await.expect(200);
    // A client with an expired token must be able to get a new one.
    for path in ["login", "refresh", "logout", "register"] {
        let body = json!({ "refreshToken": "x" });
        gateway.app.post(&format!("/api/v1/auth/{path}"), body).with("old").await.expect(201);
    }
    assert_eq!(upstream.calls().len(), 5);
}

/// Defect of an earlier project (docs/DEFECTS.md): `x-user-id` was trusted from any client.
#[tokio::test]
async fn gw9_identity_headers_of_a_client_do_not_reach_services() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let names = ["x-user-id", "x-user-roles", "x-internal-token", "x-command-id", "x-forwarded-for", "forwarded"];
    let forged = |path: &str| names.iter().fold(gateway.app.get(path), |request, name| request.header(name, "forged"));
    forged("/api/v1/orders").await.expect(401);
    forged("/api/v1/products").await.expect(200);
    let [call] = <[_; 1]>::try_from(upstream.calls()).unwrap();
    assert!(call.headers.values().all(|value| value != "forged"), "{:?}", call.headers);
}

#[tokio::test]
async fn rs5_an_unreachable_service_is_a_503_with_retry_after() {
    let gateway = gateway(SERVICES.map(|name| (name, "http://127.0.0.1:1".to_owned())).into(), LegacyAliases::Disabled);
    for request in [gateway.app.get("/api/v1/products"), gateway.app.post("/api/v1/auth/login", json!({}))] {
        let answer = request.await.expect(503);
        assert_eq!(answer.body["code"], "UPSTREAM_UNAVAILABLE");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("127.0.0.1"), "no address is shown");
    }
}

/// Longer than three attempts to connect.
#[tokio::test]
async fn a_service_that_is_silent_for_seconds_is_tried_until_it_accepts_connections() {
    let upstream = Upstream::silent_for(Duration::from_secs(3)).await;
    let gateway = before(&upstream);
    gateway.app.post("/api/v1/auth/login", json!({ "email": "x" })).await.expect(201);
    assert_eq!(upstream.calls().len(), 1);
}

#[tokio::test]
async fn rs4_a_read_on_a_broken_connection_is_retried_and_a_command_is_not() {
    let upstream = Upstream::that_hangs_up_on_the_first(1).await;
    let gateway = before(&upstream);
    gateway.app.get("/api/v1/products").await.expect(200);
    assert_eq!(upstream.calls().len(), 1);

    let upstream = Upstream::that_hangs_up_on_the_first(1).await;
    let gateway = before(&upstream);
    gateway.app.post("/api/v1/auth/login", json!({ "email": "x" })).await.expect(503);
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_of_its_route_is_rejected_with_and_without_length() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let large = || gateway.app.post("/api/v1/auth/login", json!({})).raw(vec![b' '; (8 << 10) + 1]);
    large().header("content-length", "8193").await.expect(413);
    assert!(upstream.calls().is_empty());

    let chunks = futures::stream::iter((0..9).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 10])));
    let request = Request::post("/api/v1/auth/login").header("host", "x").body(Body::from_stream(chunks)).unwrap();
    assert_eq!(gateway.router.clone().oneshot(request).await.unwrap().status(), 413);
    let fits = gateway.app.post("/api/v1/auth/login", json!({})).raw(vec![b' '; 8 << 10]);
    fits.await.expect(201);
}

#[tokio::test]
async fn a_response_is_streamed() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let request = Request::get("/api/v1/products/slow").header("host", "x").body(Body::empty()).unwrap();
    let answer = gateway.router.clone().oneshot(request).await.unwrap();
    let mut body = answer.into_body().into_data_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), "first");
    upstream.go_on();
    assert_eq!(body.next().await.unwrap().unwrap(), "second");
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn gw12_every_response_has_the_security_headers() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let answers = [
        gateway.app.get("/health").await.expect(200),
        gateway.app.get("/api/v1/products").await.expect(200),
        gateway.app.get("/nothing").await.expect(404),
        gateway.app.get("/api/v1/cart").await.expect(401),
    ];
    for answer in answers {
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("strict-transport-security"), HSTS);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(!answer.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn gw13_pages_of_a_listed_origin_may_call_and_others_may_not() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let from = |origin: &str| gateway.app.get("/api/v1/products").header("origin", origin);
    let listed = from("https://shop.example").await.expect(200);
    assert_eq!(listed.header("access-control-allow-origin"), "https://shop.example");
    assert_eq!(listed.header("access-control-allow-credentials"), "");
    for other in ["https://evil.example", "null", "https://shop.example.evil.example"] {
        assert_eq!(from(other).await.header("access-control-allow-origin"), "");
    }
    let refused = gateway.app.get("/api/v1/cart").header("origin", "https://shop.example").await.expect(401);
    assert_eq!(refused.header("access-control-allow-origin"), "https://shop.example", "a page may read why");

    let preflight = gateway
        .app
        .request("OPTIONS".parse().unwrap(), "/api/v1/orders")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,idempotency-key,x-cart-token,traceparent,tracestate")
        .await
        .expect(200);
    for allowed in ["traceparent", "tracestate", "x-cart-token"] {
        assert!(preflight.header("access-control-allow-headers").contains(allowed), "{allowed}");
    }
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
    assert!(preflight.header("access-control-allow-headers").contains("idempotency-key"));
    assert_eq!(upstream.calls().len(), 4, "the preflight went no further");
}

#[tokio::test]
async fn rs1_the_front_page_greets_and_health_is_ok() {
    let gateway = gateway(BTreeMap::new(), LegacyAliases::Disabled);
    let greeting = gateway.app.get("/").await.expect(200).body;
    assert_eq!(greeting["name"], "Agora");
    assert!(greeting["routes"].as_array().unwrap().contains(&json!("/api/v1/products")));
    assert_eq!(gateway.app.get("/health").await.expect(200).body, json!({ "status": "ok" }));
}

/// Defect of uMarketplace (docs/DEFECTS.md): bearer tokens were written to stdout.
#[tokio::test]
async fn tokens_and_passwords_are_in_no_log_line() {
    let log = upstream::Log::of_all_tests();
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let token = gateway.token();
    gateway.app.get("/api/v1/orders").with(&token).await.expect(200);
    gateway.app.get("/api/v1/orders").with("a-forged-token").await.expect(401);
    let login = json!({ "email": "ada@example.com", "password": "hunter2hunter2" });
    gateway.app.post("/api/v1/auth/login", login.clone()).await.expect(201);
    let away = self::gateway([("user", "http://127.0.0.1:1".to_owned())].into(), LegacyAliases::Disabled);
    away.app.post("/api/v1/auth/login", login).with(&token).await.expect(503);
    let log = log.text();
    assert!(log.contains("did not answer"), "the log was caught");
    for secret in [&*token, "a-forged-token", "hunter2hunter2"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
