//! HTTP API: the router of the public port and the mapping from errors to problem responses. Independent of SQL.

mod public;
mod wire;

use agora_chassis::{Process, Routers};
use agora_web::{PortSettings, Problem, TokenVerifier, public_stack};
use axum::Router;
use http::StatusCode;

use crate::{
    ports::StoreError,
    service::{Error, SearchService},
};

/// Seconds after which a search without an index may be repeated.
const BUILD_RETRY_SECONDS: u32 = 1;

/// Builds the router of the public port, including all middleware. There is no internal port.
pub fn routers(service: SearchService, verifier: TokenVerifier, process: &Process) -> Routers {
    let settings = PortSettings { verifier: Some(verifier), ..PortSettings::of(process) };
    Routers { public: public_stack(public::routes().with_state(service), settings), internal: Router::new() }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotBuilt => Self::new(StatusCode::SERVICE_UNAVAILABLE, "INDEX_NOT_BUILT")
                .detail("the index is being built from the catalog for the first time")
                .retry_after(BUILD_RETRY_SECONDS),
            Error::CatalogUnavailable(error) => Self::unavailable(error),
            Error::Store(StoreError::Unavailable(source)) => Self::unavailable(source),
            Error::Store(error) => Self::internal(error),
        }
    }
}
