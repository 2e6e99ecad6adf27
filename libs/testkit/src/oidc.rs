//! An OpenID Connect provider on loopback: discovery, key set, authorization codes with PKCE, ID tokens.
//!
//! A real one asks a person to log in; here the test says who the person is. Must not know who calls.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use http::{HeaderMap, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::net::TcpListener;
use uuid::Uuid;

/// The client that the provider knows.
pub const OIDC_CLIENT_ID: &str = "agora shop";
/// Its secret, with characters that a form encodes.
pub const OIDC_CLIENT_SECRET: &str = "s3cret:with/+%";
/// Where the provider sends browsers back to.
pub const OIDC_REDIRECT_URL: &str = "https://shop.example/staff/login";

const TOKEN_MINUTES: i64 = 5;

/// The provider. Clones are the same server, which ends with the runtime of the test.
#[derive(Clone, Debug)]
pub struct OidcServer {
    address: SocketAddr,
    state: Arc<Mutex<Issuer>>,
}

#[derive(Debug)]
struct Issuer {
    url: String,
    keys: Vec<SigningKey>,
    /// What was asked for and whom a code is for, by code; each is valid once.
    codes: BTreeMap<String, Issued>,
    /// Requests for the key set.
    key_set_reads: usize,
}

#[derive(Debug)]
struct SigningKey {
    id: String,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Issued {
    challenge: String,
    claims: Value,
}

impl OidcServer {
    /// Starts the provider with one key.
    #[expect(clippy::disallowed_methods, reason = "the server ends with the runtime of the test")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback");
        let address = listener.local_addr().expect("a bound port");
        let issuer = Issuer {
            url: format!("http://{address}"),
            keys: vec![SigningKey::draw()],
            codes: BTreeMap::new(),
            key_set_reads: 0,
        };
        let state = Arc::new(Mutex::new(issuer));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(key_set))
            .route("/token", post(token))
            .with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    /// Its issuer URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The person with these claims logs in where the shop sent the browser. Returns code and state, which the browser brings
    /// back. Claims replace those of the ID token, `null` removes them.
    ///
    /// # Panics
    /// If the shop's request is not what the standard asks for.
    pub fn log_in(&self, authorization_url: &str, claims: &Value) -> (String, String) {
        let (endpoint, query) = authorization_url.split_once('?').expect("a query");
        assert_eq!(endpoint, format!("{}/authorize", self.url()));
        let asked: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let expected = [
            ("response_type", "code"),
            ("client_id", OIDC_CLIENT_ID),
            ("redirect_uri", OIDC_REDIRECT_URL),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in expected {
            assert_eq!(asked.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        let mut issuer = locked(&self.state);
        let mut token = json!({
            "iss": issuer.url, "aud": OIDC_CLIENT_ID, "sub": "person-1", "email": "grace@shop.example",
            "email_verified": true, "name": "Grace Hopper", "nonce": asked["nonce"],
            "exp": (now() + Duration::minutes(TOKEN_MINUTES)).unix_timestamp(),
        });
        for (name, value) in claims.as_object().into_iter().flatten() {
            token[name] = value.clone();
        }
        if let Some(members) = token.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        let code = fresh();
        issuer.codes.insert(code.clone(), Issued { challenge: asked["code_challenge"].clone(), claims: token });
        (code, asked["state"].clone())
    }

    /// From now on another key signs; the old one leaves the key set.
    pub fn rotate_key(&self) {
        locked(&self.state).keys = vec![SigningKey::draw()];
    }

    /// How often the key set was read.
    pub fn key_set_reads(&self) -> usize {
        locked(&self.state).key_set_reads
    }
}

impl SigningKey {
    fn draw() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("random numbers");
        let pkcs8 = pair.to_pkcs8v1().expect("a private key").as_ref().to_vec();
        Self { id: fresh(), pkcs8, public: pair.public_key().as_ref().to_vec() }
    }

    /// The point is a byte for its form and two coordinates of 32 bytes.
    fn jwk(&self) -> Value {
        let coordinate = |at: usize| BASE64_URL_SAFE_NO_PAD.encode(&self.public[at..at + 32]);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": coordinate(1), "y": coordinate(33),
        })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &EncodingKey::from_ec_der(&self.pkcs8)).expect("signing")
    }
}

type Shared = Arc<Mutex<Issuer>>;

fn locked(state: &Mutex<Issuer>) -> MutexGuard<'_, Issuer> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn discovery(State(state): State<Shared>) -> Response {
    let url = locked(&state).url.clone();
    answer(
        StatusCode::OK,
        &json!({
            "issuer": url, "authorization_endpoint": format!("{url}/authorize"), "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/keys"), "response_types_supported": ["code"],
        }),
    )
}

async fn key_set(State(state): State<Shared>) -> Response {
    let mut issuer = locked(&state);
    issuer.key_set_reads += 1;
    let keys: Vec<Value> = issuer.keys.iter().map(SigningKey::jwk).collect();
    answer(StatusCode::OK, &json!({ "keys": keys }))
}

async fn token(State(state): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_client(&headers) {
        return answer(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_client" }));
    }
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let mut issuer = locked(&state);
    let issued = issuer.codes.remove(field("code")).filter(|issued| {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, field("code_verifier").as_bytes()));
        field("grant_type") == "authorization_code"
            && field("redirect_uri") == OIDC_REDIRECT_URL
            && challenge == issued.challenge
    });
    let Some(issued) = issued else {
        return answer(StatusCode::BAD_REQUEST, &json!({ "error": "invalid_grant" }));
    };
    let signed = issuer.keys[0].sign(&issued.claims);
    answer(StatusCode::OK, &json!({ "access_token": fresh(), "token_type": "Bearer", "id_token": signed }))
}

/// HTTP Basic with name and secret as a form encodes them (RFC 6749, 2.3.1).
fn is_client(headers: &HeaderMap) -> bool {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let login = format!("{}:{}", encoded(OIDC_CLIENT_ID), encoded(OIDC_CLIENT_SECRET));
    let expected = format!("Basic {}", BASE64_STANDARD.encode(login));
    headers.get("authorization").is_some_and(|value| value.as_bytes() == expected.as_bytes())
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

#[expect(clippy::disallowed_methods, reason = "a token must be valid for verifiers that read the real clock")]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[expect(clippy::disallowed_methods, reason = "an id that no test reads")]
fn fresh() -> String {
    Uuid::now_v7().to_string()
}
