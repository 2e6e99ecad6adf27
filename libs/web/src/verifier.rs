//! Verification of access tokens against the mounted key set and the revoked sessions: EdDSA only, by a key of the set. Must
//! not issue tokens.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use agora_chassis::{Process, WatchedFile};
use agora_redis::RevokedSessions;
use agora_vocab::{Clock, Role, SessionId, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use crate::{identity::Identity, token_cache::TokenCache};

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
    /// The session that it was issued in has ended: by logout, by the user or an administrator, or with a changed password.
    #[error("the token's session has ended")]
    Revoked,
}

/// Checks access tokens. Clones share the keys, which follow the file.
#[derive(Clone, Debug)]
pub struct TokenVerifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: RwLock<Keys>,
    /// Tokens that these keys verified. Their time is checked at each use.
    verified: TokenCache<Claims>,
    validation: Validation,
    /// `None`: tokens are valid until they expire.
    revoked: Option<RevokedSessions>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct Keys {
    /// Counts the key sets that were read.
    number: u64,
    by_id: BTreeMap<String, DecodingKey>,
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
struct WireClaims {
    sub: UserId,
    roles: Vec<String>,
    sid: SessionId,
    exp: i64,
    nbf: Option<i64>,
}

/// Claims with a valid signature, issuer and audience.
struct Claims {
    user: UserId,
    roles: Vec<Role>,
    session: SessionId,
    expires_at: OffsetDateTime,
    not_before: Option<OffsetDateTime>,
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
    ///
    /// Tokens are valid until they expire, also those of revoked sessions.
    pub fn watch(file: WatchedFile, issuer: impl Into<String>, audience: impl Into<String>, process: &Process) -> Self {
        Self::new(None, file, (issuer.into(), audience.into()), process)
    }

    /// As [`watch`](Self::watch), but refuses tokens of revoked sessions.
    pub fn refusing(
        revoked: RevokedSessions,
        file: WatchedFile,
        issuer: impl Into<String>,
        audience: impl Into<String>,
        process: &Process,
    ) -> Self {
        Self::new(Some(revoked), file, (issuer.into(), audience.into()), process)
    }

    fn new(
        revoked: Option<RevokedSessions>,
        file: WatchedFile,
        (issuer, audience): (String, String),
        process: &Process,
    ) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Time is checked below, by the clock that the process has.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let (keys, clock) = (RwLock::default(), process.clock());
        let verifier = Self(Arc::new(Inner { keys, verified: TokenCache::default(), validation, revoked, clock }));
        verifier.follow(file, process);
        verifier
    }

    /// Who the token was issued to. The signature of a repeated token is verified once for each key set; its time and its
    /// session are checked at each call.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let identity = self.unexpired(token)?;
        if self.has_ended(identity.session) { Err(TokenError::Revoked) } else { Ok(identity) }
    }

    /// Whether the session has ended, as far as this process knows: it learns of it within a second while Redis answers.
    pub fn has_ended(&self, session: SessionId) -> bool {
        self.0.revoked.as_ref().is_some_and(|revoked| revoked.contains(session))
    }

    /// How long ago it was known which sessions have ended; `None` if this verifier does not ask.
    pub(crate) fn age_of_revocations(&self) -> Option<std::time::Duration> {
        self.0.revoked.as_ref().map(RevokedSessions::age)
    }

    /// Whose token it is if it is signed and has not expired.
    fn unexpired(&self, token: &str) -> Result<Identity, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let (digest, verified, now) = (TokenCache::<Claims>::digest(token), &self.0.verified, self.0.clock.now());
        if let Some(claims) = verified.find(&digest) {
            let valid = claims.valid_at(now);
            if valid == Err(TokenError::Expired) {
                verified.remove(&digest);
            }
            return valid.map(|()| claims.identity(token));
        }
        let (claims, key_set) = self.signed_claims(token)?;
        claims.valid_at(now)?;
        let identity = claims.identity(token);
        verified.store(digest, Arc::new(claims), key_set);
        Ok(identity)
    }

    /// The claims if their signature, issuer and audience are right, and the number of the key set that verified them.
    fn signed_claims(&self, token: &str) -> Result<(Claims, u64), TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::Algorithm);
        }
        let (key, key_set) = header.kid.and_then(|kid| self.key(&kid)).ok_or(TokenError::Key)?;
        let data = jsonwebtoken::decode::<WireClaims>(token, &key, &self.0.validation).map_err(|e| refused(&e))?;
        Ok((Claims::try_from(data.claims)?, key_set))
    }

    /// The key and the number of its key set.
    fn key(&self, kid: &str) -> Option<(DecodingKey, u64)> {
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        Some((keys.by_id.get(kid)?.clone(), keys.number))
    }

    fn replace_keys(&self, by_id: BTreeMap<String, DecodingKey>) {
        let mut keys = self.0.keys.write().unwrap_or_else(PoisonError::into_inner);
        let number = keys.number + 1;
        *keys = Keys { number, by_id };
        self.0.verified.clear(number);
    }

    fn follow(&self, file: WatchedFile, process: &Process) {
        let (gate, dependency) = (process.gate("keys"), process.dependency("keys"));
        let (verifier, shutdown) = (self.clone(), process.shutdown());
        let take = move |text: &str| match parse(text) {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "key set read");
                verifier.replace_keys(keys);
                gate.open();
                dependency.up();
            }
            Err(error) => {
                gate.close(format!("JWKS_FILE: {error}"));
                dependency.down(error.to_string());
            }
        };
        take(&file.current());
        process.supervise("keys", move || {
            let (take, mut file, shutdown) = (take.clone(), file.clone(), shutdown.clone());
            async move {
                while let Some(text) = shutdown.run_until_cancelled(file.changed()).await {
                    take(&text);
                }
                Ok(())
            }
        });
    }
}

