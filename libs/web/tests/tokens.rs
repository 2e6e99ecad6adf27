//! Access tokens and what attackers make of them: each refused with 401, and with 403 where only a role is missing.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up ends there")]

use std::time::Duration;

use agora_api::{Method, Policy, Route};
use agora_chassis::{Process, WatchedFile};
use agora_redis::{RevokedSession, RevokedSessions};
use agora_testkit::{FixedClock, SequentialIds, TestApp, TestKeys};
use agora_vocab::{Clock as _, Role, SessionId, UserId};
use agora_web::{Identity, PortSettings, Routes, TokenError, TokenVerifier, public_stack};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use uuid::Uuid;

const USER: UserId = UserId::new(Uuid::from_u128(7));

fn verifier(jwks: &str, process: &Process) -> TokenVerifier {
    TokenVerifier::watch(WatchedFile::fixed(jwks), TestKeys::ISSUER, TestKeys::AUDIENCE, process)
}

fn app(keys: &TestKeys) -> TestApp {
    app_with(verifier(&keys.jwks(), &Process::for_test("user")))
}

fn app_with(verifier: TokenVerifier) -> TestApp {
    let get = |path, policy| Route::new(Method::Get, path, policy);
    let routes = Routes::new()
        .on(get("/me", Policy::User), |who: Identity| async move { who.user.to_string() })
        .on(get("/maybe", Policy::Optional), |who: Option<Identity>| async move {
            who.map(|who| who.user.to_string()).unwrap_or_default()
        })
        .on(get("/open", Policy::Open), |who: Option<Identity>| async move { who.is_some().to_string() })
        .on(get("/admin", Policy::ADMIN), || async { "in" })
        .on(get("/undeclared-user", Policy::Open), |who: Identity| async move { who.user.to_string() })
        .on(get("/service", Policy::Service(&["order"])), || async { "in" });
    TestApp::new(public_stack(routes, PortSettings { verifier: Some(verifier), ..PortSettings::default() }))
}

