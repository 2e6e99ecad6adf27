//! Passwords and keys: read from their Secrets, generated if there is none. A generated value is lost unless its Secret is
//! written; of the values of an existing Secret only keys whose period is over are replaced.

use std::collections::BTreeMap;
use std::mem;

use agora_crd::Reason;
use agora_topology as topology;
use agora_vocab::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::decide::credentials::{
    AdminLogin, Credentials, EncryptionKeys, InternalMasters, LastRotation, PublicKeySet, ROTATED, SigningKeys,
    admin_secret, database_secret, encryption_secret, internal_secret, signing_secret, spare_secret,
};
use crate::decide::observed::{Children, ConditionError};

/// The first admin logs in with this address; no mail is sent to it.
const ADMIN_EMAIL: &str = "admin@agora.local";
const SECRET_BYTES: usize = 32;
const PASSWORD_BYTES: usize = 24;

#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("the random number generator of the system failed")]
    Random,
}

impl From<Unspecified> for CredentialError {
    fn from(_: Unspecified) -> Self {
        Self::Random
    }
}

/// Reads the existing credentials and generates the missing ones, also those that a Secret lacks beside others.
pub fn credentials(marketplace: &str, children: &Children) -> Result<Credentials, CredentialError> {
    let value = |secret: &str, key: &str| {
        // A process that ended while it created the Secret again has left its copy.
        let mut values = children.secret(secret).or_else(|| children.secret(&spare_secret(secret)))?;
        values.remove(key).filter(|value| !value.expose().is_empty())
    };
    // The line break that `echo` and editors append is no part of a login.
    let text = |secret: &str, key: &str| {
        let text = value(secret, key)?.expose().trim_end_matches(['\r', '\n']).to_owned();
        (!text.is_empty()).then(|| Secret::new(text))
    };
    let mut databases = BTreeMap::new();
    for row in topology::ALL.iter().filter(|row| row.database) {
        let existing = text(&database_secret(marketplace, row.name), "password");
        databases.insert(row.name, existing.map_or_else(|| password().map(Secret::new), Ok)?);
    }
    let rotated = |secret: &str| LastRotation::parse(text(secret, ROTATED).as_ref().map(Secret::expose));
    let name = internal_secret(marketplace);
    let internal = InternalMasters {
        // An earlier release had one key under another name.
        current: text(&name, "current").or_else(|| text(&name, "secret")).map_or_else(random_key, Ok)?,
        next: text(&name, "next").map_or_else(random_key, Ok)?,
        previous: text(&name, "previous"),
        rotated: rotated(&name),
    };
    let name = signing_secret(marketplace);
    let (current, next) = key_pair(value(&name, "current.pem"), value(&name, "next.pem"))?;
    let signing = signing_keys(&name, (current, next), rotated(&name));
    let mut encryption = BTreeMap::new();
    for row in topology::ALL.iter().filter(|row| row.encrypts()) {
        let name = encryption_secret(marketplace, row.name);
        let current = text(&name, "current").map_or_else(random_key, Ok)?;
        let previous = text(&name, "previous").unwrap_or_else(|| current.clone());
        encryption.insert(row.name, encryption_keys(row.name, &name, current, previous));
    }
    let admin = admin_secret(marketplace);
    let username = text(&admin, "username").map_or_else(|| ADMIN_EMAIL.to_owned(), |name| name.expose().to_owned());
    let password = text(&admin, "password").map_or_else(|| password().map(Secret::new), Ok)?;
    let admin = AdminLogin { username, password };
    Ok(Credentials { databases, internal, signing, encryption, admin })
}

/// Replaces the keys of tokens that are older than `period`: the next key becomes the current one, and a new one the next.
/// Every service accepts the next key before it is used.
pub fn rotate(
    credentials: &mut Credentials,
    marketplace: &str,
    now: OffsetDateTime,
    period: Duration,
) -> Result<(), CredentialError> {
    let internal = &mut credentials.internal;
    if internal.rotated.advance(now, period) {
        let current = mem::replace(&mut internal.next, random_key()?);
        internal.previous = Some(mem::replace(&mut internal.current, current));
        tracing::info!(marketplace, "rotated the masters of the keys of calls between services");
    }
    if let Ok(signing) = &mut credentials.signing
        && signing.rotated.advance(now, period)
    {
        let (keys, rotated) = ((signing.next.clone(), new_key()?), signing.rotated);
        credentials.signing = signing_keys(&signing_secret(marketplace), keys, rotated);
        tracing::info!(marketplace, "rotated the keys of access tokens");
    }
    Ok(())
}

