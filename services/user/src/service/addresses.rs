//! Use cases of address books: each user reads and changes only their own.

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Address, AddressId, UserId};

use super::{Error, UserService};
use crate::domain::BookEntry;

impl UserService {
    /// All entries of the owner's address book, oldest first.
    pub async fn addresses(&self, owner: UserId) -> Result<Vec<BookEntry>, Error> {
        Ok(self.addresses.list(owner).await?)
    }

    /// One entry of the owner's address book.
    pub async fn address(&self, owner: UserId, id: AddressId) -> Result<BookEntry, Error> {
        self.addresses.find(owner, id).await?.ok_or(Error::NotFound)
    }

    /// Adds an entry.
    pub async fn add_address(
        &self,
        owner: UserId,
        address: Address,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<BookEntry>, Error> {
        let entry = BookEntry { id: AddressId::new(self.ids.next()), address };
        Ok(self.addresses.add(owner, &entry, dedup_key).await?)
    }

    /// Replaces the address of an entry.
    pub async fn replace_address(
        &self,
        owner: UserId,
        entry: BookEntry,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<BookEntry>, Error> {
        self.addresses.replace(owner, &entry, dedup_key).await?.ok_or(Error::NotFound)
    }

    /// Removes an entry.
    pub async fn remove_address(
        &self,
        owner: UserId,
        id: AddressId,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<()>, Error> {
        self.addresses.remove(owner, id, dedup_key).await?.ok_or(Error::NotFound)
    }
}
