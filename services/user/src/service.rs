//! Use cases: registration, login and sessions, profiles, address books.
//!
//! Contains authorisation of callers. Must not depend on HTTP, SQL or the hashing algorithm.

mod addresses;
mod attempts;
mod control;
mod email_change;
mod first_admin;
mod login;
mod password_reset;
mod personal_data;
mod revocations;
mod staff;

use std::{net::IpAddr, sync::Arc};

use agora_chassis::BoxError;
use agora_events::user::Preferences;
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Email, Ids, Role, SessionId, UserId};
use tokio::sync::Notify;

use crate::{
    domain::{Password, PreferencesChange, Profile, User},
    ports::{
        AccountControl, Addresses, EmailChanges, HashError, NewAccount, PasswordResets, Passwords, PersonalData,
        ResetTokens, Sessions, TokenError, Tokens, UserError, Users,
    },
};

pub use attempts::AttemptLimits;
pub use first_admin::Ensured;
pub use login::{Attempt, LoggedIn};
pub use revocations::{PublishError, RevocationPublisher};
pub use staff::{Staff, StaffLoginBegun};

/// The use cases of user accounts. Cheap to clone.
#[derive(Clone)]
pub struct UserService {
    /// The store of user accounts.
    pub users: Arc<dyn Users>,
    /// The same store, for administrators and for changed passwords.
    pub control: Arc<dyn AccountControl>,
    /// The store of sessions.
    pub sessions: Arc<dyn Sessions>,
    /// The store of address books.
    pub addresses: Arc<dyn Addresses>,
    pub passwords: Arc<dyn Passwords>,
    pub tokens: Arc<dyn Tokens>,
    /// Requests to set a new password and to change the e-mail address, and the tokens in the links of their mails.
    pub resets: Arc<dyn PasswordResets>,
    pub email_changes: Arc<dyn EmailChanges>,
    pub reset_tokens: Arc<dyn ResetTokens>,
    /// All of what is stored about a person.
    pub personal_data: Arc<dyn PersonalData>,
    /// Logins of the staff at an identity provider; `None` without one.
    pub staff: Option<Staff>,
    /// Notified by each request to set a new password.
    pub reset_requested: Arc<Notify>,
    /// Limits of logins and registrations.
    pub limits: Arc<AttemptLimits>,
    /// Generator of new ids.
    pub ids: Arc<dyn Ids>,
}

/// A request to register.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Must not belong to another account.
    pub email: Email,
    /// The chosen password.
    pub password: Password,
    /// The optional personal fields.
    pub profile: Profile,
    /// Which mails the user wants.
    pub preferences: Preferences,
    /// The client's address.
    pub ip: Option<IpAddr>,
}

/// The authenticated caller, from the access token.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The token's subject.
    pub user: UserId,
    /// The token's roles.
    pub roles: Vec<Role>,
    /// The session that the token was issued in.
    pub session: SessionId,
}

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown account, wrong password or blocked account; the client never learns which.
    #[error("the e-mail address or the password is wrong")]
    BadCredentials,
    /// Too many logins failed, or too many accounts were registered; the client never learns which.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When the next attempt is allowed, in seconds.
        retry_after_s: u32,
    },
    /// The refresh token is unknown, used, expired or its session has ended.
    #[error("the refresh token is not valid")]
    BadRefreshToken,
    /// The token of a mail's link is forged, used or expired.
    #[error("the token to set a new password is not valid")]
    BadResetToken,
    /// The token of a mail's link is forged, used, replaced or expired.
    #[error("the token to change the e-mail address is not valid")]
    BadEmailToken,
    /// The account has the new e-mail address already.
    #[error("the new e-mail address is the present one")]
    SameEmail,
    /// No administrator would be left.
    #[error("the last administrator cannot be erased")]
    LastAdmin,
    /// The session of the access token has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// An administrator may not block or erase their own account, or change its roles, like that of another user: no one might be
    /// left to undo it.
    #[error("the caller's own account cannot be blocked, erased or demoted like that of another user")]
    OwnAccount,
    /// The present password is wrong.
    #[error("the present password is wrong")]
    WrongPassword,
    /// It does not exist, or belongs to another user.
    #[error("it does not exist for this user")]
    NotFound,
    /// The shop has no identity provider for its staff.
    #[error("there is no identity provider")]
    NoStaffProvider,
    /// The login at the identity provider was not begun here, was ended before, has expired, or is not valid.
    #[error("the login of a member of the staff is not valid")]
    BadStaffLogin,
    /// No group of the person gives a role.
    #[error("the person has no role")]
    NoStaffRole,
    /// The identity provider does not answer as it should.
    #[error("the identity provider cannot be used")]
    StaffProviderUnavailable(#[source] BoxError),
    /// Password hashing failed or its queue is full.
    #[error("the password was not hashed")]
    Hash(#[from] HashError),
    /// No token was issued.
    #[error("no token was issued")]
    Token(#[from] TokenError),
    /// A store failed.
    #[error("the account was not read or written")]
    Store(#[from] UserError),
}

impl UserService {
    /// Creates an account with the role customer.
    pub async fn register(&self, new: Registration, dedup_key: &DedupKey) -> Result<Outcome<User>, Error> {
        let Registration { email, password, profile, preferences, ip } = new;
        self.limits.begin_registration(ip)?;
        let hash = self.passwords.hash(self.limits.source(Some(&email), ip), &password).await?;
        let (id, roles) = (UserId::new(self.ids.next()), vec![Role::Customer]);
        let account = NewAccount { id, email, profile, roles, preferences, hash };
        Ok(self.users.register(&account, dedup_key).await?)
    }

    /// The account, for its owner and for support; [`Error::NotFound`] for other callers.
    pub async fn read(&self, caller: &Caller, id: UserId) -> Result<User, Error> {
        caller.may(id, &[Role::Support])?;
        self.users.find(id).await?.ok_or(Error::NotFound)
    }

    /// Merges a change into the profile, for the account's owner and for admins.
    pub async fn update(
        &self,
        caller: &Caller,
        id: UserId,
        change: &Profile,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<User>, Error> {
        caller.may(id, &[])?;
        self.users.update(id, change, dedup_key).await?.ok_or(Error::NotFound)
    }

    /// Merges a change into the preferences, for the account's owner and for admins.
    pub async fn set_preferences(
        &self,
        caller: &Caller,
        id: UserId,
        change: PreferencesChange,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<User>, Error> {
        caller.may(id, &[])?;
        self.users.set_preferences(id, change, dedup_key).await?.ok_or(Error::NotFound)
    }
}

impl Caller {
    /// For the account's owner, admins and holders of these roles.
    fn may(&self, id: UserId, roles: &[Role]) -> Result<(), Error> {
        if self.user == id || Role::grants(&self.roles, roles) { Ok(()) } else { Err(Error::NotFound) }
    }
}
