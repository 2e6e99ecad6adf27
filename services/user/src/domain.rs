//! What an account is: who it belongs to, what proves it, where parcels go.
//!
//! Values are parsed once and trusted from then on. Knows no HTTP, no database, no clock and no cryptography.

mod account;
mod address;
mod credentials;
mod session;
mod text;

pub use account::{Profile, Status, User};
pub use address::{ADDRESSES_MAX, Address, BookEntry, Country};
pub use credentials::{Credentials, Password, PasswordHash};
pub use session::{AccessToken, RefreshToken, SESSION_IDLE, SESSION_LIFETIME, TokenDigest};
pub use text::{Phone, Text, Username};

use agora_vocab::Invalid;

/// Refusals of several fields, so that a client hears of all of them at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<Invalid>);

impl Violations {
    /// The parsed value, or nothing and one refusal more.
    pub fn check<T>(&mut self, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.0.push(invalid)).ok()
    }

    /// The same for a field that may be absent: absent is fine, refused is not.
    pub fn check_optional<T>(
        &mut self,
        text: Option<String>,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        text.and_then(|text| self.check(parse(&text)))
    }

    /// `value` unless something was refused.
    pub fn unless_any<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }

    /// Each refusal, in the order of checking.
    pub fn into_inner(self) -> Vec<Invalid> {
        self.0
    }
}
