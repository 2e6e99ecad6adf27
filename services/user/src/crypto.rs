//! Cryptography: password hashing and signed tokens, as implementations of ports.
//!
//! Must not depend on use cases, HTTP or SQL.

mod fair_queue;
mod passwords;
mod reset_tokens;
mod tokens;

pub use self::{
    passwords::Argon2Passwords,
    reset_tokens::DerivedTokens,
    tokens::{Issue, SignedTokens},
};
