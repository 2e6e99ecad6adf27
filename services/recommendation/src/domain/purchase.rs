//! Orders as purchases, and what they change in the counts of sales and of products bought together.
//!
//! Only the newest event of an order counts, so that duplicates and any order of arrival end in the same counts.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use agora_vocab::{OrderId, ProductId, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Revised, Revision};

/// Products of one order that are counted as bought together: an order of a hundred products says little about any two.
pub const PAIRED_PRODUCTS_MAX: usize = 50;

/// An order by its newest event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    pub order: OrderId,
    pub user: UserId,
    pub revision: Revision,
    /// Whether it was placed, and neither cancelled, expired nor refunded.
    pub counted: bool,
    /// Time of the event.
    pub changed_at: OffsetDateTime,
    /// One line for each product.
    pub lines: Vec<PurchaseLine>,
}

/// A product of an order, all of its variants together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseLine {
    pub product: ProductId,
    pub quantity: i64,
    /// The category when it was ordered.
    pub category: Option<String>,
}

/// What stored purchases change elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryChange {
    /// Units to add to those sold of each product.
    pub units: BTreeMap<ProductId, i64>,
    /// Orders to add to those of each two products, in both directions.
    pub pairs: BTreeMap<(ProductId, ProductId), i64>,
    /// Users whose history is another.
    pub users: BTreeSet<UserId>,
}

impl Purchase {
    /// Merges the lines of each product; the first category wins.
    pub fn merge_lines(lines: impl IntoIterator<Item = PurchaseLine>) -> Vec<PurchaseLine> {
        let mut merged = BTreeMap::<ProductId, PurchaseLine>::new();
        for line in lines {
            match merged.entry(line.product) {
                Entry::Vacant(entry) => drop(entry.insert(line)),
                Entry::Occupied(mut entry) => {
                    let known = entry.get_mut();
                    known.quantity = known.quantity.saturating_add(line.quantity);
                }
            }
        }
        merged.into_values().collect()
    }

    fn products(&self) -> impl Iterator<Item = ProductId> {
        self.lines.iter().map(|line| line.product)
    }

    /// Every two products, in both directions.
    fn pairs(&self) -> impl Iterator<Item = (ProductId, ProductId)> {
        let products: BTreeSet<_> = self.products().collect();
        let paired: Vec<_> = products.into_iter().take(PAIRED_PRODUCTS_MAX).collect();
        let others = paired.clone();
        paired.into_iter().flat_map(move |one| {
            let others: Vec<_> = others.iter().copied().filter(|other| *other != one).collect();
            others.into_iter().map(move |other| (one, other))
        })
    }
}

impl Revised for Purchase {
    type Key = OrderId;

    fn key(&self) -> OrderId {
        self.order
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}

impl HistoryChange {
    /// Adds the difference between the stored purchase of an order, if any, and the one that replaces it.
    pub fn add(&mut self, before: Option<&Purchase>, after: &Purchase) {
        let before = before.filter(|purchase| purchase.counted);
        let now = Some(after).filter(|purchase| purchase.counted);
        if before.map(|known| &known.lines) == now.map(|new| &new.lines) {
            return;
        }
        self.users.insert(after.user);
        for (purchase, sign) in [(before, -1), (now, 1)] {
            let Some(purchase) = purchase else { continue };
            for line in &purchase.lines {
                add(&mut self.units, line.product, sign * line.quantity);
            }
            for pair in purchase.pairs() {
                add(&mut self.pairs, pair, sign);
            }
        }
    }
}

/// Adds to a count; a count of zero is none.
fn add<K: Ord>(counts: &mut BTreeMap<K, i64>, key: K, by: i64) {
    match counts.entry(key) {
        Entry::Vacant(entry) => drop(entry.insert(by)),
        Entry::Occupied(mut entry) => {
            *entry.get_mut() += by;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn product(n: u128) -> ProductId {
        ProductId::new(Uuid::from_u128(n))
    }

    fn purchase(number: i64, counted: bool, products: &[u128]) -> Purchase {
        let line = |n: &u128| PurchaseLine { product: product(*n), quantity: 2, category: None };
        Purchase {
            order: OrderId::new(Uuid::from_u128(1)),
            user: UserId::new(Uuid::from_u128(9)),
            revision: Revision { epoch: 0, number },
            counted,
            changed_at: OffsetDateTime::UNIX_EPOCH,
            lines: products.iter().map(line).collect(),
        }
    }

    #[test]
    fn a_placed_order_counts_and_its_cancellation_takes_back_exactly_that() {
        let (placed, cancelled) = (purchase(2, true, &[1, 2, 3]), purchase(4, false, &[1, 2, 3]));
        let mut change = HistoryChange::default();
        change.add(None, &placed);
        assert_eq!(change.units, BTreeMap::from([(product(1), 2), (product(2), 2), (product(3), 2)]));
        assert_eq!((change.pairs.len(), change.pairs[&(product(3), product(1))]), (6, 1));
        change.add(Some(&placed), &cancelled);
        assert!(change.units.is_empty() && change.pairs.is_empty());
        assert_eq!(change.users.len(), 1);
    }

    #[test]
    fn an_event_that_changes_no_history_changes_nothing() {
        let mut change = HistoryChange::default();
        change.add(Some(&purchase(2, true, &[1, 2])), &purchase(3, true, &[1, 2]));
        change.add(None, &purchase(3, false, &[1, 2]));
        assert_eq!(change, HistoryChange::default());
    }

    #[test]
    fn a_large_order_has_a_bounded_number_of_pairs() {
        let all: Vec<u128> = (1..=100).collect();
        let mut change = HistoryChange::default();
        change.add(None, &purchase(1, true, &all));
        assert_eq!(change.pairs.len(), PAIRED_PRODUCTS_MAX * (PAIRED_PRODUCTS_MAX - 1));
        assert_eq!(change.units.len(), 100);
    }

    #[test]
    fn the_variants_of_a_product_are_one_line() {
        let line = |n, quantity| PurchaseLine { product: product(n), quantity, category: None };
        let merged = Purchase::merge_lines([line(2, 1), line(1, 5), line(2, 3)]);
        assert_eq!(merged, [line(1, 5), line(2, 4)]);
    }
}
