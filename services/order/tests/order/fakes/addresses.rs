//! In-memory address book of the user service.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use agora_order::ports::{Addresses, CallFailed};
use agora_vocab::{Address, AddressId, UserId};
use async_trait::async_trait;

use super::lock;

/// In-memory address book.
#[derive(Clone, Debug, Default)]
pub struct InMemoryAddresses(Arc<Mutex<BTreeMap<(UserId, AddressId), Address>>>);

impl InMemoryAddresses {
    /// Adds or replaces an entry.
    pub fn add(&self, user: UserId, entry: AddressId, address: Address) {
        lock(&self.0).insert((user, entry), address);
    }
}

#[async_trait]
impl Addresses for InMemoryAddresses {
    async fn find(&self, user: UserId, address: AddressId) -> Result<Option<Address>, CallFailed> {
        Ok(lock(&self.0).get(&(user, address)).cloned())
    }
}
