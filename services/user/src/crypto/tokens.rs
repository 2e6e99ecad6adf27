//! Issues tokens: access tokens signed with the Ed25519 key of a watched file, random refresh tokens.
//!
//! A signing key is used only once the public key set has contained it for as long as the set may need to reach the other
//! services, so that they refuse no issued token: key and key set may be replaced while the process runs. Must not depend on
//! accounts beyond id and roles.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use agora_chassis::{BoxError, WatchedFile};
use agora_vocab::{Clock, Ids, Role, Secret, SessionId};
use aws_lc_rs::{
    digest, hmac,
    rand::{SecureRandom as _, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    domain::{AccessToken, RefreshToken, TokenDigest, User},
    ports::{TokenError, Tokens},
};

/// Random bytes of a refresh token.
const REFRESH_BYTES: usize = 32;

/// Time in which a changed key set reaches every service: a kubelet updates mounted files about once a minute, from a cache that
/// may be a minute old.
const PUBLICATION: Duration = Duration::seconds(120);

/// What the key of successors is derived for.
const SUCCESSOR_PURPOSE: &[u8] = b"agora refresh token successor";

/// Issuer, audience and lifetime of access tokens.
#[derive(Clone, Debug)]
pub struct Issue {
    pub issuer: String,
    pub audience: String,
    /// Lifetime of an access token, in seconds.
    pub lifetime_s: u32,
}

/// Issues tokens; reads the key files at each use.
#[derive(Debug)]
pub struct SignedTokens {
    key_file: WatchedFile,
    key_set_file: WatchedFile,
    issue: Issue,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    random: SystemRandom,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The file contents last loaded, usable or not.
    seen: Option<(Arc<str>, Arc<str>)>,
    /// The keys of the last usable key set, with the time from which each may sign; `None`: it was in the first set.
    published: Option<BTreeMap<String, Option<OffsetDateTime>>>,
    /// The key that signs.
    key: Option<Arc<SigningKey>>,
    /// The key of the file, while it may not sign yet.
    next: Option<Arc<SigningKey>>,
}

impl State {
    /// Takes over the contents of the files.
    fn load(&mut self, pem: &str, key_set: &str, now: OffsetDateTime) -> Result<(), KeyError> {
        let key = load(pem, key_set)?;
        let KeySet { keys } = serde_json::from_str(key_set).map_err(KeyError::NoKeySet)?;
        let (before, is_first) = (self.published.take().unwrap_or_default(), self.key.is_none());
        let from = |id: &String| before.get(id).copied().unwrap_or((!is_first).then(|| now + PUBLICATION));
        let published = keys.into_iter().filter_map(|key| key.kid).map(|id| (id.clone(), from(&id))).collect();
        self.published = Some(published);
        self.next = Some(Arc::new(key));
        Ok(())
    }

    /// Lets the key of the file sign as soon as it may, or if no other key can.
    fn advance(&mut self, now: OffsetDateTime) {
        let published = self.published.as_ref();
        let from = |key: &SigningKey| published.and_then(|published| published.get(&key.id).copied());
        let may_sign = |key: &SigningKey| from(key).flatten().is_none_or(|from| from <= now);
        let current_is_valid = self.key.as_ref().is_some_and(|key| from(key).is_some());
        if let Some(next) = self.next.take_if(|next| !current_is_valid || may_sign(next)) {
            self.key = Some(next);
        }
    }
}

struct SigningKey {
    id: String,
    key: EncodingKey,
    /// Derives refresh tokens from the ones before them.
    successors: hmac::Key,
}

/// Why the signing key of the file cannot be used. Never holds a part of it.
#[derive(Debug, thiserror::Error)]
enum KeyError {
    /// Not a PEM file with one private key.
    #[error("SIGNING_KEY_FILE holds no PKCS#8 private key in PEM format")]
    NotPem,
    /// Not an Ed25519 key.
    #[error("SIGNING_KEY_FILE holds no Ed25519 key")]
    NotEd25519,
    /// The key set cannot be read.
    #[error("JWKS_FILE holds no JSON Web Key Set")]
    NoKeySet(#[source] serde_json::Error),
    /// The key set does not contain the key.
    #[error("JWKS_FILE does not name the key of SIGNING_KEY_FILE: add its public key to the set")]
    NotInKeySet,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<PublicKey>,
}

#[derive(Deserialize)]
struct PublicKey {
    kid: Option<String>,
    x: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: Uuid,
    roles: &'a [Role],
    sid: SessionId,
    iss: &'a str,
    aud: &'a str,
    exp: i64,
    jti: Uuid,
}

impl SignedTokens {
    /// Uses the contents of both files at the time a token is issued.
    pub fn new(
        key_file: WatchedFile,
        key_set_file: WatchedFile,
        issue: Issue,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        Self { key_file, key_set_file, issue, clock, ids, random: SystemRandom::new(), state: Mutex::default() }
    }

    /// The key of the file, or the last usable one while the file's key cannot be used or is not known everywhere yet.
    fn key(&self) -> Option<Arc<SigningKey>> {
        let (pem, key_set) = (self.key_file.current(), self.key_set_file.current());
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let unchanged = state.seen.as_ref().is_some_and(|seen| *seen.0 == *pem && *seen.1 == *key_set);
        if !unchanged {
            if let Err(error) = state.load(&pem, &key_set, now) {
                tracing::warn!(%error, "the signing key cannot be used; signing with the previous key");
            }
            state.seen = Some((pem, key_set));
        }
        state.advance(now);
        state.key.clone()
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("key", &self.key.as_ref().map(|key| &key.id)).finish_non_exhaustive()
    }
}

impl Tokens for SignedTokens {
    fn access(&self, user: &User, session: SessionId) -> Result<AccessToken, TokenError> {
        let key = self.key().ok_or(TokenError::NoKey)?;
        let Issue { issuer, audience, lifetime_s } = &self.issue;
        let claims = Claims {
            sub: user.id.uuid(),
            roles: &user.roles,
            sid: session,
            iss: issuer,
            aud: audience,
            exp: self.clock.now().unix_timestamp() + i64::from(*lifetime_s),
            jti: self.ids.next(),
        };
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &key.key).map_err(|e| TokenError::Failed(e.into()))?;
        Ok(AccessToken { token: Secret::new(token), expires_in_s: u64::from(*lifetime_s) })
    }

    fn refresh(&self) -> Result<(RefreshToken, TokenDigest), TokenError> {
        let mut bytes = [0; REFRESH_BYTES];
        let no_random = |_| TokenError::Failed(BoxError::from("no random bytes"));
        self.random.fill(&mut bytes).map_err(no_random)?;
        let token = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let digest = self.digest(&token);
        Ok((RefreshToken(token), digest))
    }

    fn successor(&self, presented: &Secret) -> Result<(RefreshToken, TokenDigest), TokenError> {
        let key = self.key().ok_or(TokenError::NoKey)?;
        let tag = hmac::sign(&key.successors, presented.expose().as_bytes());
        let token = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(tag));
        let digest = self.digest(&token);
        Ok((RefreshToken(token), digest))
    }

    fn digest(&self, presented: &Secret) -> TokenDigest {
        let digest = digest::digest(&digest::SHA256, presented.expose().as_bytes());
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest.as_ref());
        TokenDigest(bytes)
    }

    fn check(&self) -> Result<(), BoxError> {
        load(&self.key_file.current(), &self.key_set_file.current())?;
        Ok(())
    }
}

