//! Changes of the client's account: sessions, credentials, profile, address book; and of other accounts by administrators.

use agora_api::user;
use async_graphql::{Context, ID, InputObject, Object};
use serde::Serialize;
use serde_json::json;

use crate::graphql::{
    caller::caller,
    cost,
    fault::Answer,
    types::accounts::{Address, SigninResult, User},
};

/// What is absent stays as it is.
#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProfileInput {
    firstname: Option<String>,
    lastname: Option<String>,
    /// A public name, unique in the shop.
    username: Option<String>,
    /// The whole name.
    name: Option<String>,
    phone: Option<String>,
}

/// An address as it is written on a parcel.
#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddressInput {
    recipient: Option<String>,
    /// Street and number.
    street: String,
    city: String,
    state: Option<String>,
    postal_code: Option<String>,
    /// ISO 3166-1 code of two letters.
    country: String,
}

#[derive(Debug, Default)]
pub struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Exchanges a refresh token for new tokens.
    #[graphql(complexity = "cost::credentials(child_complexity)")]
    async fn refresh_tokens(
        &self,
        context: &Context<'_>,
        #[graphql(secret)] refresh_token: String,
    ) -> Answer<SigninResult> {
        let body = json!({ "refreshToken": refresh_token });
        Some(caller(context).call(user::routes::REFRESH, []).body(&body).json().await)
    }

    /// Ends the session of a refresh token.
    #[graphql(complexity = "cost::credentials(child_complexity)")]
    async fn signout(&self, context: &Context<'_>, #[graphql(secret)] refresh_token: String) -> Answer<bool> {
        let body = json!({ "refreshToken": refresh_token });
        Some(caller(context).call(user::routes::LOGOUT, []).body(&body).done().await)
    }

    /// Requests a mail with a link to set a new password. True whether or not there is such an account.
    #[graphql(complexity = "cost::credentials(child_complexity)")]
    async fn request_password_reset(&self, context: &Context<'_>, email: String) -> Answer<bool> {
        let body = json!({ "email": email });
        Some(caller(context).call(user::routes::REQUEST_PASSWORD_RESET, []).body(&body).done().await)
    }

    /// Sets a new password with the token of such a link; ends all sessions.
    #[graphql(complexity = "cost::credentials(child_complexity)")]
    async fn reset_password(
        &self,
        context: &Context<'_>,
        #[graphql(secret)] token: String,
        #[graphql(secret)] new_password: String,
    ) -> Answer<bool> {
        let body = json!({ "token": token, "newPassword": new_password });
        Some(caller(context).call(user::routes::RESET_PASSWORD, []).body(&body).done().await)
    }

    /// Replaces the client's password; ends all other sessions.
    #[graphql(complexity = "cost::credentials(child_complexity)")]
    async fn change_password(
        &self,
        context: &Context<'_>,
        #[graphql(secret)] current_password: String,
        #[graphql(secret)] new_password: String,
    ) -> Answer<bool> {
        let body = json!({ "currentPassword": current_password, "newPassword": new_password });
        Some(caller(context).command(context, user::routes::CHANGE_PASSWORD, []).body(&body).done().await)
    }

    /// Requests a mail to a new e-mail address with a link that makes it the account's.
    #[graphql(complexity = "cost::credentials(child_complexity)")]
    async fn change_email(
        &self,
        context: &Context<'_>,
        new_email: String,
        #[graphql(secret)] password: String,
    ) -> Answer<bool> {
        let body = json!({ "newEmail": new_email, "password": password });
        Some(caller(context).command(context, user::routes::CHANGE_EMAIL, []).body(&body).done().await)
    }

    /// Changes the e-mail address with the token of such a link; ends all other sessions.
    #[graphql(complexity = "cost::credentials(child_complexity)")]
    async fn confirm_email(&self, context: &Context<'_>, #[graphql(secret)] token: String) -> Answer<bool> {
        let body = json!({ "token": token });
        Some(caller(context).call(user::routes::CONFIRM_EMAIL, []).body(&body).done().await)
    }

    /// Changes the client's profile.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn update_profile(&self, context: &Context<'_>, input: ProfileInput) -> Answer<User> {
        Some(caller(context).command(context, user::routes::UPDATE_OWN, []).body(&input).json().await)
    }

    /// Ends a session of the client.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn end_session(&self, context: &Context<'_>, id: ID) -> Answer<bool> {
        Some(caller(context).command(context, user::routes::END_SESSION, [&id]).done().await)
    }

    /// Ends all sessions of the client.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn end_sessions(&self, context: &Context<'_>) -> Answer<bool> {
        Some(caller(context).command(context, user::routes::END_SESSIONS, []).done().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn add_address(&self, context: &Context<'_>, input: AddressInput) -> Answer<Address> {
        Some(caller(context).command(context, user::routes::ADD_ADDRESS, []).body(&input).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn replace_address(&self, context: &Context<'_>, id: ID, input: AddressInput) -> Answer<Address> {
        Some(caller(context).command(context, user::routes::REPLACE_ADDRESS, [&id]).body(&input).json().await)
    }

    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn remove_address(&self, context: &Context<'_>, id: ID) -> Answer<bool> {
        Some(caller(context).command(context, user::routes::REMOVE_ADDRESS, [&id]).done().await)
    }

    /// Blocks or activates an account; for administrators. `status`: `active` or `blocked`.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn set_user_status(&self, context: &Context<'_>, id: ID, status: String) -> Answer<User> {
        let body = json!({ "status": status });
        Some(caller(context).command(context, user::routes::SET_STATUS, [&id]).body(&body).json().await)
    }
}
