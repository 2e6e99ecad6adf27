//! `user-events`: accounts. No password, no token; the e-mail address because mails go there.

use agora_vocab::{EmailChangeId, PasswordResetId, SessionId, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

crate::events! {
    /// Events of `user-events`, keyed by user.
    UserEvent on crate::topics::USER;
    /// An account was made.
    "user.registered" => Registered(Account),
    /// A user logged in.
    "user.login" => Login(Login),
    /// A profile changed; carries the new one.
    "user.updated" => Updated(Account),
    /// A user asked to set a new password.
    "user.password-reset-requested" => PasswordResetRequested(PasswordReset),
    /// The address of an account changed.
    "user.email-changed" => EmailChanged(EmailChange),
    /// Sessions of a user were ended by the shop.
    "user.revoked" => Revoked(Revocation),
    /// A user asked to change the address of the account.
    "user.email-change-requested" => EmailChangeRequested(EmailChangeRequest),
    /// An account was erased: the last event of its user. A consumer deletes what it stores about the person.
    "user.erased" => Erased(Erasure),
}

/// An account as others may know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Account {
    pub user_id: UserId,
    /// Where mails go.
    pub email: String,
    /// The user's full name, if known.
    pub name: Option<String>,
    /// Which mails the user wants. All of them in events of releases that did not know preferences.
    #[serde(default)]
    pub preferences: Preferences,
    /// Whether an administrator has blocked the account. False in events of releases that did not say so.
    #[serde(default)]
    pub blocked: bool,
}

/// Which mails a user wants besides those about the account's security and about orders and payments themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Preferences {
    /// Sales and newsletters.
    #[serde(default = "wanted")]
    pub promotions: bool,
    /// The progress of an order between payment and delivery.
    #[serde(default = "wanted")]
    pub order_updates: bool,
    /// Products that fit earlier purchases.
    #[serde(default = "wanted")]
    pub recommendations: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { promotions: wanted(), order_updates: wanted(), recommendations: wanted() }
    }
}

/// Of a mail about which a user has said nothing.
const fn wanted() -> bool {
    true
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Login {
    pub user_id: UserId,
    /// Where mails go.
    pub email: String,
    /// The session that began.
    pub session_id: SessionId,
    pub login_method: String,
}

/// A request to set a new password. The mail's link carries a token that both services derive from the request's id and a
/// shared secret: none is in the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PasswordReset {
    pub user_id: UserId,
    /// Where mails go.
    pub email: String,
    pub reset_id: PasswordResetId,
    /// When the link stops working.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct EmailChange {
    pub user_id: UserId,
    /// Where mails went before: the warning goes there.
    pub previous_email: String,
    /// Where mails go from now on.
    pub email: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    pub user_id: UserId,
    /// The session that ended; absent if all of the user's did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Why, as a code: `refresh-token-reused`, `password-changed`, `blocked`, `roles-changed`.
    pub reason: String,
}

/// A request to change the address of an account. The link in the mail to the new address carries a token that both services
/// derive from the request's id and a shared secret: none is in the event. It is the same whether or not another account has
/// the new address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct EmailChangeRequest {
    pub user_id: UserId,
    /// Where mails go until the change is confirmed: a notice goes there.
    pub email: String,
    /// The address to confirm. Not known to be the user's.
    pub new_email: String,
    pub change_id: EmailChangeId,
    /// When the link stops working.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// An erased account. Carries no personal data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    pub user_id: UserId,
}
