//! Everything that is stored about a user but hashes and tokens.

use agora_vocab::Email;
use time::OffsetDateTime;

use super::{BookEntry, Session, User};

/// The account, its address book, its sessions and its requests, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountExport {
    /// That moment, by the database's clock.
    pub exported_at: OffsetDateTime,
    pub user: User,
    /// Time of the last change of the account.
    pub updated_at: OffsetDateTime,
    /// The oldest one first.
    pub addresses: Vec<BookEntry>,
    /// The newest one first.
    pub sessions: Vec<StoredSession>,
    /// Whether older sessions are left out.
    pub has_more_sessions: bool,
    pub email_change: Option<RequestedEmailChange>,
    /// The newest one first.
    pub password_resets: Vec<RequestedReset>,
}

/// A session that may have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    pub session: Session,
    pub ended_at: Option<OffsetDateTime>,
    /// Why it ended before its time, as a code.
    pub end_reason: Option<String>,
}

/// A change of the e-mail address that waits for its confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedEmailChange {
    pub email: Email,
    pub requested_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// A request to set a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedReset {
    pub requested_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub used_at: Option<OffsetDateTime>,
}
