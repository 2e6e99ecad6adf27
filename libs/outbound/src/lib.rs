//! HTTP to other services: deadlines, bounded retries, a circuit breaker, trace headers, internal tokens.
//!
//! Knows no route and no body of any service; a typed client per callee lives in the service that calls. The gateway uses
//! [`transport`] alone. [`foreign`] sends to addresses that others name.

pub mod breaker;
mod client;
mod client_span;
mod dns;
mod failure;
pub mod foreign;
pub mod retry;
mod signer;
pub mod transport;

pub use client::{CallLimits, Client};
pub use failure::{CallError, Failure};
pub use signer::{InternalSigner, SignError};
