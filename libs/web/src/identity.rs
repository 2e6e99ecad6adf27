//! The authenticated user of a request, from the access token, with the 401 and 403 responses.

use std::fmt;

use agora_vocab::{Role, SessionId, UserId};
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use time::OffsetDateTime;

use crate::{problem::Problem, verifier::TokenVerifier};

/// A user, proved by an access token. `Option<Identity>` where a route also serves those who have none; a token that
/// is not valid is refused there too.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
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

/// A user with the role admin; 403 for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin(pub Identity);

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
        read(&parts.headers, parts.extensions.get())?.ok_or_else(missing)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Problem> {
        read(&parts.headers, parts.extensions.get())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let identity = <Identity as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        if identity.has(Role::Admin) {
            Ok(Self(identity))
        } else {
            Err(Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN").detail("this takes the role admin"))
        }
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

fn invalid() -> Problem {
    unauthenticated("INVALID_TOKEN", "Invalid token", "Bearer error=\"invalid_token\"")
}

fn unauthenticated(code: &'static str, title: &'static str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code)
        .title(title)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}
