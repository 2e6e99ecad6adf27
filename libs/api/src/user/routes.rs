//! Routes of the user service.

use crate::{
    Policy::{self, Open, Service, User},
    route::routes,
};

routes! {
    /// Routes of the public port.
    PUBLIC in Account {
        /// Registers a user and opens a session.
        REGISTER in Credentials = Post "/api/v1/auth/register" Open;
        /// Opens a session.
        LOGIN in Credentials = Post "/api/v1/auth/login" Open;
        /// Exchanges a refresh token for new tokens.
        REFRESH in Credentials = Post "/api/v1/auth/refresh" Open;
        /// Ends the session of a refresh token.
        LOGOUT in Credentials = Post "/api/v1/auth/logout" Open;
        /// Requests a mail with a link to set a new password.
        REQUEST_PASSWORD_RESET in Credentials = Post "/api/v1/auth/password-reset" Open;
        /// Sets a new password with the token of such a link; ends all sessions.
        RESET_PASSWORD in Credentials = Post "/api/v1/auth/password-reset/confirm" Open;
        /// Begins a login of the staff at the identity provider.
        BEGIN_STAFF_LOGIN in Credentials = Post "/api/v1/auth/staff/logins" Open;
        /// Ends such a login with the code that the provider gave, and opens a session.
        END_STAFF_LOGIN in Credentials = Post "/api/v1/auth/staff/sessions" Open;
        /// The claims of the access token of the request.
        VALIDATE = Get "/api/v1/auth/validate" User;
        /// The user's own profile.
        READ_OWN = Get "/api/v1/users/me" User;
        /// Changes the user's own profile.
        UPDATE_OWN = Put "/api/v1/users/me" User;
        /// A profile: the user's own, or any for support.
        READ = Get "/api/v1/users/{id}" User;
        /// Changes a profile: the user's own, or any for an admin.
        UPDATE = Put "/api/v1/users/{id}" User;
        /// Changes which mails the user wants.
        SET_OWN_PREFERENCES = Put "/api/v1/users/me/preferences" User;
        /// Changes which mails a user wants: the user's own choice, or any for an admin.
        SET_PREFERENCES = Put "/api/v1/users/{id}/preferences" User;
        /// Replaces the user's own password; ends all other sessions.
        CHANGE_PASSWORD in Credentials = Post "/api/v1/users/me/password" User;
        /// The user's own sessions with their devices.
        LIST_SESSIONS = Get "/api/v1/users/me/sessions" User;
        /// Ends all sessions of the user.
        END_SESSIONS = Delete "/api/v1/users/me/sessions" User;
        /// Ends a session of the user.
        END_SESSION = Delete "/api/v1/users/me/sessions/{id}" User;
        /// A page of all users, newest first.
        LIST_ALL in Admin = Get "/api/v1/admin/users" Policy::SUPPORT;
        /// Blocks or activates an account; a blocked user's sessions end.
        SET_STATUS in Admin = Put "/api/v1/admin/users/{id}/status" Policy::ADMIN;
        /// Replaces the roles of another user; their sessions end.
        SET_ROLES in Admin = Put "/api/v1/admin/users/{id}/roles" Policy::ADMIN;
        /// The user's address book.
        LIST_ADDRESSES = Get "/api/v1/users/me/addresses" User;
        /// Adds an address.
        ADD_ADDRESS = Post "/api/v1/users/me/addresses" User;
        /// One address of the user's own book.
        READ_ADDRESS = Get "/api/v1/users/me/addresses/{id}" User;
        /// Replaces an address.
        REPLACE_ADDRESS = Put "/api/v1/users/me/addresses/{id}" User;
        /// Removes an address.
        REMOVE_ADDRESS = Delete "/api/v1/users/me/addresses/{id}" User;
        /// Requests a mail to a new e-mail address with a link that makes it the account's.
        CHANGE_EMAIL in Credentials = Post "/api/v1/users/me/email" User;
        /// Changes the e-mail address with the token of such a link; ends all other sessions.
        CONFIRM_EMAIL in Credentials = Post "/api/v1/auth/email-confirmation" Open;
        /// Everything that the user service stores about the user, as one document.
        EXPORT_ACCOUNT = Post "/api/v1/users/me/export" User;
        /// Erases the user's own account.
        ERASE_OWN = Delete "/api/v1/users/me" User;
        /// Erases the account of another user.
        ERASE in Admin = Delete "/api/v1/admin/users/{id}" Policy::ADMIN;
    }
}

routes! {
    /// Routes of the internal port.
    INTERNAL in Exempt {
        /// An address of a user's own book, for the order service.
        READ_ADDRESS_OF = Get "/internal/v1/users/{userId}/addresses/{addressId}" Service(&["order"]);
    }
}
