//! Passwords and keys: read from their Secrets, drawn once where there is none. What was drawn is lost unless its Secret
//! is created; a Secret that exists is never recomputed.

use std::collections::BTreeMap;

use agora_topology as topology;
use agora_vocab::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::decide::credentials::{
    AdminLogin, Credential, Credentials, SigningKeys, admin_secret, database_secret, internal_secret, signing_secret,
};
use crate::decide::observed::Children;

/// E-mail address of the first admin. It receives nothing: only its password matters.
pub const ADMIN_EMAIL: &str = "admin@agora.local";
const SECRET_BYTES: usize = 32;
const PASSWORD_BYTES: usize = 24;

/// Why keys could not be drawn or read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The random source failed.
    #[error("the random source gives nothing")]
    Random,
    /// A Secret holds no key.
    #[error("Secret {name} holds no Ed25519 key in PKCS #8 PEM: restore it, or delete it for new keys")]
    NoKey {
        /// Its name.
        name: String,
    },
}

impl From<Unspecified> for CredentialError {
    fn from(_: Unspecified) -> Self {
        Self::Random
    }
}

/// Reads what there is and draws the rest.
pub fn credentials(marketplace: &str, children: &Children) -> Result<Credentials, CredentialError> {
    let value = |secret: &str, key: &str| {
        children.secret(secret).and_then(|mut values| values.remove(key)).filter(|value| !value.expose().is_empty())
    };
    let mut databases = BTreeMap::new();
    for row in topology::ALL.iter().filter(|row| row.database) {
        let known = value(&database_secret(marketplace, row.name), "password");
        databases.insert(row.name, known_or(known, || password().map(Secret::new))?);
    }
    let internal = known_or(value(&internal_secret(marketplace), "secret"), || {
        let mut bytes = [0; SECRET_BYTES];
        rand::fill(&mut bytes)?;
        Ok(Secret::new(BASE64_STANDARD.encode(bytes)))
    })?;
    let name = signing_secret(marketplace);
    let known = value(&name, "current.pem").zip(value(&name, "next.pem"));
    let known = known.map(|(current, next)| signing_keys(&name, current, next)).transpose()?;
    let signing = known_or(known, || signing_keys(&name, new_key()?, new_key()?))?;
    let admin = admin_secret(marketplace);
    let known = value(&admin, "username").zip(value(&admin, "password"));
    let known = known.map(|(username, password)| AdminLogin { username: username.expose().to_owned(), password });
    let admin =
        known_or(known, || Ok(AdminLogin { username: ADMIN_EMAIL.to_owned(), password: Secret::new(password()?) }))?;
    Ok(Credentials { databases, internal, signing, admin })
}

fn known_or<T>(
    known: Option<T>,
    draw: impl FnOnce() -> Result<T, CredentialError>,
) -> Result<Credential<T>, CredentialError> {
    match known {
        Some(value) => Ok(Credential { value, drawn: false }),
        None => Ok(Credential { value: draw()?, drawn: true }),
    }
}

fn password() -> Result<String, CredentialError> {
    let mut bytes = [0; PASSWORD_BYTES];
    rand::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn new_key() -> Result<Secret, CredentialError> {
    let document = Ed25519KeyPair::generate()?.to_pkcs8v1()?;
    let body = BASE64_STANDARD.encode(document.as_ref());
    Ok(Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")))
}

fn signing_keys(name: &str, current: Secret, next: Secret) -> Result<SigningKeys, CredentialError> {
    let no_key = || CredentialError::NoKey { name: name.to_owned() };
    let keys = [&current, &next].map(|pem| public_key(pem).ok_or_else(no_key));
    let [first, second] = keys;
    let jwks = json!({ "keys": [jwk(&first?), jwk(&second?)] }).to_string();
    Ok(SigningKeys { current, next, jwks })
}

fn public_key(pem: &Secret) -> Option<Vec<u8>> {
    let body: String = pem.expose().lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = Ed25519KeyPair::from_pkcs8(&BASE64_STANDARD.decode(body).ok()?).ok()?;
    Some(pair.public_key().as_ref().to_vec())
}

/// The public key with its RFC 7638 thumbprint as id.
fn jwk(public: &[u8]) -> Value {
    let x = BASE64_URL_SAFE_NO_PAD.encode(public);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let kid = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()));
    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x})
}