fn encryption_keys(
    service: &str,
    name: &str,
    current: Secret,
    previous: Secret,
) -> Result<EncryptionKeys, ConditionError> {
    let is_key = |key: &Secret| BASE64_STANDARD.decode(key.expose()).is_ok_and(|bytes| bytes.len() == SECRET_BYTES);
    let unusable = [("current", &current), ("previous", &previous)].into_iter().find(|(_, key)| !is_key(key));
    match unusable {
        None => Ok(EncryptionKeys { current, previous }),
        Some((key, _)) => {
            let message = format!(
                "key {key} of Secret {name} is not {SECRET_BYTES} bytes in Base64: restore it from a backup, or remove {key} \
                 from the Secret to replace it; {}",
                without_key(service)
            );
            Err(ConditionError::new(Reason::SecretCorrupt, message))
        }
    }
}

/// What a service cannot do any more with what it encrypted under a key that is replaced.
fn without_key(service: &str) -> &'static str {
    match service {
        "payment" => "payments that wait for the provider then fail and must be repeated",
        "notification" => "webhooks are then not sent to an endpoint until its secret is replaced",
        _ => "what was encrypted under it can then not be read",
    }
}

fn random_key() -> Result<Secret, CredentialError> {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes)?;
    Ok(Secret::new(BASE64_STANDARD.encode(bytes)))
}

fn password() -> Result<String, CredentialError> {
    let mut bytes = [0; PASSWORD_BYTES];
    rand::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn new_key() -> Result<Secret, Unspecified> {
    let document = Ed25519KeyPair::generate()?.to_pkcs8v1()?;
    let body = BASE64_STANDARD.encode(document.as_ref());
    Ok(Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")))
}

/// Current and next key. If one is missing, the other one stays: the next key is published already, so tokens that it signs
/// as the current one are accepted at once.
fn key_pair(current: Option<Secret>, next: Option<Secret>) -> Result<(Secret, Secret), Unspecified> {
    Ok(match (current, next) {
        (Some(current), Some(next)) => (current, next),
        (Some(current), None) => (current, new_key()?),
        (None, Some(next)) => (next, new_key()?),
        (None, None) => (new_key()?, new_key()?),
    })
}

fn signing_keys(
    name: &str,
    (current, next): (Secret, Secret),
    rotated: LastRotation,
) -> Result<SigningKeys, ConditionError> {
    let read = |pem: &Secret, key: &str| {
        public_key(pem).ok_or_else(|| {
            let message = format!(
                "key {key} of Secret {name} is no Ed25519 key in PKCS #8 PEM: restore it from a backup, or remove {key} from \
                 the Secret to replace it; tokens that it signed are then rejected"
            );
            ConditionError::new(Reason::SecretCorrupt, message)
        })
    };
    let (first, second) = (read(&current, "current.pem")?, read(&next, "next.pem")?);
    let jwks = json!({ "keys": [jwk(&first), jwk(&second)] }).to_string();
    Ok(SigningKeys { current, next, published: PublicKeySet::live(jwks), rotated })
}

fn public_key(pem: &Secret) -> Option<Vec<u8>> {
    let body: String = pem.expose().lines().filter(|line| !line.starts_with("-----")).collect();
    let pair = Ed25519KeyPair::from_pkcs8(&BASE64_STANDARD.decode(body).ok()?).ok()?;
    Some(pair.public_key().as_ref().to_vec())
}

/// A public key as JWK, with its RFC 7638 thumbprint as `kid`.
fn jwk(public: &[u8]) -> Value {
    let x = BASE64_URL_SAFE_NO_PAD.encode(public);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let kid = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()));
    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x})
}
