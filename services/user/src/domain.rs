//! Accounts, credentials, sessions and addresses.
//!
//! Values are validated when they are parsed. Must not depend on HTTP, a database, a clock or cryptography.

mod account;
mod address;
mod breached;
mod credentials;
mod export;
mod session;
mod staff;
mod text;

pub use account::{PreferencesChange, Profile, Status, User, revoked};
pub use address::{ADDRESSES_MAX, BookEntry};
pub use credentials::{Credentials, Password, PasswordHash, opaque_string};
pub use export::{AccountExport, RequestedEmailChange, RequestedReset, StoredSession};
pub use session::{
    AccessToken, Device, EMAIL_CHANGE_LIFETIME, PASSWORD_RESET_LIFETIME, REFRESH_GRACE, REVOCATION_MARGIN,
    RefreshToken, Revocation, SESSION_IDLE, SESSION_LIFETIME, STAFF_LOGIN_LIFETIME, STAFF_SESSION_LIFETIME, Session,
    TokenDigest,
};
pub use staff::{BegunStaffLogin, GroupRoles, InvalidGroupRoles, StaffIdentity};
pub use text::{Phone, Text, Username};

use agora_vocab::Invalid;

/// Collects the errors of several fields, so that a client receives all of them at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<Invalid>);

impl Violations {
    /// The parsed value; records the error and returns `None` otherwise.
    pub fn check<T>(&mut self, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.0.push(invalid)).ok()
    }

    /// The same for an optional field: an absent field is no error.
    pub fn check_optional<T>(
        &mut self,
        text: Option<String>,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        text.and_then(|text| self.check(parse(&text)))
    }

    /// Returns `value` if no error was recorded.
    pub fn unless_any<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }

    /// The recorded errors, in the order of checking.
    pub fn into_inner(self) -> Vec<Invalid> {
        self.0
    }
}

impl From<Vec<Invalid>> for Violations {
    fn from(invalid: Vec<Invalid>) -> Self {
        Self(invalid)
    }
}
