//! A login and the tokens that come of it.

use std::time::Duration;

use agora_vocab::Secret;

/// How long a refresh token may lie unused.
pub const SESSION_IDLE: Duration = Duration::from_hours(7 * 24);
/// How long a session lasts, however often it is refreshed.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// A refresh token as its owner holds it: opaque, good for one use.
#[derive(Clone, Debug)]
pub struct RefreshToken(pub Secret);

/// SHA-256 of a refresh token: all that is stored of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenDigest(pub [u8; 32]);

/// A signed access token.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub token: Secret,
    /// How long it is good for, in seconds.
    pub expires_in_s: u64,
}
