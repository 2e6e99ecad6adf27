//! Ledger entries by double-entry bookkeeping.
//!
//! Pure, as all of `domain`.

use agora_vocab::{Money, SellerId};

/// One entry of a ledger transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `provider`: the amount that the provider owes the shop. `seller`: the amount that the shop owes a seller,
    /// negative.
    pub account: &'static str,
    /// The seller of the account.
    pub seller: SellerId,
    /// The change of the account; negative for a credit.
    pub amount: Money,
}

/// The two entries of a capture (`sign` 1) or of a refund (`sign` -1). Their sum is zero.
pub fn entries(amount: Money, sign: i64) -> [Entry; 2] {
    let moved = Money { amount: amount.amount * sign, currency: amount.currency };
    let owed = Money { amount: -moved.amount, currency: amount.currency };
    [
        Entry { account: "provider", seller: SellerId::HOUSE, amount: moved },
        Entry { account: "seller", seller: SellerId::HOUSE, amount: owed },
    ]
}
