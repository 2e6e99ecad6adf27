//! Internal ports: who is let in, and every way in which one is not.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up ends there")]

use agora_api::{Method, Policy, Route};
use agora_chassis::WatchedSecret;
use agora_testkit::{TestApp, internal_token};
use agora_vocab::{Clock as _, UserId};
use agora_web::{Caller, CommandId, PortSettings, Routes, internal};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use uuid::Uuid;

const USER: UserId = UserId::new(Uuid::from_u128(7));

fn app(secret: &str) -> TestApp {
    let who = |caller: Caller| async move { format!("{} {:?}", caller.service, caller.subject.map(UserId::uuid)) };
    let routes =
        Routes::new()
            .on(Route::new(Method::Get, "/internal/v1/who", Policy::Service), who)
            .on(Route::new(Method::Post, "/internal/v1/do", Policy::Service), |id: CommandId| async move {
                id.0.to_string()
            });
    TestApp::new(internal(routes, WatchedSecret::fixed(secret), &agora_topology::CATALOG, PortSettings::default()))
}

fn signed(claims: &Value, algorithm: Algorithm, secret: &[u8]) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).unwrap()
}

#[tokio::test]
async fn a_caller_of_the_table_is_let_in_and_known() {
    let answer = app("s1").get("/internal/v1/who").internal(&internal_token("s1", "order", "catalog", None)).await;
    assert_eq!(answer.expect(200).bytes, b"order None");
    let for_user = internal_token("s1", "cart", "catalog", Some(USER));
    let answer = app("s1").get("/internal/v1/who").internal(&for_user).await.expect(200);
    assert_eq!(String::from_utf8_lossy(&answer.bytes), format!("cart Some({})", USER.uuid()));
}

#[tokio::test]
async fn during_a_rotation_tokens_of_both_secrets_are_taken() {
    for secret in ["s1", "s2"] {
        let token = internal_token(secret, "order", "catalog", None);
        app("s1,s2").get("/internal/v1/who").internal(&token).await.expect(200);
    }
    let old = internal_token("s1", "order", "catalog", None);
    app("s2,s3").get("/internal/v1/who").internal(&old).await.expect(401);
}

#[tokio::test]
async fn every_other_token_is_refused_on_every_path() {
    let now = agora_chassis::SystemClock.now().unix_timestamp();
    let good = json!({"iss": "order", "aud": "catalog", "exp": now + 60});
    let bent = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        signed(&claims, Algorithm::HS256, b"s1")
    };
    let cases = [
        ("empty", String::new()),
        ("nonsense", "a.b.c".to_owned()),
        ("another secret", signed(&good, Algorithm::HS256, b"s9")),
        ("both secrets as one", signed(&good, Algorithm::HS256, b"s1,s2")),
        ("no secret", signed(&good, Algorithm::HS256, b"")),
        ("another algorithm", signed(&good, Algorithm::HS512, b"s1")),
        ("for another service", bent("aud", json!("order"))),
        ("from a service that may not call", bent("iss", json!("payment"))),
        ("without an issuer", bent("iss", json!(""))),
        ("expired", bent("exp", json!(now - 11))),
        ("too long a life", bent("exp", json!(now + 3600))),
        ("life without end", bent("exp", json!(i64::MAX))),
        ("no expiry", signed(&json!({"iss": "order", "aud": "catalog"}), Algorithm::HS256, b"s1")),
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
