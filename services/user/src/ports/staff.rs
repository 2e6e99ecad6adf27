//! Logins of the staff at an identity provider, and the accounts that belong to them.

use agora_chassis::BoxError;
use agora_vocab::{Secret, UserId};
use async_trait::async_trait;

use super::UserError;
use crate::domain::{BegunStaffLogin, StaffIdentity, TokenDigest, User};

/// The identity provider of the staff.
#[async_trait]
pub trait StaffProvider: Send + Sync {
    /// Where the browser has to go to log in. The provider sends `state` back with the code.
    async fn authorization_url(&self, state: &Secret, begun: &BegunStaffLogin) -> Result<String, ProviderError>;

    /// Exchanges the code that the browser brought back for the verified identity of the person. A code is valid once.
    async fn identity(&self, code: &Secret, begun: &BegunStaffLogin) -> Result<StaffIdentity, ProviderError>;
}

/// Why a provider gave no identity.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The code or the ID token is not valid; says why, for the log.
    #[error("the login is not valid: {0}")]
    Refused(&'static str),
    /// The provider cannot be reached, does not answer, or does not know this shop.
    #[error("the identity provider cannot be used")]
    Unavailable(#[source] BoxError),
}

/// The store of begun logins and of the accounts of the staff.
#[async_trait]
pub trait StaffAccounts: Send + Sync {
    /// Stores a login that can be ended within [`crate::domain::STAFF_LOGIN_LIFETIME`] with the state of this digest.
    async fn begin_login(&self, state: TokenDigest, begun: &BegunStaffLogin) -> Result<(), UserError>;

    /// Removes a login. `None` if it was ended before, has expired or was never begun.
    async fn take_login(&self, state: TokenDigest) -> Result<Option<BegunStaffLogin>, UserError>;

    /// The account of the identity, with the roles of the identity: created with the id `new` at the first login. Other roles
    /// than before end its sessions. `None` if the account is blocked. Fails with [`UserError::EmailTaken`] if another account
    /// has the e-mail address at the first login.
    async fn enter(&self, identity: &StaffIdentity, new: UserId) -> Result<Option<User>, UserError>;

    /// Deletes logins that have expired. Returns the number deleted.
    async fn delete_expired_logins(&self) -> Result<u64, UserError>;
}
