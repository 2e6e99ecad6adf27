//! Whether what was seen can be what a correct shop does: each invariant a pure function over a history and the shop at rest.
//!
//! Knows the rules of selling; must not know how evidence is come by. Every invariant is proved by a mutant that it
//! catches, in the tests below.

mod evidence;
mod facts;
mod money;
mod orders;

use std::fmt;

use serde::Serialize;

pub use evidence::{Applied, EventSeen, Evidence, LedgerEntry, OrderSeen, PaymentSeen, Residue, StockSeen};

use crate::history::Record;

/// A promise of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Invariant {
    /// An acknowledged order exists, exactly once.
    I1,
    /// At most one order and one capture per idempotency key; an unknown outcome resolves to one answer.
    I2,
    /// Units: received = on hand + sold - returned, and 0 ≤ reserved ≤ on hand.
    I3,
    /// Money: captured = totals of orders ever paid, refunded ≤ captured, what was cancelled or refunded nets 0, and
    /// each transaction of the ledger sums to 0.
    I4,
    /// Every committed event reached its topic, and took effect once per consumer.
    I5,
    /// Per aggregate, events in order and without gaps.
    I6,
    /// Who was told of an order reads it at once, and never an older state than before.
    I7,
    /// At rest no order is under way.
    I8,
    /// Nothing is left behind, doubled, or told that is secret.
    I10,
}

/// A promise broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// How, with the ids to look for.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

/// Every violation; where a kind of evidence is empty, what it would prove is not judged.
pub fn check(history: &[Record], evidence: &Evidence) -> Vec<Violation> {
    let Evidence { orders, payments, stock, ledger, outbox, topics, applied, residue } = evidence;
    [
        orders::acknowledged_exist_once(history, orders),
        orders::keys_act_once(history, orders, payments),
        facts::units_are_conserved(stock),
        money::adds_up(orders, payments, ledger),
        facts::arrive_and_act_once(outbox, topics, applied),
        facts::keep_their_order(topics),
        orders::own_writes_are_read(history),
        orders::none_is_under_way(orders),
        facts::nothing_is_left(residue),
    ]
    .concat()
}

fn violation(invariant: Invariant, what: impl Into<String>) -> Violation {
    Violation { invariant, what: what.into() }
}

#[cfg(test)]
mod tests;
