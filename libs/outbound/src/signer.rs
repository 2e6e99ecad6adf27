//! The token of a call on an internal port. Knows its claims (README, section 1.9); who may call whom is checked by the
//! callee.

use agora_chassis::WatchedSecret;
use agora_vocab::UserId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use time::OffsetDateTime;

/// Life of a token, in seconds: one call, with its way.
const LIFE_SECONDS: i64 = 60;

/// Signs calls of one service. The secret is one text, or the current one and the next with a comma between: the
/// current one signs.
#[derive(Clone, Debug)]
pub struct InternalSigner {
    secret: WatchedSecret,
    caller: &'static str,
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
    /// Signs as `caller` ("order").
    pub fn new(secret: WatchedSecret, caller: &'static str) -> Self {
        Self { secret, caller }
    }

    /// A token for one call of `callee`, for a user if there is one, valid for 60 s from `now`.
    pub fn token(
        &self,
        callee: &str,
        subject: Option<UserId>,
        now: OffsetDateTime,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let secrets = self.secret.current();
        let current = secrets.expose().split(',').next().unwrap_or_default().trim();
        let claims = Claims { iss: self.caller, aud: callee, sub: subject, exp: now.unix_timestamp() + LIFE_SECONDS };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(current.as_bytes()))
    }
}
