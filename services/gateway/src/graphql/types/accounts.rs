//! Users with their addresses and sessions, and the tokens of a login.

use agora_api::{Route, user};
use async_graphql::{ComplexObject, ID, SimpleObject};
use serde::Deserialize;

use crate::graphql::{
    loaders::ListedById,
    scalars::{DateTime, Long},
};

/// A user as the user and support see it.
#[derive(Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub id: ID,
    pub email: String,
    pub firstname: Option<String>,
    pub lastname: Option<String>,
    pub username: Option<String>,
    /// The whole name.
    pub name: Option<String>,
    pub phone: Option<String>,
    pub roles: Vec<String>,
    /// `active` or `blocked`.
    pub status: String,
    pub preferences: UserPreferences,
    /// Time of registration.
    pub created_at: DateTime,
    /// Time of the last change of the account.
    pub updated_at: DateTime,
}

#[ComplexObject]
impl User {
    /// The same as `id`.
    #[graphql(name = "_id")]
    async fn same_id(&self) -> &ID {
        &self.id
    }
}

impl ListedById for User {
    const LIST: Route = user::routes::LIST_ALL;

    fn object_id(&self) -> &ID {
        &self.id
    }
}

/// Which mails a user wants, besides those that concern orders, payments and the security of the account.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct UserPreferences {
    pub promotions: bool,
    /// Progress of orders between payment and delivery.
    pub order_updates: bool,
    pub recommendations: bool,
}

/// An address as it is written on a parcel.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct PostalAddress {
    pub recipient: Option<String>,
    /// Street and number.
    pub street: String,
    pub city: String,
    pub state: Option<String>,
    pub postal_code: Option<String>,
    /// ISO 3166-1 code of two letters.
    pub country: String,
}

/// An entry of the address book.
#[derive(Clone, Deserialize, SimpleObject)]
pub struct Address {
    pub id: ID,
    #[graphql(flatten)]
    #[serde(flatten)]
    pub address: PostalAddress,
}

/// A session of the user that has not ended.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub id: ID,
    /// Whether the request was sent in it.
    pub current: bool,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    /// Time of the login.
    pub issued_at: DateTime,
    /// Time of the last refresh.
    pub used_at: Option<DateTime>,
    /// When it ends at the latest.
    pub expires_at: DateTime,
}

/// Answers to a login.
macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Deserialize, SimpleObject)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Goes into the header `Authorization: Bearer`.
            #[graphql(name = "access_token")]
            pub access_token: String,
            /// For `refreshTokens`; good for one use.
            pub refresh_token: String,
            pub token_type: String,
            /// Seconds that the access token is good for.
            pub expires_in: Long,
            pub user: User,
        }
    )*};
}

tokens! {
    /// The tokens of a new account.
    SignupResult;
    /// The tokens of a login.
    SigninResult;
}

super::pages! {
    UserPage of User;
    AddressPage of Address;
    SessionPage of Session;
}
