//! Internal ports: who is let in, and every way in which one is not.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up ends there")]

use agora_api::{Method, Policy, Route};
use agora_chassis::WatchedSecret;
use agora_keyring::KeySet;
use agora_testkit::{TestApp, internal_token};
use agora_vocab::{Clock as _, Secret, UserId};
use agora_web::{Caller, CommandId, PortSettings, Routes, internal, no_content};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use uuid::Uuid;

const USER: UserId = UserId::new(Uuid::from_u128(7));

fn app(secret: &str) -> TestApp {
    let who = |caller: Caller| async move { format!("{} {:?}", caller.service, caller.subject.map(UserId::uuid)) };
    let callers = Policy::Service(&["order", "cart"]);
    let for_user = |caller: Caller| async move { caller.acts_for(USER).map(|()| no_content()) };
    let routes = Routes::new()
        .on(Route::new(Method::Get, "/internal/v1/who", callers), who)
        .on(Route::new(Method::Get, "/internal/v1/for-user", callers), for_user)
        .on(Route::new(Method::Get, "/internal/v1/for-search", Policy::Service(&["search"])), who)
        .on(Route::new(Method::Post, "/internal/v1/do", callers), |id: CommandId| async move { id.0.to_string() });
    TestApp::new(internal(routes, WatchedSecret::fixed(secret), &agora_topology::CATALOG, PortSettings::default()))
}

fn signed(claims: &Value, algorithm: Algorithm, key: &[u8]) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key)).unwrap()
}

/// The key of the calls of `caller` to `callee` that is derived from a master.
fn key(master: &str, caller: &str, callee: &str) -> Vec<u8> {
    KeySet::parse(&Secret::new(master)).of_calls(caller, callee)[0].expose().as_bytes().to_vec()
}

#[tokio::test]
async fn gw10_a_caller_of_the_table_is_let_in_and_known() {
    let answer = app("s1").get("/internal/v1/who").internal(&internal_token("s1", "order", "catalog", None)).await;
    assert_eq!(answer.expect(200).bytes, b"order None");
    let for_user = internal_token("s1", "cart", "catalog", Some(USER));
    let answer = app("s1").get("/internal/v1/who").internal(&for_user).await.expect(200);
    assert_eq!(String::from_utf8_lossy(&answer.bytes), format!("cart Some({})", USER.uuid()));
}

#[tokio::test]
async fn gw10_during_a_rotation_tokens_of_both_secrets_are_taken() {
    for secret in ["s1", "s2"] {
        let token = internal_token(secret, "order", "catalog", None);
        app("s1,s2").get("/internal/v1/who").internal(&token).await.expect(200);
    }
    let old = internal_token("s1", "order", "catalog", None);
    app("s2,s3").get("/internal/v1/who").internal(&old).await.expect(401);
}

#[tokio::test]
async fn gw10_every_other_token_is_refused_on_every_path() {
    let now = agora_chassis::SystemClock.now().unix_timestamp();
    let good = json!({"iss": "order", "aud": "catalog", "exp": now + 60});
    let bent = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        let caller = claims["iss"].as_str().unwrap_or_default();
        signed(&claims, Algorithm::HS256, &key("s1", caller, "catalog"))
    };
    let order = key("s1", "order", "catalog");
    let cases = [
        ("empty", String::new()),
        ("nonsense", "a.b.c".to_owned()),
        ("another secret", signed(&good, Algorithm::HS256, &key("s9", "order", "catalog"))),
        ("the master itself", signed(&good, Algorithm::HS256, b"s1")),
        ("both masters as one", signed(&good, Algorithm::HS256, b"s1,s2")),
        ("the key of another caller", signed(&good, Algorithm::HS256, &key("s1", "cart", "catalog"))),
        ("the key of another callee", signed(&good, Algorithm::HS256, &key("s1", "order", "payment"))),
        ("the key of the other direction", signed(&good, Algorithm::HS256, &key("s1", "catalog", "order"))),
        ("no secret", signed(&good, Algorithm::HS256, b"")),
        ("another algorithm", signed(&good, Algorithm::HS512, &order)),
        ("for another service", bent("aud", json!("order"))),
        ("from a service that may not call", bent("iss", json!("payment"))),
        ("without an issuer", bent("iss", json!(""))),
        ("expired", bent("exp", json!(now - 11))),
        ("too long a life", bent("exp", json!(now + 3600))),
        ("life without end", bent("exp", json!(i64::MAX))),
        ("no expiry", signed(&json!({"iss": "order", "aud": "catalog"}), Algorithm::HS256, &order)),
        ("a subject that is no user", bent("sub", json!("root"))),
    ];
    for (case, token) in cases {
        for path in ["/internal/v1/who", "/nowhere"] {
            let answer = app("s1,s2").get(path).internal(&token).await;
            assert_eq!((answer.status, &answer.body["code"]), (401, &json!("INVALID_INTERNAL_TOKEN")), "{case} {path}");
        }
    }
    app("s1").get("/internal/v1/who").await.expect(401);
    app("s1").get("/internal/v1/who").with(&internal_token("s1", "order", "catalog", None)).await.expect(401);
    app("").get("/internal/v1/who").internal(&internal_token("", "order", "catalog", None)).await.expect(401);
}

