//! Sessions and their tokens.

use std::{net::IpAddr, time::Duration};

use agora_vocab::{Secret, SessionId};
use time::OffsetDateTime;

/// Idle lifetime of a refresh token.
pub const SESSION_IDLE: Duration = Duration::from_hours(7 * 24);
/// Absolute lifetime of a session.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Absolute lifetime of a session of the staff that began at an identity provider: who loses a group there must log in again.
pub const STAFF_SESSION_LIFETIME: Duration = Duration::from_hours(12);
/// Time between the beginning and the end of a login at the identity provider.
pub const STAFF_LOGIN_LIFETIME: Duration = Duration::from_mins(10);

/// How long the link of a mail can set a new password.
pub const PASSWORD_RESET_LIFETIME: Duration = Duration::from_mins(15);

/// How long the link of a mail can confirm a new e-mail address. Longer than a server delays mails of unknown senders.
pub const EMAIL_CHANGE_LIFETIME: Duration = Duration::from_hours(1);

/// How long after its use a refresh token gives the same successor again: two tabs of a browser refresh at once, and a
/// response may be lost.
pub const REFRESH_GRACE: Duration = Duration::from_secs(10);

/// How much longer than an access token lives its session is listed as revoked: services accept a token up to 30 s after its
/// expiry, and a token may be signed a moment after its session ended.
pub const REVOCATION_MARGIN: Duration = Duration::from_secs(90);

/// Longest stored description of a client, in characters.
const USER_AGENT_CHARS_MAX: usize = 300;

/// Where a login comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// The client's address as the gateway reports it.
    pub ip: Option<IpAddr>,
    /// The client's own description of itself: the header `User-Agent`.
    pub user_agent: Option<String>,
}

impl Device {
    /// Keeps the printable part of the description, at most 300 characters.
    pub fn new(ip: Option<IpAddr>, user_agent: Option<&str>) -> Self {
        let printable =
            |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect() };
        Self { ip, user_agent: user_agent.map(printable).filter(|text| !text.trim().is_empty()) }
    }
}

/// A session that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub device: Device,
    /// Time of the login.
    pub issued_at: OffsetDateTime,
    /// Time of the last refresh.
    pub used_at: Option<OffsetDateTime>,
    /// When it ends at the latest.
    pub expires_at: OffsetDateTime,
}

/// A session that ended while its access tokens may be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// In about the order in which the sessions ended.
    pub number: i64,
    pub session: SessionId,
    /// When every access token of the session has expired, as Unix time in seconds.
    pub ends: i64,
}

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
