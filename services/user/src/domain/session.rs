//! Sessions and their tokens.

use std::time::Duration;

use agora_vocab::Secret;

/// Idle lifetime of a refresh token.
pub const SESSION_IDLE: Duration = Duration::from_hours(7 * 24);
/// Absolute lifetime of a session.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// How long after its use a refresh token gives the same successor again: two tabs of a browser refresh at once, and a
/// response may be lost.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);

/// A refresh token as the client holds it: opaque, valid for one use.
#[derive(Clone, Debug)]
pub struct RefreshToken(pub Secret);

/// SHA-256 of a refresh token; only the digest is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenDigest(pub [u8; 32]);

/// A signed access token.
#[derive(Clone, Debug)]
pub struct AccessToken {
    pub token: Secret,
    /// Lifetime in seconds.
    pub expires_in_s: u64,
}