/// The key with its `kid` in the key set (the operator uses RFC 7638 thumbprints).
fn load(pem: &str, key_set: &str) -> Result<SigningKey, KeyError> {
    let der = pkcs8(pem).ok_or(KeyError::NotPem)?;
    let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| KeyError::NotEd25519)?;
    let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let KeySet { keys } = serde_json::from_str(key_set).map_err(KeyError::NoKeySet)?;
    let known = keys.into_iter().find(|key| key.x.as_deref() == Some(&x));
    let id = known.and_then(|key| key.kid).ok_or(KeyError::NotInKeySet)?;
    // A key of its own purpose: the signing key signs nothing but access tokens.
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &der), SUCCESSOR_PURPOSE);
    let successors = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
    Ok(SigningKey { id, key: EncodingKey::from_ed_der(&der), successors })
}

/// The bytes between the lines of a PEM file's first private key.
fn pkcs8(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use agora_chassis::WatchedFile;
    use agora_events::user::Preferences;
    use agora_testkit::{FixedClock, SequentialIds, TestKeys};
    use agora_vocab::{Email, Role, Secret, SessionId, UserId};
    use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
    use time::macros::datetime;
    use uuid::Uuid;

    use super::{Duration, Issue, PUBLICATION, SignedTokens, load};
    use crate::{
        domain::{Profile, Status, User},
        ports::{TokenError, Tokens as _},
    };

    fn tokens(key: WatchedFile, set: WatchedFile) -> SignedTokens {
        let issue = Issue { issuer: "agora".into(), audience: "agora".into(), lifetime_s: 900 };
        let clock = FixedClock::at(datetime!(2026-01-02 03:04:05 UTC));
        SignedTokens::new(key, set, issue, Arc::new(clock), Arc::new(SequentialIds::new()))
    }

    fn admin() -> User {
        User {
            id: UserId::new(Uuid::from_u128(7)),
            email: Email::parse("ada@example.com").unwrap(),
            profile: Profile::default(),
            roles: vec![Role::Customer, Role::Admin],
            status: Status::Active,
            preferences: Preferences::default(),
            created_at: datetime!(2026-01-01 00:00 UTC),
            updated_at: datetime!(2026-01-01 00:00 UTC),
        }
    }

    #[test]
    fn id4_an_access_token_holds_the_agreed_claims_and_the_key_sets_name_of_its_key() {
        let keys = TestKeys::new();
        let tokens = tokens(WatchedFile::fixed(keys.signing_key_pem()), WatchedFile::fixed(keys.jwks()));
        let access = tokens.access(&admin(), SessionId::new(Uuid::from_u128(8))).unwrap();
        assert_eq!(access.expires_in_s, 900);

        let set: JwkSet = serde_json::from_str(&keys.jwks()).unwrap();
        let kid = jsonwebtoken::decode_header(access.token.expose()).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
        let mut validation = Validation::new(jsonwebtoken::Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_audience(&["agora"]);
        let claims =
            jsonwebtoken::decode::<serde_json::Value>(access.token.expose(), &key, &validation).unwrap().claims;
        assert_eq!(
            claims,
            serde_json::json!({
                "sub": Uuid::from_u128(7), "roles": ["customer", "admin"], "sid": Uuid::from_u128(8), "iss": "agora",
                "aud": "agora", "exp": datetime!(2026-01-02 03:19:05 UTC).unix_timestamp(),
                "jti": "00000000-0000-7000-8000-000000000001",
            })
        );
    }

    #[test]
    fn a_key_outside_the_key_set_signs_nothing() {
        let (keys, strangers) = (TestKeys::new(), TestKeys::new());
        let tokens = tokens(WatchedFile::fixed(keys.signing_key_pem()), WatchedFile::fixed(strangers.jwks()));
        assert!(tokens.check().unwrap_err().to_string().contains("does not name the key"));
        let refused = tokens.access(&admin(), SessionId::new(Uuid::nil()));
        assert!(matches!(refused, Err(TokenError::NoKey)));
    }

    #[tokio::test]
    async fn the_previous_key_signs_until_the_set_contains_the_new_one() {
        let (old, new) = (TestKeys::new(), TestKeys::new());
        let folder = tempfile::tempdir().unwrap();
        let (key, set) = (folder.path().join("key.pem"), folder.path().join("jwks.json"));
        fs::write(&key, old.signing_key_pem()).unwrap();
        fs::write(&set, old.jwks()).unwrap();
        let mut key_file = WatchedFile::open(&key).unwrap();
        let mut set_file = WatchedFile::open(&set).unwrap();
        let tokens = tokens(key_file.clone(), set_file.clone());
        let mint = || tokens.access(&admin(), SessionId::new(Uuid::nil())).unwrap().token;
        let first = mint();

        fs::write(&key, new.signing_key_pem()).unwrap();
        key_file.changed().await;
        assert_eq!(signer(&mint(), &old, &new), "old");
        fs::write(&set, new.jwks()).unwrap();
        set_file.changed().await;
        assert_eq!(signer(&mint(), &old, &new), "new");
        assert_eq!(signer(&first, &old, &new), "old");
    }

    #[tokio::test]
    async fn a_new_key_signs_only_once_its_public_key_has_reached_every_service() {
        let (old, new) = (TestKeys::new(), TestKeys::new());
        let folder = tempfile::tempdir().unwrap();
        let (key, set) = (folder.path().join("key.pem"), folder.path().join("jwks.json"));
        fs::write(&key, old.signing_key_pem()).unwrap();
        let entry = |of: &TestKeys, id: &str| {
            let mut entry = serde_json::from_str::<serde_json::Value>(&of.jwks()).unwrap()["keys"][0].clone();
            entry["kid"] = id.into();
            entry
        };
        fs::write(&set, serde_json::json!({"keys": [entry(&old, "old")]}).to_string()).unwrap();
        let (mut key_file, mut set_file) = (WatchedFile::open(&key).unwrap(), WatchedFile::open(&set).unwrap());
        let clock = FixedClock::at(datetime!(2026-01-02 03:04:05 UTC));
        let issue = Issue { issuer: "agora".into(), audience: "agora".into(), lifetime_s: 900 };
        let ids = Arc::new(SequentialIds::new());
        let tokens = SignedTokens::new(key_file.clone(), set_file.clone(), issue, Arc::new(clock.clone()), ids);
        let mint = || tokens.access(&admin(), SessionId::new(Uuid::nil())).unwrap().token;
        assert_eq!(signer(&mint(), &old, &new), "old");

        let both = serde_json::json!({"keys": [entry(&new, "new"), entry(&old, "old")]});
        fs::write(&set, both.to_string()).unwrap();
        fs::write(&key, new.signing_key_pem()).unwrap();
        key_file.changed().await;
        set_file.changed().await;
        assert_eq!(signer(&mint(), &old, &new), "old");
        clock.advance(PUBLICATION - Duration::seconds(1));
        assert_eq!(signer(&mint(), &old, &new), "old");
        clock.advance(Duration::seconds(1));
        assert_eq!(signer(&mint(), &old, &new), "new");

        // A key that was published as the next one signs at once.
        fs::write(&key, old.signing_key_pem()).unwrap();
        key_file.changed().await;
        assert_eq!(signer(&mint(), &old, &new), "old");
    }

    fn signer(token: &Secret, old: &TestKeys, new: &TestKeys) -> &'static str {
        let verifies = |keys: &TestKeys| {
            let set: JwkSet = serde_json::from_str(&keys.jwks()).unwrap();
            let mut validation = Validation::new(jsonwebtoken::Algorithm::EdDSA);
            validation.validate_exp = false;
            validation.set_audience(&["agora"]);
            let key = DecodingKey::from_jwk(&set.keys[0]).unwrap();
            jsonwebtoken::decode::<serde_json::Value>(token.expose(), &key, &validation).is_ok()
        };
        match (verifies(old), verifies(new)) {
            (true, false) => "old",
            (false, true) => "new",
            _ => "neither",
        }
    }

    #[test]
    fn refresh_tokens_differ_and_only_their_digests_can_be_recomputed() {
        let keys = TestKeys::new();
        let tokens = tokens(WatchedFile::fixed(keys.signing_key_pem()), WatchedFile::fixed(keys.jwks()));
        let ((one, digest), (two, _)) = (tokens.refresh().unwrap(), tokens.refresh().unwrap());
        assert_ne!(one.0, two.0);
        assert_eq!(one.0.expose().len(), 43, "256 bits");
        assert_eq!(tokens.digest(&one.0), digest);
        assert!(!format!("{one:?}").contains(one.0.expose()));
    }

    #[test]
    fn a_refresh_token_has_one_successor_which_another_key_does_not_derive() {
        let keys = [TestKeys::new(), TestKeys::new()];
        let [one, other] =
            keys.map(|keys| tokens(WatchedFile::fixed(keys.signing_key_pem()), WatchedFile::fixed(keys.jwks())));
        let presented = Secret::new("presented");
        let (first, digest) = one.successor(&presented).unwrap();
        assert_eq!(one.successor(&presented).unwrap().0.0, first.0);
        assert_eq!((first.0.expose().len(), one.digest(&first.0)), (43, digest));
        assert_ne!(other.successor(&presented).unwrap().0.0, first.0);
        assert_ne!(one.successor(&first.0).unwrap().0.0, first.0);
    }

    #[test]
    fn an_invalid_key_is_reported_without_its_content() {
        for bad in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "hunter2"] {
            let error = load(bad, "{}").err().unwrap().to_string();
            assert!(error.starts_with("SIGNING_KEY_FILE holds no") && !error.contains("hunter2"), "{error}");
        }
    }
}
