//! Verification of access tokens against the mounted key set: EdDSA only, by a key of the set. Must not issue tokens.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use agora_chassis::{Process, WatchedFile};
use agora_vocab::{Clock, Role, SessionId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use crate::identity::Identity;

/// How far the clocks of issuer and verifier may be apart.
const LEEWAY: Duration = Duration::seconds(30);

/// Longest token that is looked at, in bytes; ours have about 500.
const TOKEN_BYTES_MAX: usize = 4096;

/// Why a token is rejected. For the log only: the client learns that the token is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token at all, or one that is far too long.
    #[error("the token is malformed")]
    Malformed,
    /// Another algorithm than EdDSA, whatever the header says.
    #[error("the token's algorithm is not EdDSA")]
    Algorithm,
    /// No key id, or one that the key set does not have.
    #[error("the token names no key of the key set")]
    Key,
    /// The signature is not that key's, or the claims were changed.
    #[error("the token's signature or a claim is wrong")]
    Signature,
    /// `iss` is another.
    #[error("the token's issuer is another")]
    Issuer,
    /// `aud` is another.
    #[error("the token's audience is another")]
    Audience,
    /// A claim is missing or of another shape.
    #[error("a claim of the token is missing or malformed")]
    Claims,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is to come.
    #[error("the token is not valid yet")]
    Early,
}

/// Checks access tokens. Clones share the keys, which follow the file.
#[derive(Clone, Debug)]
pub struct TokenVerifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: RwLock<BTreeMap<String, DecodingKey>>,
    validation: Validation,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

/// Any key; those of other kinds have other members.
#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: UserId,
    roles: Vec<String>,
    sid: SessionId,
    exp: i64,
    nbf: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
enum KeySetError {
    #[error("the key set is not a JWKS")]
    Json(#[from] serde_json::Error),
    #[error("the key set has no Ed25519 key with an id")]
    Empty,
}

impl TokenVerifier {
    /// Reads the key set and follows the file: a key added to it is accepted within two seconds, a removed one refused.
    ///
    /// A set that cannot be used leaves the last usable one in place and is listed as degraded; until the first usable
    /// one the gate `keys` is closed. Must be called within the runtime.
    pub fn watch(file: WatchedFile, issuer: impl Into<String>, audience: impl Into<String>, process: &Process) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer.into()]);
        validation.set_audience(&[audience.into()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Time is checked below, by the clock that the process has.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let verifier = Self(Arc::new(Inner { keys: RwLock::new(BTreeMap::new()), validation, clock: process.clock() }));
        verifier.follow(file, process);
        verifier
    }

    /// Who the token was issued to.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::Algorithm);
        }
        let key = header.kid.and_then(|kid| self.key(&kid)).ok_or(TokenError::Key)?;
        let data = jsonwebtoken::decode::<Claims>(token, &key, &self.0.validation).map_err(|e| refused(&e))?;
        identity(&data.claims, token, self.0.clock.now())
    }

    fn key(&self, kid: &str) -> Option<DecodingKey> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }

    fn follow(&self, mut file: WatchedFile, process: &Process) {
        let (gate, dependency) = (process.gate("keys"), process.dependency("keys"));
        let (verifier, shutdown) = (self.clone(), process.shutdown());
        let take = move |text: &str| match parse(text) {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "key set read");
                *verifier.0.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
                gate.open();
                dependency.up();
            }
            Err(error) => {
                gate.close(format!("JWKS_FILE: {error}"));
                dependency.down(error.to_string());
            }
        };
        take(&file.current());
        process.spawn("keys", async move {
            while let Some(text) = shutdown.run_until_cancelled(file.changed()).await {
                take(&text);
            }
            Ok(())
        });
    }
}

fn identity(claims: &Claims, token: &str, now: OffsetDateTime) -> Result<Identity, TokenError> {
    let time = |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| TokenError::Claims);
    let expires_at = time(claims.exp)?;
    if expires_at + LEEWAY <= now {
        return Err(TokenError::Expired);
    }
    if let Some(not_before) = claims.nbf
        && time(not_before)? - LEEWAY > now
    {
        return Err(TokenError::Early);
    }
    // A role that this build does not know gives no right here.
    let roles = claims.roles.iter().filter_map(|role| role.parse::<Role>().ok()).collect();
    Ok(Identity { user: claims.sub, roles, session: claims.sid, token: token.to_owned(), expires_at })
}

fn refused(error: &jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind as K;
    match error.kind() {
        K::InvalidIssuer => TokenError::Issuer,
        K::InvalidAudience => TokenError::Audience,
        K::InvalidAlgorithm => TokenError::Algorithm,
        K::MissingRequiredClaim(_) | K::Json(_) | K::InvalidClaimFormat(_) => TokenError::Claims,
        K::InvalidToken | K::Base64(_) | K::Utf8(_) => TokenError::Malformed,
        _ => TokenError::Signature,
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, DecodingKey>, KeySetError> {
    let set: KeySet = serde_json::from_str(text)?;
    let keys: BTreeMap<_, _> = set
        .keys
        .into_iter()
        .filter(|key| key.kty == "OKP" && key.crv.as_deref() == Some("Ed25519"))
        .filter_map(|key| Some((key.kid?, DecodingKey::from_ed_components(&key.x?).ok()?)))
        .collect();
    if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(keys) }
}
