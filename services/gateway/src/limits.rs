//! Limits of requests: by the address of a client and by account, for each class of routes, shared by all replicas of the
//! gateway through Redis. Must not know how a request is forwarded.

mod address;
mod layer;
mod local;
mod rate;
mod settings;

pub use layer::{CallLimits, LimitLayer};
pub use rate::RateLimits;
