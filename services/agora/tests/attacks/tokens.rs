//! Access tokens that are forged, stolen from elsewhere, or not valid any more: each is 401 at the gateway and at a service.

use agora_testkit::{TestKeys, internal_token};
use agora_vocab::Role;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    family::Family,
    shop::{INTERNAL_SECRET, comes_true},
    world::{ORIGIN, World, text_of},
};

/// The claims of an access token of an administrator, which each attacker would like to have.
struct Forger<'w> {
    keys: &'w TestKeys,
    claims: Value,
}

/// Every forged token, with the name of the attack.
type Attacks = Vec<(&'static str, String)>;

pub async fn attack(world: &World) -> Family {
    let mut family = Family::new("access tokens");
    let forger = Forger { keys: &world.keys, claims: TestKeys::claims(world.attacker_id, &[Role::Admin]) };
    // The order service verifies by itself what reaches it without the gateway.
    let order = format!("http://127.0.0.1:{}/api/v1/orders", world.shop.environment["ORDER_PORT"]);
    let targets = [("gateway", format!("{}/api/v1/users/me", world.shop.gateway)), ("order", order)];
    for (attack, token) in forger.all(world).await {
        for (port, url) in &targets {
            let answer = world.shop.http.get(url).header("authorization", format!("Bearer {token}"));
            let status = answer.send().await.unwrap().status().as_u16();
            family.expect(format!("{attack} at the {port}"), 401, status);
        }
    }
    for (attack, request) in misplaced(world) {
        family.expect(attack, 401, request.send().await.unwrap().status().as_u16());
    }
    sockets(world, &forger, &mut family).await;
    revoked(world, &mut family).await;
    family
}

impl Forger<'_> {
    async fn all(&self, world: &World) -> Attacks {
        let tokens = world.shop.http.post(format!("{}/api/v1/auth/login", world.shop.gateway));
        let login = json!({ "email": "shopper-0@example.com", "password": "correct horse battery" });
        let tokens: Value = tokens.json(&login).send().await.unwrap().json().await.unwrap();
        let internal = internal_token(INTERNAL_SECRET, "order", "catalog", Some(world.attacker_id));
        let mut all = self.other_algorithms();
        all.extend(self.other_keys());
        all.extend(self.other_claims());
        all.extend(self.damaged());
        all.push(("a refresh token", text_of(&tokens["refreshToken"]).to_owned()));
        all.push(("a token between services", internal));
        all
    }

    /// The parts of a token that is valid.
    fn parts(&self) -> [String; 3] {
        let token = self.keys.sign(&self.claims);
        let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        parts.try_into().expect("three parts")
    }

    /// A header of the attacker's choice, with the claims and the signature of a valid token.
    fn with_header(&self, header: &Value) -> String {
        let [_, claims, signature] = self.parts();
        format!("{}.{claims}.{signature}", part(header))
    }

    fn public_key(&self) -> String {
        let set: Value = serde_json::from_str(&self.keys.jwks()).unwrap();
        text_of(&set["keys"][0]["x"]).to_owned()
    }

    fn hs256(&self, secret: &[u8]) -> String {
        let header = Header { kid: Some("first".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &self.claims, &EncodingKey::from_secret(secret)).unwrap()
    }

    fn other_algorithms(&self) -> Attacks {
        let [_, claims, _] = self.parts();
        let public = self.public_key();
        let unsigned = |alg: &str| format!("{}.{claims}.", part(&json!({ "alg": alg, "kid": "first" })));
        let named = |alg: &str| self.with_header(&json!({ "alg": alg, "kid": "first" }));
        vec![
            ("alg none", unsigned("none")),
            ("alg None", unsigned("None")),
            ("alg nOnE with a signature", named("nOnE")),
            ("alg empty", unsigned("")),
            ("EdDSA without a signature", unsigned("EdDSA")),
            ("HS256 with the public key as text", self.hs256(public.as_bytes())),
            ("HS256 with the public key", self.hs256(&BASE64_URL_SAFE_NO_PAD.decode(&public).unwrap())),
            ("HS256 with the key set", self.hs256(self.keys.jwks().as_bytes())),
            ("HS256 with an empty secret", self.hs256(b"")),
            ("HS256 with the secret of services", self.hs256(INTERNAL_SECRET.as_bytes())),
            ("RS256", named("RS256")),
            ("ES256", named("ES256")),
        ]
    }

    fn other_keys(&self) -> Attacks {
        let header = |members: Value| {
            let mut header = json!({ "alg": "EdDSA", "typ": "JWT" });
            header.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            self.with_header(&header)
        };
        let own = json!({ "kty": "OKP", "crv": "Ed25519", "x": self.public_key() });
        vec![
            ("another issuer's key", TestKeys::new().sign(&self.claims)),
            ("no kid", header(json!({}))),
            ("an unknown kid", header(json!({ "kid": "third" }))),
            ("the kid of the other key", header(json!({ "kid": "second" }))),
            ("a path for a kid", header(json!({ "kid": "../../../../dev/null" }))),
            ("SQL for a kid", header(json!({ "kid": "x' union select 'key' --" }))),
            ("a command for a kid", header(json!({ "kid": "first|sleep 5" }))),
            ("a jwk in the header", header(json!({ "kid": "mine", "jwk": own }))),
            ("a jku", header(json!({ "kid": "mine", "jku": "https://evil.example/jwks.json" }))),
            ("an x5u", header(json!({ "kid": "mine", "x5u": "https://evil.example/key.pem" }))),
            ("an x5c", header(json!({ "kid": "mine", "x5c": ["MIIB"] }))),
            ("an unknown crit", header(json!({ "kid": "first", "crit": ["mine"], "mine": true }))),
        ]
    }

    fn other_claims(&self) -> Attacks {
        let with = |name: &str, value: Value| {
            let mut claims = self.claims.clone();
            claims[name] = value;
            self.keys.sign(&claims)
        };
        let without = |name: &str| {
            let mut claims = self.claims.clone();
            claims.as_object_mut().unwrap().remove(name);
            self.keys.sign(&claims)
        };
        let ends = self.claims["exp"].as_i64().unwrap();
        vec![
            ("exp in the past", with("exp", json!(ends - 1_000))),
            ("exp as text", with("exp", json!("never"))),
            ("exp beyond time", with("exp", json!(i64::MAX))),
            ("no exp", without("exp")),
            ("nbf in the future", with("nbf", json!(ends))),
            ("another iss", with("iss", json!("https://evil.example"))),
            ("no iss", without("iss")),
            ("another aud", with("aud", json!("order"))),
            ("no aud", without("aud")),
            ("no sub", without("sub")),
            ("a sub that is no user", with("sub", json!("admin"))),
            ("no sid", without("sid")),
            ("no roles", without("roles")),
        ]
    }

    fn damaged(&self) -> Attacks {
        let [header, claims, signature] = self.parts();
        let mut raised = TestKeys::claims(agora_vocab::UserId::new(uuid::Uuid::nil()), &[Role::Admin]);
        raised["sid"] = self.claims["sid"].clone();
        vec![
            ("changed claims", format!("{header}.{}.{signature}", part(&raised))),
            ("a truncated signature", format!("{header}.{claims}.{}", &signature[..signature.len() - 4])),
            ("a longer signature", format!("{header}.{claims}.{signature}AAAA")),
            ("no signature", format!("{header}.{claims}.")),
            ("two parts", format!("{header}.{claims}")),
            ("four parts", format!("{header}.{claims}.{signature}.x")),
            ("two tokens", format!("{header}.{claims}.{signature}, {header}.{claims}.{signature}")),
            ("huge", format!("{header}.{claims}.{signature}{}", "A".repeat(8_000))),
            ("no token", "null".to_owned()),
            ("a header that is no JSON", format!("e30x.{claims}.{signature}")),
        ]
    }
}

fn part(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

/// A valid token where it does not belong, and forged ones in other spellings.
fn misplaced(world: &World) -> Vec<(&'static str, RequestBuilder)> {
    let (good, url) = (&world.victim.token, format!("{}/api/v1/users/me", world.shop.gateway));
    let forged = TestKeys::new().token(world.attacker_id, &[Role::Admin]);
    let between_services = internal_token(INTERNAL_SECRET, "gateway", "user", Some(world.attacker_id));
    let headers = |values: &[(&'static str, String)]| {
        values.iter().fold(world.shop.http.get(&url), |request, (name, value)| request.header(*name, value))
    };
    let authorization = |value: String| headers(&[("authorization", value)]);
    let get = |path: String| world.shop.http.get(format!("{}{path}", world.shop.gateway));
    vec![
        ("no token", headers(&[])),
        ("an empty bearer", authorization("Bearer ".to_owned())),
        ("a bearer without a token", authorization("Bearer".to_owned())),
        ("a forged token of a bearer in lower case", authorization(format!("bearer {forged}"))),
        ("a forged token of a bearer in upper case", authorization(format!("BEARER {forged}"))),
        ("a token after a tab", authorization(format!("Bearer\t{good}"))),
        ("a token without a scheme", authorization(good.clone())),
        ("another scheme", authorization(format!("Token {good}"))),
        ("basic", authorization(format!("Basic {good}"))),
        (
            "two headers",
            headers(&[("authorization", format!("Bearer {good}")), ("authorization", format!("Bearer {forged}"))]),
        ),
        ("a token in a cookie", headers(&[("cookie", format!("access_token={good}; token={good}"))])),
        ("a token in another header", headers(&[("x-access-token", good.clone()), ("x-auth-token", good.clone())])),
        ("a token in the URL", get(format!("/api/v1/users/me?access_token={good}"))),
        ("a token in the URL by another name", get(format!("/api/v1/users/me?token={good}"))),
        ("a token between services at the edge", headers(&[("x-internal-token", between_services)])),
        (
            "headers of an identity",
            headers(&[("x-user-id", world.victim.id.clone()), ("x-user-roles", "admin".into())]),
        ),
        // The gateway removes what this header lists, after it has verified the token.
        (
            "a token that is of one hop",
            headers(&[("authorization", format!("Bearer {good}")), ("connection", "authorization".to_owned())]),
        ),
        (
            "a forged token where none is needed",
            get("/api/v1/products".to_owned()).header("authorization", format!("Bearer {forged}")),
        ),
    ]
}

/// Forged tokens as a browser sends them when it opens a WebSocket.
async fn sockets(world: &World, forger: &Forger<'_>, family: &mut Family) {
    for (path, protocol) in [("/ws", "agora.events.v1"), ("/graphql", "graphql-transport-ws")] {
        let tokens = [("none", None), ("another key", Some(TestKeys::new().sign(&forger.claims)))];
        for (attack, token) in tokens {
            let offered = token.map_or_else(|| protocol.to_owned(), |token| format!("{protocol}, bearer.{token}"));
            let request = world.request(Method::GET, path).header("connection", "upgrade").header("origin", ORIGIN);
            let request = request.header("upgrade", "websocket").header("sec-websocket-version", "13");
            let request = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
            let answer = request.header("sec-websocket-protocol", offered).send().await.unwrap();
            family.expect(format!("a WebSocket at {path} with the token of {attack}"), 401, answer.status().as_u16());
        }
    }
}

/// A session that has ended: its access token, and its refresh token.
async fn revoked(world: &World, family: &mut Family) {
    let post = async |path: &str, body: Value| world.shop.send(Method::POST, path, "", None, Some(&body)).await;
    let login = json!({ "email": "shopper-0@example.com", "password": "correct horse battery" });
    let (_, tokens) = post("/auth/login", login).await;
    let refresh = json!({ "refreshToken": tokens["refreshToken"] });
    let access = text_of(&tokens["accessToken"]).to_owned();
    let before = world.get("/orders", &access).await.0;
    assert_eq!(before, 200, "the session is valid");
    assert_eq!(post("/auth/logout", refresh.clone()).await.0, 204);
    family.expect("the refresh token of an ended session", 401, post("/auth/refresh", refresh).await.0);
    // Two seconds are promised, and measured by a test of its own.
    let refused = async || world.get("/orders", &access).await.0 == 401;
    comes_true("the access token of the ended session is refused", refused).await;
    family.expect("the access token of an ended session", 401, world.get("/users/me", &access).await.0);

    let (_, first) =
        post("/auth/login", json!({ "email": "shopper-1@example.com", "password": "correct horse battery" })).await;
    let used = json!({ "refreshToken": first["refreshToken"] });
    let (status, second) = post("/auth/refresh", used.clone()).await;
    assert_eq!(status, 200, "{second}");
    let newest = json!({ "refreshToken": second["refreshToken"] });
    assert_eq!(post("/auth/refresh", newest.clone()).await.0, 200);
    family.expect("a refresh token that was used", 401, post("/auth/refresh", used).await.0);
    family.expect("the token after a stolen one", 401, post("/auth/refresh", newest).await.0);
}
