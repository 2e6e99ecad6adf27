//! What somebody can ask of his account: register, log in and stay so, read and change himself, keep addresses.
//!
//! Decides who gets what; knows neither HTTP nor SQL nor how a password is hashed.

mod addresses;
mod first_admin;
mod login;

use std::sync::Arc;

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Email, Ids, Role, SessionId, UserId};

use crate::{
    domain::{Password, Profile, User},
    ports::{Addresses, HashError, NewAccount, Passwords, Sessions, StoreError, TokenError, Tokens, Users},
};

pub use first_admin::Ensured;
pub use login::{Attempt, LoggedIn};

/// The accounts of one marketplace.
#[derive(Clone)]
pub struct Accounts {
    /// Stored accounts.
    pub users: Arc<dyn Users>,
    /// Stored logins.
    pub sessions: Arc<dyn Sessions>,
    /// Stored address books.
    pub addresses: Arc<dyn Addresses>,
    /// The hashing pool.
    pub passwords: Arc<dyn Passwords>,
    /// The signing key.
    pub tokens: Arc<dyn Tokens>,
    /// Fresh ids.
    pub ids: Arc<dyn Ids>,
}

/// Somebody who registers.
#[derive(Clone, Debug)]
pub struct Registration {
    /// His address.
    pub email: Email,
    /// The password of his choice.
    pub password: Password,
    /// What he tells about himself.
    pub profile: Profile,
}

/// Who asks, as his access token says.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The account.
    pub user: UserId,
    /// What it may do.
    pub roles: Vec<Role>,
    /// The login that the token comes from.
    pub session: SessionId,
}

/// Why something asked was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such account, no such password, or a blocked account: never said which.
    #[error("the e-mail address or the password is wrong")]
    BadCredentials,
    /// The refresh token counts no more.
    #[error("the refresh token is not valid")]
    BadRefreshToken,
    /// The session of the access token has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// There is none, or it is somebody else's.
    #[error("there is no such thing for this user")]
    NotFound,
    /// The hashing pool refused or failed.
    #[error("the password was not hashed")]
    Hash(#[from] HashError),
    /// No token was minted.
    #[error("no token was minted")]
    Token(#[from] TokenError),
    /// A store refused or failed.
    #[error("the account was not read or written")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// Makes a customer's account.
    pub async fn register(&self, new: Registration, dedup_key: &DedupKey) -> Result<Outcome<User>, Error> {
        let Registration { email, password, profile } = new;
        let hash = self.passwords.hash(&password).await?;
        let account =
            NewAccount { id: UserId::new(self.ids.next()), email, profile, roles: vec![Role::Customer], hash };
        Ok(self.users.register(&account, dedup_key).await?)
    }

    /// The account, for its owner and for admins; for everybody else it is not there.
    pub async fn read(&self, asker: &Asker, id: UserId) -> Result<User, Error> {
        asker.may_see(id)?;
        self.users.find(id).await?.ok_or(Error::NotFound)
    }

    /// Merges a change into the profile, for the account's owner and for admins.
    pub async fn update(
        &self,
        asker: &Asker,
        id: UserId,
        change: &Profile,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<User>, Error> {
        asker.may_see(id)?;
        self.users.update(id, change, dedup_key).await?.ok_or(Error::NotFound)
    }
}

impl Asker {
    fn may_see(&self, id: UserId) -> Result<(), Error> {
        if self.user == id || self.roles.contains(&Role::Admin) { Ok(()) } else { Err(Error::NotFound) }
    }
}
