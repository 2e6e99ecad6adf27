//! Other programs that this service calls.

pub mod oidc;
