//! Purchases, products and the rules that choose what a user is recommended. Pure: no input or output.

mod catalog;
mod purchase;
mod ranking;

use std::collections::{BTreeMap, btree_map::Entry};

pub use catalog::{ProductCopy, ProductState, StockKey, StockLevel};
pub use purchase::{HistoryChange, PAIRED_PRODUCTS_MAX, Purchase, PurchaseLine};
pub use ranking::{
    Bought, CATEGORIES_MAX, Candidates, History, ITEMS_MAX, NOTIFIED_MAX, Product, Reason, Recommendation, Together,
    Votes, changed, notified, recommend,
};

/// Place of an event among those of its aggregate: a higher recovery epoch is newer than any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    pub epoch: i64,
    /// Sequence number or version, from 1.
    pub number: i64,
}

/// What events say of one order, product or stock row.
pub trait Revised {
    type Key: Ord;

    /// Identifies the order, product or stock row.
    fn key(&self) -> Self::Key;

    /// The event that says it.
    fn revision(&self) -> Revision;
}

/// The newest of each key, in the order of the keys.
pub fn newest<T: Revised>(received: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut newest = BTreeMap::<T::Key, T>::new();
    for value in received {
        match newest.entry(value.key()) {
            Entry::Vacant(entry) => drop(entry.insert(value)),
            Entry::Occupied(mut entry) => {
                if entry.get().revision() < value.revision() {
                    entry.insert(value);
                }
            }
        }
    }
    newest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use agora_vocab::ProductId;
    use uuid::Uuid;

    use super::*;

    fn deleted(product: u128, epoch: i64, number: i64) -> ProductCopy {
        let revision = Revision { epoch, number };
        ProductCopy { product: ProductId::new(Uuid::from_u128(product)), revision, state: ProductState::Deleted }
    }

    #[test]
    fn the_newest_of_each_key_is_left_in_the_order_of_the_keys() {
        let received = [deleted(2, 0, 1), deleted(1, 0, 3), deleted(2, 0, 4), deleted(1, 0, 2), deleted(2, 0, 4)];
        assert_eq!(newest(received), [deleted(1, 0, 3), deleted(2, 0, 4)]);
    }

    #[test]
    fn an_event_of_a_restored_database_is_newer_than_those_of_the_lost_one() {
        assert_eq!(newest([deleted(1, 0, 9), deleted(1, 1, 2), deleted(1, 0, 10)]), [deleted(1, 1, 2)]);
    }
}
