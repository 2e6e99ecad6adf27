//! HTTP API: the router of the public port and the mapping from errors to problem responses. Independent of SQL.

mod public;

use std::time::Duration;

use agora_chassis::{Process, Routers};
use agora_outbox::DedupKey;
use agora_vocab::UserId;
use agora_web::{Idempotency, PortSettings, Problem, TokenVerifier, public_stack};
use axum::Router;
use http::StatusCode;

use crate::{
    ports::{StoreError, VoteError},
    service::{Error, RecommendationService},
};

/// Builds the router of the public port, including all middleware. The service takes no commands of other services.
pub fn routers(service: RecommendationService, verifier: TokenVerifier, process: &Process) -> Routers {
    let settings = PortSettings { verifier: Some(verifier), ..PortSettings::of(process) };
    Routers { public: public_stack(public::routes().with_state(service), settings), internal: Router::new() }
}

/// The deduplication key of a user's request; `None` without an `Idempotency-Key`.
fn request(user: UserId, idempotency: Option<Idempotency>) -> DedupKey {
    match idempotency {
        Some(Idempotency { key, route, hash }) => DedupKey::Request { scope: user.to_string(), key, route, hash },
        None => DedupKey::None,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::TooManyRequests { retry_after } => Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS")
                .detail("a user may send 100 requests a minute here")
                .retry_after(whole_seconds(retry_after)),
            Error::Vote(VoteError::UnknownProduct) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "UNKNOWN_PRODUCT")
                .field("productId", "is not in the catalog"),
            Error::Vote(VoteError::Store(error)) | Error::Store(error) => store(error),
        }
    }
}

/// Rounded up: a client that waits so long is accepted.
fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

fn store(error: StoreError) -> Problem {
    match error {
        StoreError::KeyReused => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
            .detail("this Idempotency-Key was sent with another request: use a fresh one"),
        StoreError::Running => Problem::new(StatusCode::CONFLICT, "REQUEST_IN_PROGRESS")
            .detail("the same request has not ended")
            .retry_after(1),
        StoreError::Unavailable(source) => Problem::unavailable(source),
        StoreError::Broken(source) => Problem::internal(source),
    }
}
