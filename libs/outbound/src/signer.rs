//! The token of a call on an internal port. Knows its claims; who may call whom is checked by the callee.

use std::sync::Arc;

use agora_chassis::WatchedSecret;
use agora_keyring::ParsedKeys;
use agora_vocab::UserId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use time::OffsetDateTime;

/// Life of a token, in seconds: one call, with its way.
const LIFE_SECONDS: i64 = 60;

/// Signs calls of one service, with a key for each callee. Clones share the parsed keys.
#[derive(Clone, Debug)]
pub struct InternalSigner {
    secret: WatchedSecret,
    keys: Arc<ParsedKeys>,
    caller: &'static str,
}

/// Why a call cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The secret of this service holds no key for the callee.
    #[error("INTERNAL_SECRET has no key for calls of {caller} to {callee}")]
    NoKey {
        /// The service that calls.
        caller: &'static str,
        /// The service that was to be called.
        callee: String,
    },
    /// The token cannot be made.
    #[error("the token cannot be signed")]
    Token(#[from] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'static str,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<UserId>,
    exp: i64,
}

impl InternalSigner {
    /// Signs as `caller` ("order"), with the keys that [`agora_keyring::KeySet`] reads from the secret.
    pub fn new(secret: WatchedSecret, caller: &'static str) -> Self {
        Self { secret, keys: Arc::default(), caller }
    }

    /// A token for one call of `callee`, for a user if there is one, valid for 60 s from `now`.
    pub fn token(&self, callee: &str, subject: Option<UserId>, now: OffsetDateTime) -> Result<String, SignError> {
        let keys = self.keys.of(&self.secret.current()).of_calls(self.caller, callee);
        let key = keys.first().ok_or_else(|| SignError::NoKey { caller: self.caller, callee: callee.to_owned() })?;
        let claims = Claims { iss: self.caller, aud: callee, sub: subject, exp: now.unix_timestamp() + LIFE_SECONDS };
        let key = EncodingKey::from_secret(key.expose().as_bytes());
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?)
    }
}
