//! Routes of the user service.

use super::{
    AccountExport, Address, ChangeEmail, ChangePassword, ConfirmEmail, EndStaffLogin, Login, PostalAddress,
    PresentPassword, Refresh, Register, RequestPasswordReset, ResetPassword, Session, SetRoles, SetStatus, StaffLogin,
    Tokens, UpdatePreferences, UpdateProfile, UsersQuery, Validated,
};
use crate::{
    IdempotencyKey, List,
    Policy::{self, Open, Service, User},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Account {
        /// Registers a user and opens a session.
        REGISTER in Credentials = Post "/api/v1/auth/register" Open
            => (Register) -> 201 super::User;
        /// Opens a session.
        LOGIN in Credentials = Post "/api/v1/auth/login" Open
            => (Login) -> 200 Tokens;
        /// Exchanges a refresh token for new tokens.
        REFRESH in Credentials = Post "/api/v1/auth/refresh" Open
            => (Refresh) -> 200 Tokens;
        /// Ends the session of a refresh token.
        LOGOUT in Credentials = Post "/api/v1/auth/logout" Open
            => (Refresh) -> 204;
        /// Requests a mail with a link to set a new password.
        REQUEST_PASSWORD_RESET in Credentials = Post "/api/v1/auth/password-reset" Open
            => (RequestPasswordReset) -> 202;
        /// Sets a new password with the token of such a link; ends all sessions.
        RESET_PASSWORD in Credentials = Post "/api/v1/auth/password-reset/confirm" Open
            => (ResetPassword) -> 204;
        /// Begins a login of the staff at the identity provider.
        BEGIN_STAFF_LOGIN in Credentials = Post "/api/v1/auth/staff/logins" Open
            => () -> 201 StaffLogin;
        /// Ends such a login with the code that the provider gave, and opens a session.
        END_STAFF_LOGIN in Credentials = Post "/api/v1/auth/staff/sessions" Open
            => (EndStaffLogin) -> 200 Tokens;
        /// The claims of the access token of the request.
        VALIDATE = Get "/api/v1/auth/validate" User
            => () -> 200 Validated;
        /// The user's own profile.
        READ_OWN = Get "/api/v1/users/me" User
            => () -> 200 super::User;
        /// Changes the user's own profile.
        UPDATE_OWN = Put "/api/v1/users/me" User
            => with IdempotencyKey (UpdateProfile) -> 200 super::User;
        /// A profile: the user's own, or any for support.
        READ = Get "/api/v1/users/{id}" User
            => () -> 200 super::User;
        /// Changes a profile: the user's own, or any for an admin.
        UPDATE = Put "/api/v1/users/{id}" User
            => with IdempotencyKey (UpdateProfile) -> 200 super::User;
        /// Changes which mails the user wants.
        SET_OWN_PREFERENCES = Put "/api/v1/users/me/preferences" User
            => with IdempotencyKey (UpdatePreferences) -> 200 super::User;
        /// Changes which mails a user wants: the user's own choice, or any for an admin.
        SET_PREFERENCES = Put "/api/v1/users/{id}/preferences" User
            => with IdempotencyKey (UpdatePreferences) -> 200 super::User;
        /// Replaces the user's own password; ends all other sessions.
        CHANGE_PASSWORD in Credentials = Post "/api/v1/users/me/password" User
            => (ChangePassword) -> 204;
        /// The user's own sessions with their devices.
        LIST_SESSIONS = Get "/api/v1/users/me/sessions" User
            => () -> 200 List<Session>;
        /// Ends all sessions of the user.
        END_SESSIONS = Delete "/api/v1/users/me/sessions" User
            => () -> 204;
        /// Ends a session of the user.
        END_SESSION = Delete "/api/v1/users/me/sessions/{id}" User
            => () -> 204;
        /// A page of all users, newest first.
        LIST_ALL in Admin = Get "/api/v1/admin/users" Policy::SUPPORT
            => with UsersQuery () -> 200 List<super::User>;
        /// Blocks or activates an account; a blocked user's sessions end.
        SET_STATUS in Admin = Put "/api/v1/admin/users/{id}/status" Policy::ADMIN
            => with IdempotencyKey (SetStatus) -> 200 super::User;
        /// Replaces the roles of another user; their sessions end.
        SET_ROLES in Admin = Put "/api/v1/admin/users/{id}/roles" Policy::ADMIN
            => with IdempotencyKey (SetRoles) -> 200 super::User;
        /// The user's address book.
        LIST_ADDRESSES = Get "/api/v1/users/me/addresses" User
            => () -> 200 List<Address>;
        /// Adds an address.
        ADD_ADDRESS = Post "/api/v1/users/me/addresses" User
            => with IdempotencyKey (PostalAddress) -> 201 Address;
        /// One address of the user's own book.
        READ_ADDRESS = Get "/api/v1/users/me/addresses/{id}" User
            => () -> 200 Address;
        /// Replaces an address.
        REPLACE_ADDRESS = Put "/api/v1/users/me/addresses/{id}" User
            => with IdempotencyKey (PostalAddress) -> 200 Address;
        /// Removes an address.
        REMOVE_ADDRESS = Delete "/api/v1/users/me/addresses/{id}" User
            => with IdempotencyKey () -> 204;
        /// Requests a mail to a new e-mail address with a link that makes it the account's.
        CHANGE_EMAIL in Credentials = Post "/api/v1/users/me/email" User
            => (ChangeEmail) -> 202;
        /// Changes the e-mail address with the token of such a link; ends all other sessions.
        CONFIRM_EMAIL in Credentials = Post "/api/v1/auth/email-confirmation" Open
            => (ConfirmEmail) -> 204;
        /// Everything that the user service stores about the user, as one document.
        EXPORT_ACCOUNT = Post "/api/v1/users/me/export" User
            => (PresentPassword) -> 200 AccountExport;
        /// Erases the user's own account.
        ERASE_OWN = Delete "/api/v1/users/me" User
            => (PresentPassword) -> 204;
        /// Erases the account of another user.
        ERASE in Admin = Delete "/api/v1/admin/users/{id}" Policy::ADMIN
            => () -> 204;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL in Exempt {
        /// An address of a user's own book, for the order service.
        READ_ADDRESS_OF = Get "/internal/v1/users/{userId}/addresses/{addressId}" Service(&["order"])
            => () -> 200 Address;
    }
}