impl TryFrom<WireClaims> for Claims {
    type Error = TokenError;

    fn try_from(wire: WireClaims) -> Result<Self, TokenError> {
        let WireClaims { sub, roles, sid, exp, nbf } = wire;
        let time = |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| TokenError::Claims);
        Ok(Self {
            user: sub,
            // A role that this build does not know gives no right here.
            roles: roles.iter().filter_map(|role| role.parse::<Role>().ok()).collect(),
            session: sid,
            expires_at: time(exp)?,
            not_before: nbf.map(time).transpose()?,
        })
    }
}

impl Claims {
    fn valid_at(&self, now: OffsetDateTime) -> Result<(), TokenError> {
        if self.expires_at.saturating_add(LEEWAY) <= now {
            return Err(TokenError::Expired);
        }
        if self.not_before.is_some_and(|not_before| not_before.saturating_sub(LEEWAY) > now) {
            return Err(TokenError::Early);
        }
        Ok(())
    }

    fn identity(&self, token: &str) -> Identity {
        let Self { user, roles, session, expires_at, not_before: _ } = self;
        Identity {
            user: *user,
            roles: roles.clone(),
            session: *session,
            token: token.to_owned(),
            expires_at: *expires_at,
        }
    }
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

#[cfg(test)]
mod tests {
    use agora_chassis::{Process, WatchedFile};
    use agora_testkit::TestKeys;
    use agora_vocab::{Role, UserId};
    use serde_json::json;
    use uuid::Uuid;

    use super::{Claims, TokenCache, TokenError, TokenVerifier};

    #[tokio::test]
    async fn only_tokens_that_were_accepted_are_cached() {
        let keys = TestKeys::new();
        let set = WatchedFile::fixed(keys.jwks());
        let verifier = TokenVerifier::watch(set, TestKeys::ISSUER, TestKeys::AUDIENCE, &Process::for_test("gateway"));
        let cached = |token: &str| verifier.0.verified.find(&TokenCache::<Claims>::digest(token)).is_some();
        let mut claims = TestKeys::claims(UserId::new(Uuid::nil()), &[Role::Customer]);

        let good = keys.sign(&claims);
        assert!(!cached(&good));
        let first = verifier.verify(&good).unwrap();
        assert!(cached(&good));
        assert_eq!(verifier.verify(&good).unwrap(), first);

        let stranger = TestKeys::new().sign(&claims);
        assert_eq!(verifier.verify(&stranger), Err(TokenError::Signature));
        claims["exp"] = json!(1_700_000_000);
        let expired = keys.sign(&claims);
        assert_eq!(verifier.verify(&expired), Err(TokenError::Expired));
        assert!(!cached(&stranger) && !cached(&expired));
    }
}
