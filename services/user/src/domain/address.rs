//! Entries of address books.

use agora_vocab::{Address, AddressId};

/// Limit of entries per address book.
pub const ADDRESSES_MAX: usize = 100;

/// An entry of an address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookEntry {
    pub id: AddressId,
    pub address: Address,
}
