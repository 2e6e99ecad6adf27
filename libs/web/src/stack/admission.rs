//! Whether a request may reach its route: its caller or user, by the policy of the route.

use std::time::Duration;

use agora_api::Policy;
use agora_chassis::trace;
use agora_vocab::Role;
use axum::extract::Request;

use super::Declared;
use crate::{
    identity::{self, Identity, Unauthenticated},
    problem::Problem,
    verifier::TokenVerifier,
};

/// Age of the copy of the revoked sessions beyond which a token grants no role: a stolen token of an administrator would be worth
/// more than the wait. Longer than a restart of Redis; shoppers' tokens are accepted at any age.
const REVOCATIONS_AGE_MAX: Duration = Duration::from_secs(30);

/// Checks the token of a request against the port and the policy of its route. The caller or user is in the extensions of
/// the result.
pub(super) fn admit(policy: Policy, declared: &Declared, mut request: Request) -> Result<Request, Problem> {
    if let Some(callers) = &declared.callers {
        let caller = callers.admit(request.headers(), policy)?;
        if let Some(subject) = caller.subject {
            trace::note_user(subject);
        }
        request.extensions_mut().insert(caller);
    }
    let (required, roles) = match policy {
        Policy::Open => return Ok(request),
        Policy::Service(_) if declared.callers.is_some() => return Ok(request),
        Policy::Service(_) => return Err(Problem::internal("a route for services is on a port for users")),
        Policy::Optional => (false, None),
        Policy::User => (true, None),
        Policy::Role(roles) => (true, Some(roles)),
    };
    let identity = match identity::read(request.headers(), declared.settings.verifier.as_ref()) {
        // A page that anyone may read must not fail because a session ended.
        Err(Unauthenticated::Expired | Unauthenticated::SessionEnded) if !required => None,
        result => result?,
    };
    match identity {
        None if required => return Err(identity::missing()),
        None => {}
        Some(identity) => {
            trace::note_user(identity.user);
            if let Some(roles) = roles {
                grants(roles, &identity, declared)?;
            }
            request.extensions_mut().insert(identity);
        }
    }
    Ok(request)
}

/// Whether the token has one of the roles, and its session is known not to have ended.
fn grants(roles: &[Role], identity: &Identity, declared: &Declared) -> Result<(), Problem> {
    if !identity.has_any(roles) {
        return Err(identity::forbidden(roles));
    }
    let age = declared.settings.verifier.as_ref().and_then(TokenVerifier::age_of_revocations);
    if age.is_some_and(|age| age > REVOCATIONS_AGE_MAX) {
        return Err(identity::revocations_unknown(roles));
    }
    Ok(())
}