#[tokio::test]
async fn gw10_a_service_with_the_keys_of_its_own_pairs_alone_answers_its_callers() {
    let own = KeySet::parse(&Secret::new("s1")).restricted([("order", "catalog")], false, None);
    let order = internal_token("s1", "order", "catalog", None);
    app(own.expose()).get("/internal/v1/who").internal(&order).await.expect(200);
    let cart = internal_token("s1", "cart", "catalog", None);
    app(own.expose()).get("/internal/v1/who").internal(&cart).await.expect(401);
}

#[tokio::test]
async fn gw10_a_route_is_closed_to_callers_that_it_does_not_declare() {
    for (caller, who, for_search) in [("order", 200, 403), ("search", 403, 200)] {
        let token = internal_token("s1", caller, "catalog", None);
        app("s1").get("/internal/v1/who").internal(&token).await.expect(who);
        let answer = app("s1").get("/internal/v1/for-search").internal(&token).await.expect(for_search);
        assert!(for_search == 200 || answer.body["code"] == "CALLER_NOT_ALLOWED", "{}", answer.body);
    }
}

#[tokio::test]
async fn gw9_a_call_for_a_user_needs_a_token_that_names_this_user() {
    let other = UserId::new(Uuid::from_u128(8));
    for (subject, status) in [(Some(USER), 204), (Some(other), 403), (None, 403)] {
        let token = internal_token("s1", "order", "catalog", subject);
        let answer = app("s1").get("/internal/v1/for-user").internal(&token).await.expect(status);
        assert!(status == 204 || answer.body["code"] == "WRONG_SUBJECT", "{}", answer.body);
    }
}

#[test]
fn gw10_internal_routes_declare_as_callers_those_that_the_topology_lists() {
    use std::collections::BTreeSet;

    use agora_api::{cart, catalog, order, payment, user};
    let services = [
        ("user", user::routes::INTERNAL),
        ("catalog", catalog::routes::INTERNAL),
        ("cart", cart::routes::INTERNAL),
        ("order", order::routes::INTERNAL),
        ("payment", payment::routes::INTERNAL),
    ];
    let with_port = agora_topology::ALL.iter().filter(|row| row.internal_port.is_some());
    assert_eq!(with_port.map(|row| row.name).collect::<Vec<_>>(), services.map(|(name, _)| name));
    for (callee, routes) in services {
        let declared = |route: &Route| match route.policy {
            Policy::Service(callers) => callers,
            other => panic!("{} has the policy {other:?}", route.path),
        };
        let declared: BTreeSet<_> = routes.iter().flat_map(declared).copied().collect();
        assert_eq!(declared, agora_topology::callers(callee).collect::<BTreeSet<_>>(), "{callee}");
    }
}

#[tokio::test]
async fn a_command_needs_an_id() {
    let post = |id: Option<&'static str>| async move {
        let token = internal_token("s1", "order", "catalog", None);
        let request = app("s1").post("/internal/v1/do", json!({})).internal(&token);
        if let Some(id) = id { request.header("x-command-id", id).await } else { request.await }
    };
    let id = "0192f0c1-7e5c-7a31-9d51-6f1c2ad4b0aa";
    assert_eq!(post(Some(id)).await.expect(200).bytes, id.as_bytes());
    for missing in [None, Some("7"), Some("")] {
        assert_eq!(post(missing).await.expect(400).body["code"], "INVALID_COMMAND_ID");
    }
}
