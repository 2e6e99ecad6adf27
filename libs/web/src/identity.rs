//! The authenticated user of a request, from the access token, with the 401 and 403 responses.

use std::fmt;

use agora_vocab::{Role, SessionId, UserId};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use time::OffsetDateTime;

use crate::{
    problem::Problem,
    verifier::{TokenError, TokenVerifier},
};

/// The challenge of a 401 to a request with a token (RFC 6750, 3).
const INVALID_TOKEN: &str = "Bearer error=\"invalid_token\"";

/// When a member of the staff may try again, in seconds.
const REVOCATIONS_RETRY_AFTER_S: u32 = 5;

/// A user, proved by an access token that the port has checked by the policy of the route. A handler takes
/// `Option<Identity>` where a token may be absent.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: UserId,
    /// The roles that the token grants.
    pub roles: Vec<Role>,
    /// The login that the token came from.
    pub session: SessionId,
    /// The token itself, to be handed on.
    pub token: String,
    /// When the token ends.
    pub expires_at: OffsetDateTime,
}

impl Identity {
    /// Whether the token grants one of the roles. That of an admin grants each.
    pub fn has_any(&self, roles: &[Role]) -> bool {
        Role::grants(&self.roles, roles)
    }
}

/// Not the token: who has it is the user.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("user", &self.user).field("roles", &self.roles).finish_non_exhaustive()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let identity = parts.extensions.get().cloned();
        identity.ok_or_else(|| Problem::internal("a handler needs a user, and the policy of its route does not"))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Problem> {
        Ok(parts.extensions.get().cloned())
    }
}

/// Why a request with a bearer token has no identity.
pub(crate) enum Unauthenticated {
    /// The token was valid once.
    Expired,
    /// The token would be valid if its session had not ended.
    SessionEnded,
    /// The token is forged or malformed, or the port cannot verify it.
    Refused(Problem),
}

/// `None`: no bearer token was sent.
pub(crate) fn read(headers: &HeaderMap, verifier: Option<&TokenVerifier>) -> Result<Option<Identity>, Unauthenticated> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = sent.next() else { return Ok(None) };
    if sent.next().is_some() {
        return Err(invalid());
    }
    let Some((scheme, token)) = value.to_str().map_err(|_| invalid())?.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let Some(verifier) = verifier else {
        let problem = Problem::internal("a route asks who calls, and its port verifies no tokens");
        return Err(Unauthenticated::Refused(problem));
    };
    verifier.verify(token.trim()).map(Some).map_err(|error| {
        tracing::debug!(%error, "token refused");
        match error {
            TokenError::Expired => Unauthenticated::Expired,
            TokenError::Revoked => Unauthenticated::SessionEnded,
            _ => invalid(),
        }
    })
}

impl From<Unauthenticated> for Problem {
    fn from(error: Unauthenticated) -> Self {
        match error {
            Unauthenticated::Expired => unauthenticated("TOKEN_EXPIRED", "Invalid token", INVALID_TOKEN)
                .detail("the access token has expired: refresh it"),
            Unauthenticated::SessionEnded => unauthenticated("INVALID_TOKEN", "Invalid token", INVALID_TOKEN)
                .detail("the session of the access token has ended: log in again"),
            Unauthenticated::Refused(problem) => problem,
        }
    }
}

/// 401 where a token is required and none was sent.
pub(crate) fn missing() -> Problem {
    unauthenticated("NO_TOKEN", "No token provided", "Bearer")
}

/// 403 for a user with none of the roles that the policy requires.
pub(crate) fn forbidden(roles: &[Role]) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN").detail(format!("this takes the role {}", in_words(roles)))
}

/// "support or admin"
fn in_words(roles: &[Role]) -> String {
    let others = roles.iter().filter(|role| **role != Role::Admin);
    let names: Vec<&str> = others.chain([&Role::Admin]).map(|role| role.as_str()).collect();
    names.join(" or ")
}

/// 503 while a token with one of these roles might be of a session that has ended.
pub(crate) fn revocations_unknown(roles: &[Role]) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "REVOCATIONS_UNKNOWN")
        .detail(format!(
            "requests that take the role {} are refused while it is unknown which sessions have ended: Redis or the user \
             service does not answer",
            in_words(roles)
        ))
        .retry_after(REVOCATIONS_RETRY_AFTER_S)
}

fn invalid() -> Unauthenticated {
    Unauthenticated::Refused(unauthenticated("INVALID_TOKEN", "Invalid token", INVALID_TOKEN))
}

fn unauthenticated(code: &'static str, title: &'static str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code)
        .title(title)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}
