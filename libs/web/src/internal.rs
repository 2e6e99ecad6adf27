//! Internal ports: each request needs a fresh token of an allowed caller, signed with the key of this caller and callee.
//! Allowed callers come from the topology, and those of a route from its declaration.

use agora_api::Policy;
use agora_chassis::{SystemClock, WatchedSecret};
use agora_keyring::ParsedKeys;
use agora_topology::Service;
use agora_vocab::{Clock as _, UserId};
use axum::{
    Router,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, StatusCode, request::Parts},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous};
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
    keys: ParsedKeys,
    callee: &'static str,
    validation: Validation,
}

/// The caller that a token names, before its signature is verified: says which key to verify it with.
#[derive(Deserialize)]
struct Named {
    iss: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    exp: i64,
    #[serde(default)]
    sub: Option<UserId>,
}

/// The internal port of `callee`: the layers of [`crate::public_stack`], and every route requires a valid `X-Internal-Token`
/// for `callee`, issued by a service that the topology lists as a caller. The secret is what [`agora_keyring::KeySet`] reads.
pub fn internal(routes: Routes, secret: WatchedSecret, callee: &Service, settings: PortSettings) -> Router {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[callee.name]);
    validation.set_issuer(&agora_topology::callers(callee.name).collect::<Vec<_>>());
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    // Time is checked below: not only that it has not ended, but also that it does not last too long.
    validation.validate_exp = false;
    let verifier = CallerVerifier { secret, keys: ParsedKeys::default(), callee: callee.name, validation };
    internal_stack(routes, verifier, settings)
}

impl CallerVerifier {
    /// The caller that a request names, or 401; 403 if the policy of the route does not allow this caller.
    pub(crate) fn admit(&self, headers: &HeaderMap, policy: Policy) -> Result<Caller, Problem> {
        let token = headers.get(TOKEN).and_then(|token| token.to_str().ok());
        let caller = token.and_then(|token| self.caller(token, SystemClock.now()));
        let caller = caller.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "INVALID_INTERNAL_TOKEN"))?;
        if let Policy::Service(allowed) = policy {
            caller.is_one_of(allowed)?;
        }
        Ok(caller)
    }

    fn caller(&self, token: &str, now: OffsetDateTime) -> Option<Caller> {
        let Named { iss } = dangerous::insecure_decode_claims(token).ok()?;
        let keys = self.keys.of(&self.secret.current()).of_calls(&iss, self.callee);
        let claims = keys.iter().find_map(|key| {
            let key = DecodingKey::from_secret(key.expose().as_bytes());
            let decoded = jsonwebtoken::decode::<Claims>(token, &key, &self.validation);
            decoded.map_err(|error| tracing::debug!(%error, "internal token refused")).ok()
        })?;
        let Claims { iss, exp, sub } = claims.claims;
        let left = exp.checked_sub(now.unix_timestamp())?;
        let in_time = (-LEEWAY_SECONDS..=LIFE_SECONDS_MAX + LEEWAY_SECONDS).contains(&left);
        in_time.then_some(Caller { service: iss, subject: sub })
    }
}

impl Caller {
    /// Whether the token was issued for calls on behalf of `user`, or 403. A command for one user must not be sent with the
    /// token of a call for another one.
    pub fn acts_for(&self, user: UserId) -> Result<(), Problem> {
        if self.subject == Some(user) {
            return Ok(());
        }
        tracing::warn!(caller = self.service.as_str(), "an internal call is for another user than its token");
        Err(Problem::new(StatusCode::FORBIDDEN, "WRONG_SUBJECT")
            .detail("X-Internal-Token must name in `sub` the user for whom the call is"))
    }

    /// Whether the service may call a route with these callers, or 403.
    fn is_one_of(&self, callers: &[&str]) -> Result<(), Problem> {
        if callers.contains(&self.service.as_str()) {
            return Ok(());
        }
        tracing::warn!(caller = self.service.as_str(), "a service called a route that is not for it");
        Err(Problem::new(StatusCode::FORBIDDEN, "CALLER_NOT_ALLOWED")
            .detail(format!("this route is called by {}", callers.join(" and "))))
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
