//! Internal ports: each request needs a fresh token of an allowed caller. Allowed callers come from the topology.

use agora_chassis::{SystemClock, WatchedSecret};
use agora_topology::Service;
use agora_vocab::{Clock as _, UserId};
use axum::{
    Router,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, StatusCode, request::Parts},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{PortSettings, problem::Problem, routes::Routes, stack::internal_stack};

const TOKEN: HeaderName = HeaderName::from_static("x-internal-token");
const COMMAND_ID: HeaderName = HeaderName::from_static("x-command-id");

/// Longest life that a token may claim, in seconds.
const LIFE_SECONDS_MAX: i64 = 60;

/// How far the clocks of two pods may be apart, in seconds.
const LEEWAY_SECONDS: i64 = 10;

/// The service that calls, proved by its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name: "order".
    pub service: String,
    /// The user for whom it calls, if any.
    pub subject: Option<UserId>,
}

/// The id under which the caller repeats its command: the header `x-command-id`; 400 without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandId(pub Uuid);

/// Verifies the tokens of callers.
#[derive(Debug)]
pub(crate) struct CallerVerifier {
    secret: WatchedSecret,
    validation: Validation,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    exp: i64,
    #[serde(default)]
    sub: Option<UserId>,
}

/// The internal port of `callee`: the layers of [`crate::public_stack`], and every route requires a valid `X-Internal-Token`
/// for `callee`, issued by a service that the topology lists as a caller. The secret is one text, or the current and the
/// next one separated by a comma.
pub fn internal(routes: Routes, secret: WatchedSecret, callee: &Service, settings: PortSettings) -> Router {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[callee.name]);
    validation.set_issuer(&agora_topology::callers(callee.name).collect::<Vec<_>>());
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    // Time is checked below: not only that it has not ended, but also that it does not last too long.
    validation.validate_exp = false;
    internal_stack(routes, CallerVerifier { secret, validation }, settings)
}

impl CallerVerifier {
    /// The caller that a request names, or 401.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let token = headers.get(TOKEN).and_then(|token| token.to_str().ok());
        token
            .and_then(|token| self.caller(token, SystemClock.now()))
            .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "INVALID_INTERNAL_TOKEN"))
    }

    fn caller(&self, token: &str, now: OffsetDateTime) -> Option<Caller> {
        let secrets = self.secret.current();
        let claims =
            secrets.expose().split(',').map(str::trim).filter(|secret| !secret.is_empty()).find_map(|secret| {
                let key = DecodingKey::from_secret(secret.as_bytes());
                let decoded = jsonwebtoken::decode::<Claims>(token, &key, &self.validation);
                decoded.map_err(|error| tracing::debug!(%error, "internal token refused")).ok()
            })?;
        let left = claims.claims.exp.checked_sub(now.unix_timestamp())?;
        let in_time = (-LEEWAY_SECONDS..=LIFE_SECONDS_MAX + LEEWAY_SECONDS).contains(&left);
        in_time.then_some(Caller { service: claims.claims.iss, subject: claims.claims.sub })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get().cloned();
        caller.ok_or_else(|| Problem::internal("a route asks which service calls, and its port is not internal"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CommandId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let id = parts.headers.get(COMMAND_ID).and_then(|id| id.to_str().ok()?.parse().ok());
        id.map(Self).ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "INVALID_COMMAND_ID").detail("send a UUID as X-Command-Id")
        })
    }
}
