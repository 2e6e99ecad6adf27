//! What lies outside of the accounts themselves: stored users, sessions and addresses, the hashing pool, the signing key.
//!
//! Each method names one atomic operation. Knows neither SQL nor HTTP.

use std::net::IpAddr;

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{AddressId, Email, Role, Secret, SessionId, UserId};
use async_trait::async_trait;

use crate::domain::{
    AccessToken, BookEntry, Credentials, Password, PasswordHash, Profile, RefreshToken, TokenDigest, User,
};

/// Any error of a store, with its sources.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Stored accounts.
#[async_trait]
pub trait Users: Send + Sync {
    /// Stores an account and the fact `user.registered`, or refuses an address or public name that is taken.
    async fn register(&self, account: &NewAccount, dedup_key: &DedupKey) -> Result<Outcome<User>, StoreError>;

    /// The account of that id.
    async fn find(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The account of that address, with what proves it.
    async fn credentials(&self, email: &Email) -> Result<Option<Credentials>, StoreError>;

    /// Merges what `change` gives into the profile and stores the fact `user.updated`; `None`: no such account.
    async fn update(
        &self,
        id: UserId,
        change: &Profile,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<User>>, StoreError>;

    /// Puts `to` in place of `from`, a hash of the same password; does nothing if the hash is no longer `from`.
    async fn rehash(&self, id: UserId, from: &PasswordHash, to: &PasswordHash) -> Result<(), StoreError>;

    /// Makes the account an active admin. With a hash, that becomes the password and every session ends. Repeating
    /// it changes nothing.
    async fn make_admin(&self, id: UserId, password: Option<&PasswordHash>) -> Result<(), StoreError>;
}

/// An account that is to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub id: UserId,
    /// Its address.
    pub email: Email,
    /// What its owner told.
    pub profile: Profile,
    /// What he may do.
    pub roles: Vec<Role>,
    /// His password's hash.
    pub hash: PasswordHash,
}

/// Stored logins and the digests of their refresh tokens.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Stores a session with its first refresh token, and the fact `user.login`.
    async fn start(&self, session: &NewSession, dedup_key: &DedupKey) -> Result<Outcome<()>, StoreError>;

    /// Puts `next` in place of the `presented` refresh token. A token that was used before ends its whole session:
    /// one of the two who hold it has stolen it.
    async fn rotate(&self, presented: TokenDigest, next: TokenDigest) -> Result<Rotation, StoreError>;

    /// Ends the session that the token belongs to; does nothing for an unknown one.
    async fn end(&self, presented: TokenDigest) -> Result<(), StoreError>;

    /// The account of a session that has not ended, if it may log in.
    async fn live(&self, id: SessionId, user: UserId) -> Result<Option<User>, StoreError>;

    /// Forgets at most `limit` sessions that are past their absolute end, with their tokens; returns how many.
    async fn forget_expired(&self, limit: u32) -> Result<u64, StoreError>;
}

/// A session that is to be started.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Who logs in.
    pub user: UserId,
    /// His address, for the fact.
    pub email: Email,
    /// The first refresh token.
    pub token: TokenDigest,
    /// Where the login came from, as the gateway saw it.
    pub ip: Option<IpAddr>,
}

/// What became of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The next token counts.
    Rotated {
        /// The session.
        session: SessionId,
        /// Its user, who may log in.
        user: Box<User>,
    },
    /// The token counts no more, and why.
    Refused(Refusal),
}

/// Why a refresh token was refused. Told to logs and metrics, never to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody was given it.
    Unknown,
    /// Its session ended, by logout, by reuse of a token, or by its age.
    Ended,
    /// It lay unused for too long.
    Idle,
    /// It was used before; its session has ended now.
    Reused,
    /// Its user is blocked.
    Blocked,
}

/// Stored address books.
#[async_trait]
pub trait Addresses: Send + Sync {
    /// The whole book, oldest entry first; it holds at most [`crate::domain::ADDRESSES_MAX`].
    async fn list(&self, owner: UserId) -> Result<Vec<BookEntry>, StoreError>;

    /// An entry of that owner's book.
    async fn find(&self, owner: UserId, id: AddressId) -> Result<Option<BookEntry>, StoreError>;

    /// Adds an entry, or refuses with [`StoreError::BookFull`].
    async fn add(
        &self,
        owner: UserId,
        entry: &BookEntry,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<BookEntry>, StoreError>;

    /// Puts another address in place of an entry's; `None`: the book has no such entry.
    async fn replace(
        &self,
        owner: UserId,
        entry: &BookEntry,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<BookEntry>>, StoreError>;

    /// Removes an entry; `None`: the book has no such entry.
    async fn remove(
        &self,
        owner: UserId,
        id: AddressId,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<()>>, StoreError>;
}

/// Hashing of passwords: bounded, because each hash costs memory and time.
#[async_trait]
pub trait Passwords: Send + Sync {
    /// A fresh hash.
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError>;

    /// Whether `password` is what `against` was made of. Without a hash it works as long and says no, so that a
    /// stranger cannot tell whether there is one.
    async fn verify(&self, password: &Secret, against: Option<&PasswordHash>) -> Result<Verdict, HashError>;
}

/// Whether a password is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not.
    Wrong,
    /// It is.
    Right,
    /// It is, but the hash was made with other parameters than those in use now.
    RightButOutdated,
}

/// Why nothing was hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many wait already.
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    /// The algorithm or its thread failed.
    #[error("hashing a password")]
    Failed(#[source] BoxError),
}

/// Minting of tokens.
pub trait Tokens: Send + Sync {
    /// A signed access token.
    fn access(&self, user: &User, session: SessionId) -> Result<AccessToken, TokenError>;

    /// A fresh refresh token and its digest.
    fn refresh(&self) -> Result<(RefreshToken, TokenDigest), TokenError>;

    /// The digest of a refresh token that somebody presents.
    fn digest(&self, presented: &Secret) -> TokenDigest;
}

/// Why no token was minted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is no signing key that the key set names.
    #[error("no usable signing key")]
    NoKey,
    /// Signing or drawing random bytes failed.
    #[error("minting a token")]
    Failed(#[source] BoxError),
}

/// Why a store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another account has the address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another account has the public name.
    #[error("the public name is taken")]
    UsernameTaken,
    /// The address book holds as many entries as it may.
    #[error("the address book is full")]
    BookFull,
    /// There is no such user to own it.
    #[error("there is no such user")]
    NoOwner,
    /// The idempotency key was used with another request.
    #[error("the idempotency key belongs to another request")]
    KeyMismatch,
    /// The request of the same idempotency key is still being worked on.
    #[error("the request of this idempotency key is still running")]
    KeyRunning,
    /// The store does not answer; it may later.
    #[error("the store does not answer")]
    Unavailable(#[source] BoxError),
    /// The store answered what it never should.
    #[error("the store failed")]
    Failed(#[source] BoxError),
}
