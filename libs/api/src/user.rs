//! Bodies of the user service: accounts, sessions, addresses.

mod addresses;
pub mod routes;

use agora_vocab::{Role, SessionId, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use addresses::{Address, PostalAddress};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Register {
    /// An e-mail address, unique in the shop.
    pub email: String,
    /// 8 to 128 characters.
    pub password: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firstname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// A public name, unique in the shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The whole name, where it has no two parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// What is absent is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferences: Option<UpdatePreferences>,
}

/// Which mails a user wants, besides those that concern orders, payments and the security of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Preferences {
    /// Sales and newsletters.
    pub promotions: bool,
    /// Progress of orders between payment and delivery.
    pub order_updates: bool,
    pub recommendations: bool,
}

/// `PUT /users/{id}/preferences`: what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdatePreferences {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotions: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_updates: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendations: Option<bool>,
}

/// `GET /admin/users?status=&limit=&cursor=` or `GET /admin/users?ids=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct UsersQuery {
    /// Ids with commas between: exactly these users, without those that do not exist.
    pub ids: Option<String>,
    /// `active` or `blocked`.
    pub status: Option<String>,
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// Body of `PUT /admin/users/{id}/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetStatus {
    /// `active` or `blocked`.
    pub status: String,
}

/// Answer of `POST /auth/staff/logins`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StaffLogin {
    /// Where the browser has to go.
    pub authorization_url: String,
    /// What the provider sends back with the browser. The client keeps it, and goes on only if it is the same.
    pub state: String,
}

/// Body of `POST /auth/staff/sessions`: what the browser brought back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndStaffLogin {
    pub state: String,
    pub code: String,
}

/// Body of `PUT /admin/users/{id}/roles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetRoles {
    /// All roles that the user has from then on.
    pub roles: Vec<String>,
}

/// Body of `POST /users/me/password`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePassword {
    pub current_password: String,
    /// 8 to 128 characters.
    pub new_password: String,
}

/// `POST /auth/password-reset`: a mail is sent if an account has the address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestPasswordReset {
    pub email: String,
}

/// Body of `POST /auth/password-reset/confirm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResetPassword {
    /// The token in the mail's link, valid once and for 15 minutes.
    pub token: String,
    /// 8 to 128 characters.
    pub new_password: String,
}

/// `POST /users/me/email`: a mail with a link goes to the new address, and a notice to the present one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeEmail {
    pub new_email: String,
    /// The present password.
    pub password: String,
}

/// Body of `POST /auth/email-confirmation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmEmail {
    /// The token in the mail's link, valid once and for an hour.
    pub token: String,
}

/// Body of `POST /users/me/export` and `DELETE /users/me`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PresentPassword {
    pub password: String,
}

/// The answer of `POST /users/me/export`: everything that the user service stores about the user but hashes and tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AccountExport {
    #[serde(with = "time::serde::rfc3339")]
    pub exported_at: OffsetDateTime,
    /// Profile, roles, status and preferences.
    pub account: User,
    /// Time of the last change of the account.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// The address book, oldest first.
    pub addresses: Vec<Address>,
    /// Sessions, newest first, also those that have ended and are not deleted yet; at most 1,000.
    pub sessions: Vec<ExportedSession>,
    /// Whether there are more sessions than 1,000.
    pub has_more_sessions: bool,
    /// The change of the e-mail address that waits for its confirmation.
    pub email_change: Option<RequestedEmailChange>,
    /// Requests to set a new password that are not deleted yet, newest first; at most 1,000.
    pub password_resets: Vec<RequestedReset>,
}

/// A session in an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExportedSession {
    #[serde(flatten)]
    pub session: Session,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    /// Why it ended before its time: `logout`, `reuse`, `password`, `user`, `blocked` or `email`.
    pub end_reason: Option<String>,
}

/// A change of the e-mail address in an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RequestedEmailChange {
    pub new_email: String,
    #[serde(with = "time::serde::rfc3339")]
    pub requested_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// A request to set a new password in an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RequestedReset {
    #[serde(with = "time::serde::rfc3339")]
    pub requested_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub used_at: Option<OffsetDateTime>,
}

/// A session of the user that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub id: SessionId,
    /// Whether the request was sent in it.
    pub current: bool,
    /// The client's address at the login.
    pub ip: Option<String>,
    /// The client's own description of itself at the login.
    pub user_agent: Option<String>,
    /// Time of the login.
    #[serde(with = "time::serde::rfc3339")]
    pub issued_at: OffsetDateTime,
    /// Time of the last refresh.
    #[serde(with = "time::serde::rfc3339::option")]
    pub used_at: Option<OffsetDateTime>,
    /// When it ends at the latest.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// `PUT /users/{id}`: what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateProfile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firstname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastname: Option<String>,
    /// A public name, unique in the shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The whole name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// A user as the user and admins see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub id: UserId,
    /// The e-mail address.
    pub email: String,
    pub firstname: Option<String>,
    pub lastname: Option<String>,
    pub username: Option<String>,
    /// The whole name.
    pub name: Option<String>,
    pub phone: Option<String>,
    /// The user's roles.
    pub roles: Vec<Role>,
    /// `active` or `blocked`.
    pub status: String,
    pub preferences: Preferences,
    /// Time of registration.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Time of the last change of the account.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Login {
    /// The e-mail address.
    pub email: String,
    pub password: String,
}

/// `POST /auth/refresh` and `POST /auth/logout`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token of the last answer; each is good for one use.
    pub refresh_token: String,
}

/// The answer to a login or refresh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Goes into `Authorization: Bearer`.
    pub access_token: String,
    /// The access token again, for compatibility routes.
    pub token: String,
    /// For the next refresh.
    pub refresh_token: String,
    pub token_type: String,
    /// Seconds that the access token is good for.
    pub expires_in: u64,
    /// Who logged in.
    pub user: User,
}

/// The answer of `GET /auth/validate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Validated {
    pub id: UserId,
    /// The e-mail address.
    pub email: String,
    /// The user's roles.
    pub roles: Vec<Role>,
    pub sid: SessionId,
    /// When the token ends, in seconds since 1970.
    pub exp: i64,
}

/// Not the state, which ends a login.
impl std::fmt::Debug for StaffLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaffLogin").finish_non_exhaustive()
    }
}

/// Neither the state nor the code.
impl std::fmt::Debug for EndStaffLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndStaffLogin").finish_non_exhaustive()
    }
}