fn part(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

fn claims() -> Value {
    TestKeys::claims(USER, &[Role::Customer])
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// A token with a header of the attacker's choice and the signature of a good one.
fn forged(keys: &TestKeys, header: &Value) -> String {
    let good = keys.sign(&claims());
    let signature = good.rsplit('.').next().unwrap();
    format!("{}.{}.{signature}", part(header), part(&claims()))
}

fn attacks(keys: &TestKeys) -> Vec<(&'static str, String)> {
    let good = keys.sign(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let public = serde_json::from_str::<Value>(&keys.jwks()).unwrap()["keys"][0]["x"].as_str().unwrap().to_owned();
    let hs256 = |secret: &[u8]| {
        let header = Header { kid: Some("first".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap()
    };
    let now = agora_chassis::SystemClock.now().unix_timestamp();
    vec![
        ("empty", String::new()),
        ("no token", "abc".to_owned()),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.x")),
        ("too long", format!("{good}{}", "A".repeat(5000))),
        ("alg none without signature", format!("{}.{}.", part(&json!({"alg": "none", "kid": "first"})), parts[1])),
        ("alg None", forged(keys, &json!({"alg": "None", "kid": "first"}))),
        ("alg none with signature", forged(keys, &json!({"alg": "none", "kid": "first"}))),
        ("HS256 with the public key as text", hs256(public.as_bytes())),
        ("HS256 with the public key as bytes", hs256(&BASE64_URL_SAFE_NO_PAD.decode(&public).unwrap())),
        ("HS256 with nothing", hs256(b"")),
        ("RS256 in the header", forged(keys, &json!({"alg": "RS256", "kid": "first"}))),
        ("ES256 in the header", forged(keys, &json!({"alg": "ES256", "kid": "first"}))),
        ("no kid", forged(keys, &json!({"alg": "EdDSA"}))),
        ("an unknown kid", forged(keys, &json!({"alg": "EdDSA", "kid": "third"}))),
        ("the kid of the other key", forged(keys, &json!({"alg": "EdDSA", "kid": "second"}))),
        ("a path for a kid", forged(keys, &json!({"alg": "EdDSA", "kid": "../../dev/null"}))),
        ("SQL for a kid", forged(keys, &json!({"alg": "EdDSA", "kid": "' or 1=1 --"}))),
        ("a key of the attacker's in the header", {
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": public});
            forged(keys, &json!({"alg": "EdDSA", "kid": "mine", "jwk": jwk, "jku": "https://evil.example/jwks.json"}))
        }),
        ("changed claims", format!("{}.{}.{}", parts[0], part(&with("roles", json!(["admin"]))), parts[2])),
        ("signature cut", good[..good.len() - 4].to_owned()),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("signed by a stranger", TestKeys::new().sign(&claims())),
        ("not valid yet", keys.sign(&with("nbf", json!(now + 60)))),
        ("no expiry", keys.sign(&without("exp"))),
        ("expiry as text", keys.sign(&with("exp", json!("never")))),
        ("expiry beyond time", keys.sign(&with("exp", json!(i64::MAX)))),
        ("another issuer", keys.sign(&with("iss", json!("evil")))),
        ("no issuer", keys.sign(&without("iss"))),
        ("another audience", keys.sign(&with("aud", json!("order")))),
        ("no audience", keys.sign(&without("aud"))),
        ("no subject", keys.sign(&without("sub"))),
        ("a subject that is no user", keys.sign(&with("sub", json!("admin")))),
        ("no session", keys.sign(&without("sid"))),
        ("no roles", keys.sign(&without("roles"))),
    ]
}

#[tokio::test]
async fn an_expired_token_is_401_where_one_is_required_and_ignored_where_it_is_not() {
    let keys = TestKeys::new();
    let app = app(&keys);
    let mut claims = TestKeys::claims(UserId::new(Uuid::nil()), &[Role::Customer]);
    claims["exp"] = json!(1_700_000_000);
    let expired = keys.sign(&claims);
    let answer = app.get("/me").with(&expired).await.expect(401);
    assert_eq!((&answer.body["code"], &answer.body["error"]), (&json!("TOKEN_EXPIRED"), &json!("Invalid token")));
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    app.get("/maybe").with(&expired).await.expect(200);
    app.get("/maybe").with("forged").await.expect(401);
}

#[tokio::test]
async fn gw8_every_attack_is_the_same_401() {
    let keys = TestKeys::new();
    let app = app(&keys);
    for (attack, token) in attacks(&keys) {
        let answer = app.get("/me").with(&token).await;
        let shown = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert_eq!((answer.status, answer.body["error"].as_str()), (401, Some("Invalid token")), "{attack}: {shown}");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{attack}");
        assert_eq!(answer.body["code"], "INVALID_TOKEN", "{attack}");
        assert!(answer.body.get("detail").is_none(), "{attack}: the reason is for the log");
        assert_eq!(app.get("/maybe").with(&token).await.status, 401, "{attack}, where a token is optional");
    }
}

#[tokio::test]
async fn gw8_no_token_is_401_and_says_so() {
    let app = app(&TestKeys::new());
    for answer in [app.get("/me").await, app.get("/me").header("authorization", "Basic YTpi").await] {
        assert_eq!((answer.status, answer.body["error"].as_str()), (401, Some("No token provided")));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert_eq!(app.get("/maybe").await.expect(200).bytes, b"");
    assert_eq!(app.get("/me?access_token=x&token=x").await.status, 401, "tokens in the address are not looked at");
}

#[tokio::test]
async fn gw8_a_token_of_either_key_is_taken_and_a_role_opens_what_it_should() {
    let keys = TestKeys::new();
    let app = app(&keys);
    for token in [keys.sign(&claims()), keys.sign_with_second(&claims())] {
        assert_eq!(app.get("/me").with(&token).await.expect(200).bytes, USER.to_string().into_bytes());
        let refused = app.get("/admin").with(&token).await;
        assert_eq!((refused.status, &refused.body["code"]), (403, &json!("FORBIDDEN")));
    }
    app.get("/admin").with(&keys.token(USER, &[Role::Admin])).await.expect(200);
    let future = keys.sign(&with("roles", json!(["customer", "astronaut"])));
    app.get("/me").with(&future).await.expect(200);
    app.get("/me").header("authorization", &format!("bearer {}", keys.sign(&claims()))).await.expect(200);
}

#[tokio::test]
async fn an_open_route_does_not_read_the_token_and_gives_no_user_to_its_handler() {
    let keys = TestKeys::new();
    let app = app(&keys);
    for token in ["expired.or.forged", &*keys.sign(&claims())] {
        assert_eq!(app.get("/open").with(token).await.expect(200).bytes, b"false");
        app.get("/undeclared-user").with(token).await.expect(500);
    }
}

#[tokio::test]
async fn a_route_for_services_is_never_served_on_a_public_port() {
    let keys = TestKeys::new();
    let app = app(&keys);
    app.get("/service").await.expect(500);
    app.get("/service").with(&keys.token(USER, &[Role::Admin])).await.expect(500);
}

#[tokio::test]
async fn personal_answers_are_not_cached() {
    let keys = TestKeys::new();
    let answer = app(&keys).get("/me").with(&keys.sign(&claims())).await;
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn expiry_is_by_the_process_clock_with_thirty_seconds_of_leeway() {
    let keys = TestKeys::new();
    let clock = FixedClock::at(agora_chassis::SystemClock.now());
    let process = Process::with("user", std::sync::Arc::new(clock.clone()), std::sync::Arc::new(SequentialIds::new()));
    let verifier = verifier(&keys.jwks(), &process);
    let token = keys.sign(&with("exp", json!(clock.now().unix_timestamp() + 900)));
    clock.advance(time::Duration::seconds(929));
    assert_eq!(verifier.verify(&token).unwrap().user, USER);
    clock.advance(time::Duration::seconds(2));
    assert_eq!(verifier.verify(&token), Err(TokenError::Expired));
}

#[tokio::test]
async fn gw8_keys_follow_the_file_and_a_broken_file_changes_nothing() {
    let (old, new) = (TestKeys::new(), TestKeys::new());
    let file = old.jwks_file();
    let process = Process::for_test("user");
    let watched = WatchedFile::open(file.path()).unwrap();
    let mut changes = watched.clone();
    let verifier = TokenVerifier::watch(watched, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
    assert!(process.readiness().ready);
    verifier.verify(&old.sign(&claims())).unwrap();

    std::fs::write(file.path(), "{}").unwrap();
    changes.changed().await;
    until(|| !process.readiness().degraded.is_empty()).await;
    assert!(process.readiness().ready);
    verifier.verify(&old.sign(&claims())).unwrap();

    std::fs::write(file.path(), new.jwks()).unwrap();
    until(|| process.readiness().degraded.is_empty()).await;
    verifier.verify(&new.sign(&claims())).unwrap();
    assert_eq!(verifier.verify(&old.sign(&claims())), Err(TokenError::Signature));
}

#[tokio::test]
async fn a_token_that_was_accepted_before_ends_with_its_expiry() {
    let keys = TestKeys::new();
    let clock = FixedClock::at(agora_chassis::SystemClock.now());
    let process = Process::with("user", std::sync::Arc::new(clock.clone()), std::sync::Arc::new(SequentialIds::new()));
    let verifier = verifier(&keys.jwks(), &process);
    let token = keys.token(USER, &[Role::Customer]);
    for _ in 0..3 {
        assert_eq!(verifier.verify(&token).unwrap().user, USER);
    }
    clock.advance(time::Duration::seconds(900 + 31));
    for _ in 0..3 {
        assert_eq!(verifier.verify(&token), Err(TokenError::Expired));
    }
}

/// A port that knows revoked sessions, with the clock that says how old its knowledge is.
fn app_that_refuses(keys: &TestKeys, clock: &FixedClock) -> (TestApp, RevokedSessions) {
    let clock = std::sync::Arc::new(clock.clone());
    let process = Process::with("cart", clock.clone(), std::sync::Arc::new(SequentialIds::new()));
    let revoked = RevokedSessions::empty(clock);
    let set = WatchedFile::fixed(keys.jwks());
    let verifier = TokenVerifier::refusing(revoked.clone(), set, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
    (app_with(verifier), revoked)
}

#[tokio::test]
async fn id7_a_token_that_was_accepted_before_ends_with_its_session_and_with_no_other() {
    let (keys, clock) = (TestKeys::new(), FixedClock::at(agora_chassis::SystemClock.now()));
    let (app, revoked) = app_that_refuses(&keys, &clock);
    let (claims, other) = (claims(), keys.token(USER, &[Role::Customer]));
    let token = keys.sign(&claims);
    app.get("/me").with(&token).await.expect(200);
    let session: SessionId = claims["sid"].as_str().unwrap().parse().unwrap();
    assert!(revoked.insert(RevokedSession { session, ends: i64::MAX }));
    let answer = app.get("/me").with(&token).await.expect(401);
    assert_eq!(answer.body["code"], "INVALID_TOKEN");
    assert!(
        answer.body["detail"].as_str().unwrap().contains("session of the access token has ended"),
        "{}",
        answer.body
    );
    assert!(answer.header("www-authenticate").contains("invalid_token"));
    assert_eq!(app.get("/maybe").with(&token).await.expect(200).bytes, b"", "a page that anyone may read");
    app.get("/me").with(&other).await.expect(200);
}

#[tokio::test]
async fn id7_a_token_grants_no_role_while_it_is_unknown_which_sessions_have_ended() {
    let (keys, clock) = (TestKeys::new(), FixedClock::at(agora_chassis::SystemClock.now()));
    let (app, _) = app_that_refuses(&keys, &clock);
    let (admin, shopper) = (keys.token(USER, &[Role::Admin]), keys.token(USER, &[Role::Customer]));
    app.get("/admin").with(&admin).await.expect(200);
    clock.advance(time::Duration::seconds(30));
    app.get("/admin").with(&admin).await.expect(200);
    clock.advance(time::Duration::seconds(1));
    let answer = app.get("/admin").with(&admin).await.expect(503);
    assert_eq!((&answer.body["code"], answer.header("retry-after")), (&json!("REVOCATIONS_UNKNOWN"), "5"));
    app.get("/admin").with(&shopper).await.expect(403);
    app.get("/me").with(&shopper).await.expect(200);
    app.get("/me").with(&admin).await.expect(200);
}

#[tokio::test]
async fn a_token_that_was_accepted_before_ends_with_its_key() {
    let (old, new) = (TestKeys::new(), TestKeys::new());
    let file = old.jwks_file();
    let process = Process::for_test("user");
    let watched = WatchedFile::open(file.path()).unwrap();
    let verifier = TokenVerifier::watch(watched, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
    let (token, of_new_key) = (old.token(USER, &[]), new.token(USER, &[]));
    verifier.verify(&token).unwrap();
    assert_eq!(verifier.verify(&of_new_key), Err(TokenError::Signature));

    std::fs::write(file.path(), new.jwks()).unwrap();
    until(|| verifier.verify(&of_new_key).is_ok()).await;
    assert_eq!(verifier.verify(&token), Err(TokenError::Signature));
}

#[tokio::test]
async fn a_token_that_differs_in_one_byte_from_an_accepted_one_is_rejected() {
    let keys = TestKeys::new();
    let verifier = verifier(&keys.jwks(), &Process::for_test("user"));
    let token = keys.token(USER, &[Role::Customer]);
    verifier.verify(&token).unwrap();
    for at in 0..token.len() {
        for other in ['A', 'B', '.', '~'].into_iter().filter(|other| !token[at..].starts_with(*other)) {
            let mut changed = token.clone();
            changed.replace_range(at..=at, &other.to_string());
            assert!(verifier.verify(&changed).is_err(), "byte {at}: {changed}");
        }
    }
    for longer in [format!("{token}A"), format!("{token}="), format!("{token}."), format!("A{token}")] {
        assert!(verifier.verify(&longer).is_err(), "{longer}");
    }
    verifier.verify(&token).unwrap();
}

#[tokio::test]
async fn without_a_usable_key_set_the_process_is_not_ready_and_rejects_tokens() {
    let process = Process::for_test("user");
    let rsa_only = json!({"keys": [{"kty": "RSA", "kid": "first", "n": "AQAB", "e": "AQAB"}]}).to_string();
    let verifier = verifier(&rsa_only, &process);
    assert!(!process.readiness().ready);
    assert_eq!(process.readiness().gates[0].name, "keys");
    assert_eq!(verifier.verify(&TestKeys::new().sign(&claims())), Err(TokenError::Key));
}

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the condition did not come true within 5 s");
}
