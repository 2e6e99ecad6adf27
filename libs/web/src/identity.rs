//! The authenticated user of a request, from the access token, with the 401 and 403 responses.

use std::fmt;

use agora_vocab::{Role, SessionId, UserId};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use time::OffsetDateTime;

use crate::{problem::Problem, verifier::TokenVerifier};

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
    /// Whether the token grants the role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
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

/// `None`: no bearer token was sent.
pub(crate) fn read(headers: &HeaderMap, verifier: Option<&TokenVerifier>) -> Result<Option<Identity>, Problem> {
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
        return Err(Problem::internal("a route asks who calls, and its port verifies no tokens"));
    };
    verifier.verify(token.trim()).map(Some).map_err(|error| {
        tracing::debug!(%error, "token refused");
        invalid()
    })
}

/// 401 where a token is required and none was sent.
pub(crate) fn missing() -> Problem {
    unauthenticated("NO_TOKEN", "No token provided", "Bearer")
}

/// 403 for a user without the role that the policy requires.
pub(crate) fn forbidden(role: Role) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN").detail(format!("this takes the role {role}"))
}

fn invalid() -> Problem {
    unauthenticated("INVALID_TOKEN", "Invalid token", "Bearer error=\"invalid_token\"")
}

fn unauthenticated(code: &'static str, title: &'static str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code)
        .title(title)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}
