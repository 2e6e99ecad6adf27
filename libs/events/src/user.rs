//! `user-events`: accounts. No password, no token; the e-mail address because mails go there.

use agora_vocab::{SessionId, UserId};
use serde::{Deserialize, Serialize};

crate::events! {
    /// Events of `user-events`, keyed by user.
    UserEvent on crate::topics::USER;
    /// An account was made.
    "user.registered" => Registered(Account),
    /// A user logged in.
    "user.login" => Login(Login),
    /// A profile changed; carries the new one.
    "user.updated" => Updated(Account),
}

/// An account as others may know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    pub user_id: UserId,
    /// Where mails go.
    pub email: String,
    /// The user's full name, if known.
    pub name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    pub user_id: UserId,
    /// Where mails go.
    pub email: String,
    /// The session that began.
    pub session_id: SessionId,
    pub login_method: String,
}
