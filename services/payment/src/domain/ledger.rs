//! The two sides of money that moved.

use agora_vocab::{Money, SellerId};

/// One side of a ledger transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `provider`: what the provider owes us. `seller`: what we owe a seller, as a negative amount.
    pub account: &'static str,
    /// Whose account.
    pub seller: SellerId,
    /// Signed.
    pub amount: Money,
}

/// The entries of money that came in (`sign` 1) or went back (`sign` -1); they sum to nothing.
pub fn entries(amount: Money, sign: i64) -> [Entry; 2] {
    let moved = Money { amount: amount.amount * sign, currency: amount.currency };
    let owed = Money { amount: -moved.amount, currency: amount.currency };
    [
        Entry { account: "provider", seller: SellerId::HOUSE, amount: moved },
        Entry { account: "seller", seller: SellerId::HOUSE, amount: owed },
    ]
}
