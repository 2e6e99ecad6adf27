//! Signing keys, the JWKS that verifies them, and tokens as the user service and the callers on internal ports make them.
//!
//! Knows the claims of the binding design, section 1.9; must not verify anything.

use agora_keyring::KeySet;
use agora_vocab::{Role, Secret, SessionId, UserId};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

const ACCESS_TOKEN_SECONDS: i64 = 900;
const INTERNAL_TOKEN_SECONDS: i64 = 60;

/// Two Ed25519 keys: `first` signs, `second` is the one to rotate to. Both are in the JWKS.
#[derive(Debug)]
pub struct TestKeys {
    keys: [Key; 2],
}

#[derive(Debug)]
struct Key {
    id: &'static str,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl Default for TestKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl TestKeys {
    /// The issuer in every token.
    pub const ISSUER: &str = "agora";
    /// The audience in every token.
    pub const AUDIENCE: &str = "agora";

    /// Draws two keys.
    pub fn new() -> Self {
        Self { keys: ["first", "second"].map(Key::draw) }
    }

    /// The key set, as it lies in the mounted `jwks.json`.
    pub fn jwks(&self) -> String {
        let keys: Vec<Value> = self.keys.iter().map(Key::jwk).collect();
        json!({ "keys": keys }).to_string()
    }

    /// The key set as a file, which is gone when this is dropped.
    pub fn jwks_file(&self) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file in /tmp");
        std::fs::write(file.path(), self.jwks()).expect("writing the key set");
        file
    }

    /// The private key that signs, as PKCS #8 PEM.
    pub fn signing_key_pem(&self) -> String {
        let body = base64::prelude::BASE64_STANDARD.encode(&self.keys[0].pkcs8);
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    }

    /// An access token that is valid for 900 s from now.
    pub fn token(&self, user: UserId, roles: &[Role]) -> String {
        self.sign(&Self::claims(user, roles))
    }

    /// The claims of [`TestKeys::token`], to be bent before they are signed.
    pub fn claims(user: UserId, roles: &[Role]) -> Value {
        json!({
            "sub": user,
            "roles": roles,
            "sid": SessionId::new(fresh()),
            "iss": Self::ISSUER,
            "aud": Self::AUDIENCE,
            "exp": (now() + Duration::seconds(ACCESS_TOKEN_SECONDS)).unix_timestamp(),
            "jti": fresh(),
        })
    }

    /// Signs any claims with the first key.
    pub fn sign(&self, claims: &Value) -> String {
        self.keys[0].sign(claims)
    }

    /// Signs any claims with the second key.
    pub fn sign_with_second(&self, claims: &Value) -> String {
        self.keys[1].sign(claims)
    }
}

impl Key {
    fn draw(id: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().expect("random numbers");
        let pkcs8 = pair.to_pkcs8v1().expect("a private key").as_ref().to_vec();
        Self { id, pkcs8, public: pair.public_key().as_ref().to_vec() }
    }

    fn jwk(&self) -> Value {
        let x = BASE64_URL_SAFE_NO_PAD.encode(&self.public);
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": x})
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &EncodingKey::from_ed_der(&self.pkcs8)).expect("signing")
    }
}

/// A token for an internal port, valid for 60 s from now: who calls (`issuer`) whom, for which user if any. Its key is derived
/// from `secret` for this pair.
pub fn internal_token(secret: &str, issuer: &str, callee: &str, subject: Option<UserId>) -> String {
    let exp = (now() + Duration::seconds(INTERNAL_TOKEN_SECONDS)).unix_timestamp();
    let mut claims = json!({"iss": issuer, "aud": callee, "exp": exp});
    if let Some(subject) = subject {
        claims["sub"] = json!(subject);
    }
    let keys = KeySet::parse(&Secret::new(secret)).of_calls(issuer, callee);
    let key = keys.first().map(Secret::expose).unwrap_or_default();
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(key.as_bytes())).expect("signing")
}

#[expect(clippy::disallowed_methods, reason = "a token must be valid for verifiers that read the real clock")]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[expect(clippy::disallowed_methods, reason = "an id that no test reads")]
fn fresh() -> Uuid {
    Uuid::now_v7()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode, jwk::JwkSet};

    use super::*;

    #[test]
    fn a_token_verifies_against_the_key_set_by_its_key_id() {
        let keys = TestKeys::new();
        let user = UserId::new(fresh());
        let set: JwkSet = serde_json::from_str(&keys.jwks()).expect("a key set");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[TestKeys::AUDIENCE]);
        let claims = TestKeys::claims(user, &[Role::Admin]);

        for (kid, token) in [("first", keys.sign(&claims)), ("second", keys.sign_with_second(&claims))] {
            let key = DecodingKey::from_jwk(set.find(kid).expect("listed")).expect("an Ed25519 key");
            let found = decode::<Value>(&token, &key, &validation).expect("valid").claims;
            assert_eq!(found["sub"], json!(user));
            assert_eq!(found["roles"], json!(["admin"]));
        }
    }

    #[test]
    fn the_signing_key_reads_as_pem() {
        let keys = TestKeys::new();
        EncodingKey::from_ed_pem(keys.signing_key_pem().as_bytes()).expect("PKCS #8");
    }
}
