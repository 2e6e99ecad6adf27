//! HTTP for services on axum: extractors that answer with problems, authentication, idempotency keys, pages, internal
//! tokens, and the layers of every port.
//!
//! Must not depend on any route, use case or store.

mod access_log;
mod audit_log;
mod body;
mod caching;
mod caller_address;
mod card;
mod checks;
mod derived_token;
mod detached;
mod etag;
mod fault;
mod id_list;
mod idempotency;
mod identity;
mod internal;
mod json;
mod page;
mod page_policy;
mod problem;
mod query;
mod reply;
mod request_span;
mod route_metrics;
mod routes;
mod stack;
mod strict;
mod token_cache;
mod token_settings;
mod verifier;

pub use access_log::AccessLog;
pub use body::BodyFault;
pub use caching::tagged_json;
pub use caller_address::caller_address;
pub use derived_token::{derived_token, derived_tokens, verify_derived_token};
pub use detached::{DetachedWork, WORK_TIME_MAX};
pub use etag::{EntityTag, EntityTags, etag};
pub use id_list::parse_ids;
pub use idempotency::{Command, Idempotency};
pub use identity::Identity;
pub use internal::{Caller, CommandId, internal};
pub use json::{Json, json_of, json_value};
pub use page::{PageQuery, PageRequest, Start, decode_cursor, encode_cursor, page_after};
pub use page_policy::page_policy;
pub use problem::Problem;
pub use query::{Path, Query};
pub use reply::{created, no_content};
pub use routes::Routes;
pub use stack::{PORT_TIMEOUT, PortLayer, PortSettings, STREAM_TIMEOUT, layered, public_stack};
pub use token_settings::TokenSettings;
pub use verifier::{TokenError, TokenVerifier};
