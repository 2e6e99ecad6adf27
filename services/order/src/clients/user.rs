//! HTTP client of the user service's address book. Must not contain order logic.

use agora_api::user as api;
use agora_outbound::{CallError, Client};
use agora_vocab::{Address, AddressId, AddressText, UserId};
use async_trait::async_trait;

use crate::ports::{Addresses, CallFailed};

/// Calls the user service over HTTP, on behalf of the ordering user.
#[derive(Clone, Debug)]
pub struct UserClient(pub Client);

#[async_trait]
impl Addresses for UserClient {
    async fn find(&self, user: UserId, address: AddressId) -> Result<Option<Address>, CallFailed> {
        let path = api::routes::READ_ADDRESS_OF.path_of([&user, &address]);
        match self.0.for_user(user).get::<api::Address>(&path).await {
            Ok(entry) => match AddressText::from(entry.address).parse() {
                Ok(address) => Ok(Some(address)),
                // An entry from before its rules: the user has to write it again.
                Err(_) => Ok(None),
            },
            Err(CallError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(CallFailed { callee: "user", source: error.into() }),
        }
    }
}
