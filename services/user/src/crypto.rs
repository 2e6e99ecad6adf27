//! Cryptography: password hashing and signed tokens, as implementations of ports.
//!
//! Must not depend on use cases, HTTP or SQL.

mod fair_queue;
mod passwords;
mod tokens;

pub use self::{
    passwords::Argon2Passwords,
    tokens::{Issue, SignedTokens},
};
