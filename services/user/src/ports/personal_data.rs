//! What is stored about a person: given out, and erased.

use agora_vocab::UserId;
use async_trait::async_trait;

use super::UserError;
use crate::domain::{AccountExport, PasswordHash};

/// All tables of this service, as far as they are about one person.
#[async_trait]
pub trait PersonalData: Send + Sync {
    /// Everything that is stored about the user at one moment; at most `limit` sessions and as many requests to set a new
    /// password. `None` if there is no such account.
    async fn export(&self, id: UserId, limit: u32) -> Result<Option<AccountExport>, UserError>;

    /// Erases an account: ends its sessions, overwrites or deletes what all tables hold about the person, and stores the event
    /// `user.erased`. Events that have not left are withdrawn. With `verified`, only if the stored password hash is that one.
    async fn erase(&self, id: UserId, verified: Option<&PasswordHash>) -> Result<Erased, UserError>;

    /// Whether the account was erased.
    async fn is_erased(&self, id: UserId) -> Result<bool, UserError>;
}

/// Result of erasing an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// By this call.
    Now,
    /// By an earlier call.
    Before,
    /// Not erased: no other active administrator would be left.
    LastAdmin,
    /// Not erased: the password was changed since it was verified.
    PasswordChanged,
    /// There is no such account.
    Unknown,
}
