//! The axum edge of a service: bodies and queries whose faults are problems, who is asking, idempotency keys, pages,
//! internal tokens, and the layers that every port has.
//!
//! Knows HTTP; it must not know any route, any use case or any store.

mod card;
mod etag;
mod fault;
mod idempotency;
mod identity;
mod internal;
mod json;
mod page;
mod problem;
mod query;
mod reply;
mod stack;
mod token_settings;
mod verifier;

pub use etag::{IfMatch, etag};
pub use idempotency::{Command, Idempotency};
pub use identity::{Admin, Identity};
pub use internal::{Caller, CommandId, internal};
pub use json::Json;
pub use page::{PageQuery, PageRequest, Start, decode_cursor, encode_cursor};
pub use problem::Problem;
pub use query::{Path, Query};
pub use reply::{created, no_content};
pub use stack::{HttpLimits, public_stack};
pub use token_settings::TokenSettings;
pub use verifier::{TokenError, TokenVerifier};
